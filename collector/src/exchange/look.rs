//! Looking for packets in the domain's own logs.
//!
//! Every packet is followed by itself, from the routers at which it left the domain, over the domain's own
//! map: what is found is a stretch that ends at a border, or at a host inside. Where routers also write into
//! packets, each undoes its step, so the packet is known as it was when it came in: the domain before must be
//! asked about that one.

use super::domain::{Domain, destination};
use super::pursuit::Handovers;
use super::{Exhibit, Passage};
use crate::hub::Hub;
use crate::trace;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::disclose::{Origin, Shown, changes};
use traceback::graph::Finding;
use traceback::handed::Handed;
use traceback::scheme::Card;
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
pub(super) struct Stretch {
    /// Positions of the packets.
    pub packets: Vec<u32>,
    /// The way, that nearest the source first.
    pub path: Vec<RouterId>,
    /// Where they came from, as far as the own routers can tell.
    pub origin: Origin,
}

impl Stretch {
    /// As the domain itself sees it.
    pub(super) fn plain(&self) -> Passage {
        let hops = self.path.iter().map(|id| Shown::Router { id: *id }).collect();
        Passage { packets: self.packets.clone(), hops, origin: self.origin.clone() }
    }
}

/// What the domain's logs say of packets.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    /// Their stretches through the domain.
    pub stretches: Vec<Stretch>,
    /// The packets as neighbours handed them over; `None` where they are what they were.
    pub handed: Option<Handovers>,
}

impl Logs {
    /// Follows packets from the routers `gateways`, at which they left the domain for `towards`. Blocks: routers
    /// are asked.
    ///
    /// # Errors
    /// Why the logs cannot be searched.
    pub(super) fn look(
        &self,
        domain: &Domain,
        scheme: &str,
        (gateways, towards): (&[RouterId], &str),
        packets: &[Exhibit],
        runtime: &tokio::runtime::Handle,
    ) -> Result<Found, String> {
        search(domain, scheme, (gateways, towards), packets, &mut |scheme, case| {
            let mut ask = |questions: &[trace::Question]| {
                runtime.block_on(self.hub.ask(scheme.card().id, questions, self.patience))
            };
            // Routers that keep logs answer questions and hand nothing out.
            trace::follow(scheme, case, &[], &mut ask)
        })
    }
}

/// Rebuilds one packet's ways.
pub(super) type Rebuild<'a> = dyn FnMut(&dyn AnyScheme, &Case) -> trace::Followed + 'a;

/// The same, whoever rebuilds.
pub(super) fn search(
    domain: &Domain,
    scheme: &str,
    (gateways, towards): (&[RouterId], &str),
    packets: &[Exhibit],
    rebuild: &mut Rebuild<'_>,
) -> Result<Found, String> {
    let known = domain.schemes.get(scheme);
    let known = known.ok_or_else(|| format!("the logs of {scheme} are not searched here"))?;
    let changes = changes(known.as_ref());
    let mut ways: BTreeMap<(Vec<RouterId>, Origin), Vec<u32>> = BTreeMap::new();
    let mut handed = Handovers::new();
    let mut case = empty(domain);
    for (packet, at) in packets.iter().zip(0_u32..) {
        let Some(address) = destination(packet) else { continue };
        put(&mut case, domain, packet, address);
        let gateways = through(gateways, packet);
        if changes && gateways.len() > 1 {
            return Err(format!("{scheme}: say by which router packets left the domain"));
        }
        let mut seen = Seen::default();
        for gateway in gateways {
            case.gateway = gateway;
            seen.add(rebuild(known.as_ref(), &case));
        }
        let Some(longest) = seen.paths.iter().max_by_key(|path| path.len()) else {
            if seen.dumb {
                // Whether they saw it is not known, which is another thing than that they did not.
                return Err("routers of this domain did not answer".into());
            }
            continue;
        };
        let mut over = seen.over(domain, &known.card(), packet);
        over.retain(|(owner, _)| owner != towards);
        let origin = match (seen.dumb, changes) {
            (true, _) => anybody(domain, towards),
            (false, true) => from(over.iter().map(|(owner, _)| owner.clone()).collect()),
            (false, false) => origin(domain, &seen.paths, towards),
        };
        for (owner, shown) in over {
            handed.entry((owner, at)).or_default().push(shown);
        }
        ways.entry((longest.clone(), origin)).or_default().push(at);
    }
    let stretch = |((path, origin), packets)| Stretch { packets, path, origin };
    let stretches = ways.into_iter().map(stretch).collect();
    Ok(Found { stretches, handed: changes.then_some(handed) })
}

