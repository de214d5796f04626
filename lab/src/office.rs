//! What a domain knows of itself and of others, where domains ask each other.

use crate::plan::{Node, Plan};
use anyhow::Result;
use ashiato_collector::exchange::{Bounds, Config, Neighbour, Peer, Right, Searched};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use traceback::RouterId;
use traceback::disclose::Region;
use traceback::map::Map;
use traceback::scheme::Keeper;
use traceback::schemes;

/// The file of a domain's policy in its folder.
pub(crate) const POLICY: &str = "policy.json";
/// The file of its map.
pub(crate) const MAP: &str = "domain.json";
/// Who answers for a domain in a run: two, since some policies want two.
pub(crate) const PEOPLE: [&str; 2] = ["lab", "lab2"];

/// Where a domain is reached, and where its files are; nowhere, in the simulator.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    /// Where others reach it.
    pub listen: SocketAddr,
    /// Its certificate.
    pub certificate: PathBuf,
    /// The key of that.
    pub key: PathBuf,
}

impl Default for Seat {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let [certificate, key] = Default::default();
        Self { listen, certificate, key }
    }
}

/// The exchange of a domain. `seats` has those of all domains, in the plan's order; `zero` is the run's, in
/// nanoseconds since the Unix epoch.
pub(crate) fn exchange(plan: &Plan, domain: usize, seats: &[Seat], zero: u64) -> Config {
    let (spec, seat) = (&plan.domains[domain], &seats[domain]);
    let others = (0..seats.len()).filter(|other| *other != domain);
    Config {
        domain: spec.id.clone(),
        nation: spec.nation.clone(),
        listen: seat.listen,
        certificate: seat.certificate.clone(),
        key: seat.key.clone(),
        policy: POLICY.into(),
        map: Some(MAP.into()),
        asns: spec.asns.clone(),
        prefixes: hosts(plan, domain),
        book: "exchange.db".into(),
        audit: "exchange.ndjson".into(),
        neighbours: neighbours(plan, domain),
        peers: others.map(|other| peer(plan, other, &seats[other])).collect(),
        schemes: searched(plan),
        packet_key: plan.key,
        alias_key: Some(plan.domain_key(domain)),
        alias_key_file: "alias.key".into(),
        operators: PEOPLE.iter().map(|name| ((*name).to_owned(), Right::ALL.into())).collect(),
        zero_unix_ns: zero,
        directory: None,
        members: vec![],
        log_tls_secrets: std::env::var_os("SSLKEYLOGFILE").is_some(),
        bounds: Bounds::default(),
    }
}

fn peer(plan: &Plan, other: usize, seat: &Seat) -> Peer {
    let next = neighbours(plan, other).into_iter().map(|n| n.id);
    Peer {
        id: plan.domains[other].id.clone(),
        address: seat.listen,
        certificate: seat.certificate.clone(),
        prefixes: hosts(plan, other),
        asns: plan.domains[other].asns.clone(),
        neighbours: next.collect(),
        region: Region::default(),
    }
}

/// Addresses of a domain's hosts.
fn hosts(plan: &Plan, domain: usize) -> Vec<IpNet> {
    let own = plan.hosts.iter().filter(|h| plan.domain_at(h.router) == domain);
    own.map(|host| IpNet::from(host.address)).collect()
}

/// Domains next to one, with its routers that face each.
fn neighbours(plan: &Plan, domain: usize) -> Vec<Neighbour> {
    let mut facing: BTreeSet<(usize, RouterId)> = BTreeSet::new();
    for link in &plan.links {
        for (near, far) in [(link.a, link.b), (link.b, link.a)] {
            let (Node::Router(near), Node::Router(far)) = (near.node, far.node) else { continue };
            let [own, other] = [near, far].map(|router| plan.domain_at(router));
            if own == domain && other != domain {
                facing.insert((other, plan.routers[near].id));
            }
        }
    }
    let next: BTreeSet<usize> = facing.iter().map(|(other, _)| *other).collect();
    let neighbour = |other: usize| Neighbour {
        id: plan.domains[other].id.clone(),
        routers: facing.iter().filter(|(o, _)| *o == other).map(|(_, router)| *router).collect(),
    };
    next.into_iter().map(neighbour).collect()
}

/// A domain's routers, and those of others that are linked with them: all that it knows of the network.
///
/// # Errors
/// Where the plan was tampered with.
pub(crate) fn surroundings(plan: &Plan, domain: usize) -> Result<Map> {
    let whole = plan.map()?;
    let own = |router: u32| plan.domain_at(router as usize) == domain;
    let near = |router: u32| own(router) || whole.linked(router).iter().any(|other| own(*other));
    // Links between others are theirs.
    Ok(whole.part(near, |a, b| own(a) || own(b)))
}

/// Schemes whose logs routers of the plan keep.
fn searched(plan: &Plan) -> Vec<Searched> {
    let logs = |id: &str| schemes::find(id).is_some_and(|s| s.card().keeper == Keeper::Routers);
    let logged = plan.schemes.iter().filter(|s| logs(&s.id));
    logged.map(|s| Searched { id: s.id.clone(), params: Some(s.params.clone()) }).collect()
}
