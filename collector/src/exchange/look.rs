//! Looking for packets in the domain's own logs.
//!
//! Every packet is followed by itself, from the routers at which it left the domain, over the domain's own
//! map: what is found is a stretch that ends at a border, or at a host inside.

use super::domain::{Domain, destination};
use super::{Exhibit, Passage};
use crate::hub::Hub;
use crate::operator;
use crate::store::Store;
use crate::trace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::disclose::{Origin, Shown};
use traceback::graph::Finding;
use traceback::schemes::AnyScheme;
use traceback::{Nanos, RouterId};

/// Where the logs are.
#[derive(Debug, Clone)]
pub struct Logs {
    /// Routers that can be asked.
    pub hub: Arc<Hub>,
    /// What they reported.
    pub store: PathBuf,
    /// Time that a router has for an answer.
    pub patience: Duration,
}

/// Packets that went the same way through the domain, and where that way began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Positions of the packets.
    pub packets: Vec<u32>,
    /// The way, that nearest the source first.
    pub path: Vec<RouterId>,
    /// Where they came from, as far as the own routers can tell.
    pub origin: Origin,
}

impl Stretch {
    /// As the domain itself sees it.
    pub fn plain(&self) -> Passage {
        let hops = self.path.iter().map(|id| Shown::Router { id: *id }).collect();
        Passage { packets: self.packets.clone(), hops, origin: self.origin.clone() }
    }
}

impl Logs {
    /// Follows packets from the routers `gateways`, at which they left the domain for `towards`. Blocks: routers
    /// are asked.
    ///
    /// # Errors
    /// Why the logs cannot be searched.
    pub fn look(
        &self,
        domain: &Domain,
        scheme: &str,
        (gateways, towards): (&[RouterId], &str),
        packets: &[Exhibit],
        runtime: &tokio::runtime::Handle,
    ) -> Result<Vec<Stretch>, String> {
        search(domain, scheme, (gateways, towards), packets, &mut |scheme, case| {
            let store = Store::reader(&self.store).map_err(|e| e.to_string())?;
            let gathered = operator::gather(&store, scheme, case).map_err(|e| e.to_string())?;
            let mut ask = |questions: &[trace::Question]| {
                runtime.block_on(self.hub.ask(scheme.card().id, questions, self.patience))
            };
            Ok(trace::trace(scheme, case, &gathered.ledgers, &mut ask))
        })
    }
}

/// Rebuilds one packet's ways.
pub(super) type Rebuild<'a> =
    dyn FnMut(&dyn AnyScheme, &Case) -> Result<trace::Traced, String> + 'a;

/// The same, whoever rebuilds.
pub(super) fn search(
    domain: &Domain,
    scheme: &str,
    (gateways, towards): (&[RouterId], &str),
    packets: &[Exhibit],
    rebuild: &mut Rebuild<'_>,
) -> Result<Vec<Stretch>, String> {
    let known = domain.schemes.get(scheme);
    let known = known.ok_or_else(|| format!("the logs of {scheme} are not searched here"))?;
    let mut ways: BTreeMap<(Vec<RouterId>, Origin), Vec<u32>> = BTreeMap::new();
    for (packet, at) in packets.iter().zip(0_u32..) {
        let (mut paths, mut dumb) = (BTreeSet::new(), false);
        for case in gateways.iter().filter_map(|gateway| case(domain, *gateway, packet)) {
            let traced = rebuild(known.as_ref(), &case)?;
            dumb |= traced.is_incomplete();
            // What names no path through the domain shows none; too little evidence is none.
            if let Ok(Finding::Paths(graph)) = traced.finding {
                paths.extend(graph.paths);
            }
        }
        let Some(longest) = paths.iter().max_by_key(|path| path.len()) else {
            if dumb {
                // Whether they saw it is not known, which is another thing than that they did not.
                return Err("routers of this domain did not answer".into());
            }
            continue;
        };
        let origin = if dumb { anybody(domain, towards) } else { origin(domain, &paths, towards) };
        let way = (longest.clone(), origin);
        ways.entry(way).or_default().push(at);
    }
    let stretch = |((path, origin), packets)| Stretch { packets, path, origin };
    Ok(ways.into_iter().map(stretch).collect())
}

/// One packet's case within the domain; `None` where the bytes are no packet.
fn case(domain: &Domain, gateway: RouterId, packet: &Exhibit) -> Option<Case> {
    let config = &domain.config;
    let at = packet.at_unix_ns.saturating_sub(config.zero_unix_ns);
    let slack = config.bounds.slack_ms.saturating_mul(1_000_000);
    let around =
        Window { from: Nanos(at.saturating_sub(slack)), to: Nanos(at.saturating_add(slack)) };
    let window = if slack == 0 { Window::ALWAYS } else { around };
    Some(Case {
        gateway,
        filter: Filter {
            victim: destination(packet)?,
            protocol: None,
            source_port: None,
            port: None,
        },
        window,
        samples: vec![Sample { bytes: packet.bytes.clone(), at: Nanos(at) }],
        key: config.packet_key,
        map: domain.inner.clone(),
        budget: Budget::default(),
    })
}

/// Where a walk broke off because a router did not answer, packets may have come from any neighbour, or from inside.
fn anybody(domain: &Domain, towards: &str) -> Origin {
    let next = domain.config.neighbours.iter().map(|n| n.id.clone());
    Origin::Unknown { maybe: next.filter(|id| id != towards).collect() }
}

/// Domains that may have handed a packet over: those next to where its ways through the domain begin.
fn origin(domain: &Domain, paths: &BTreeSet<Vec<RouterId>>, towards: &str) -> Origin {
    let heads = paths.iter().filter_map(|path| path.first());
    let maybe: BTreeSet<String> = heads.flat_map(|head| domain.beyond(*head, towards)).collect();
    if maybe.is_empty() {
        Origin::Inside
    } else {
        Origin::Unknown { maybe: maybe.into_iter().collect() }
    }
}