/// What routers say of one packet.
#[derive(Default)]
struct Seen {
    paths: BTreeSet<Vec<RouterId>>,
    handed: BTreeSet<Handed>,
    /// Whether one did not answer.
    dumb: bool,
}

impl Seen {
    fn add(&mut self, (traced, handed): trace::Followed) {
        self.dumb |= traced.is_incomplete();
        // What names no path through the domain shows none; too little evidence is none.
        if let Ok(Finding::Paths(graph)) = traced.finding {
            self.paths.extend(graph.paths);
            self.handed.extend(handed);
        }
    }

    /// The packet as neighbours may have handed it over, with their words.
    fn over(&self, domain: &Domain, card: &Card, packet: &Exhibit) -> Vec<(String, Exhibit)> {
        let shown = |by: &Handed| {
            let (owner, gate) = domain.gate(by.by)?;
            let bytes = by.packet(card, &packet.bytes)?;
            Some((owner.to_owned(), Exhibit { bytes, gate: Some(gate), ..packet.clone() }))
        };
        self.handed.iter().filter_map(shown).collect()
    }
}

/// Routers by which a packet can have left: that of its gate, where it says one.
fn through(gateways: &[RouterId], packet: &Exhibit) -> Vec<RouterId> {
    let mut gateways = gateways.to_vec();
    let Some(gate) = packet.gate else { return gateways };
    gateways.sort_unstable();
    gateways.get(usize::from(gate)).copied().into_iter().collect()
}

/// A case within the domain that is about no packet yet.
fn empty(domain: &Domain) -> Case {
    let victim = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    Case {
        gateway: RouterId(0),
        filter: Filter { victim, protocol: None, source_port: None, port: None },
        window: Window::ALWAYS,
        samples: vec![],
        key: domain.config.packet_key,
        map: domain.map.clone(),
        budget: Budget::default(),
        beyond: domain.beyond.clone(),
    }
}

/// Makes a case one about this packet, which goes to this address.
fn put(case: &mut Case, domain: &Domain, packet: &Exhibit, address: IpAddr) {
    let config = &domain.config;
    let at = packet.at_unix_ns.saturating_sub(config.zero_unix_ns);
    let slack = config.bounds.slack_ms.saturating_mul(1_000_000);
    let around =
        Window { from: Nanos(at.saturating_sub(slack)), to: Nanos(at.saturating_add(slack)) };
    case.filter.victim = address;
    case.window = if slack == 0 { Window::ALWAYS } else { around };
    case.samples = vec![Sample { bytes: packet.bytes.clone(), at: Nanos(at) }];
}

/// Where a walk broke off because a router did not answer, packets may have come from any neighbour, or from inside.
fn anybody(domain: &Domain, towards: &str) -> Origin {
    let next = domain.config.neighbours.iter().map(|n| n.id.clone());
    Origin::Unknown { maybe: next.filter(|id| id != towards).collect() }
}

/// Domains that may have handed a packet over: those next to where its ways through the domain begin.
fn origin(domain: &Domain, paths: &BTreeSet<Vec<RouterId>>, towards: &str) -> Origin {
    let heads = paths.iter().filter_map(|path| path.first());
    from(heads.flat_map(|head| domain.behind(*head, towards)).collect())
}

fn from(maybe: BTreeSet<String>) -> Origin {
    if maybe.is_empty() {
        Origin::Inside
    } else {
        Origin::Unknown { maybe: maybe.into_iter().collect() }
    }
}
