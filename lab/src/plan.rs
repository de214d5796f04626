//! The plan: a scenario with every choice made. Every world runs the same plan, with the same hash.
//!
//! A plan holds no world, no host fact and no interface name. It is written as canonical JSON (keys in
//! the order of these types, maps sorted), and [`Plan::sha256`] is taken over those bytes.

mod caution;
mod disclosure;
mod exchange;
mod fault;
mod flow;
mod known;
mod place;
mod purpose;
mod trouble;
mod turn;
mod wire;

pub use caution::{Caution, Measure, RAMP, StopIf, slow_departure};
pub use disclosure::{Contact, Decision};
pub use exchange::{Asking, Exchange};
pub use fault::{Failure, Fault};
pub use flow::{Class, Flow, Forged, Reflects, Room, RoomKind, Source, StartMark, Way};
pub use place::{Conduct, Domain, End, HostKind, HostPlan, LinkPlan, Node, RoutePlan, RouterPlan};
pub use purpose::{Purpose, Role};
pub use turn::{CasePlan, Ceiling, Effect, SchemePlan};
pub use wire::{Conditions, JITTER, Strait, USUAL_QUEUE, jitter_draw};

use flow::is_usual;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use traceback::fib::{Fib, NextHop};
use traceback::invariant::Key;
use traceback::map::{BadMap, Map, MapRouter};
use traceback::router::{Far, Port, Spread};
use traceback::{Nanos, RouterId};

/// Version of the plan's JSON.
pub const SCHEMA: &str = "ashiato.plan/1";

/// Everything a world needs to run an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name.
    pub name: String,
    /// The seed that every choice came from.
    pub seed: u64,
    /// Key of digests and keyed draws, drawn from the seed.
    #[schemars(with = "(u64, u64)")]
    pub key: Key,
    /// Where routers' chance comes from: "keyed" or "kernel".
    pub draws: DrawKind,
    /// Nations and what they disclose.
    pub domains: Vec<Domain>,
    /// Routers; the position is the router's 16-bit index in the map.
    pub routers: Vec<RouterPlan>,
    /// Hosts.
    pub hosts: Vec<HostPlan>,
    /// Links; positions are named by routes.
    pub links: Vec<LinkPlan>,
    /// Streams of packets.
    pub flows: Vec<Flow>,
    /// What the victim complains about.
    pub case: CasePlan,
    /// Room that every packet reserves for records, where a scheme of the plan needs it.
    pub room: Option<Room>,
    /// Schemes, which take turns over the same packets.
    pub schemes: Vec<SchemePlan>,
    /// What the partners agreed to call success.
    pub effects: Vec<Effect>,
    /// Whether every router gets an agent process of its own (else one process serves all).
    pub process_per_router: bool,
    /// How routers choose between next hops that are equally near; the first where left out.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "Option<String>")]
    pub spread: Option<Spread>,
    /// Routes that replace those of all routers, each from its time on.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub epochs: Vec<Epoch>,
    /// What fails in every turn.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub faults: Vec<Fault>,
    /// How carefully a run between hosts begins, and what ends it early.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub caution: Caution,
    /// How domains ask each other; without it one collector serves all of them.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub exchange: Option<Exchange>,
    /// Why the experiment is made.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub purpose: Option<Purpose>,
    /// Who answers for what.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub roles: Vec<Role>,
}

/// Routes from some time on. A packet keeps to the routes of the time when it left its sender.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Epoch {
    /// From when on.
    #[schemars(with = "u64")]
    pub at: Nanos,
    /// Every router's routes, by position.
    pub routes: Vec<Vec<RoutePlan>>,
}

/// Where routers' chance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrawKind {
    /// A hash of key, router and packet: all worlds mark alike.
    Keyed,
    /// The host's own randomness; in the simulator, a generator seeded by the plan.
    Kernel,
    /// Simulator only: routers draw nothing; what arrives is drawn once, from the exact law of the path.
    Law,
}

impl Plan {
    /// Canonical JSON, one line and a newline.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = serde_json::to_vec(self).expect("invariant: a plan is plain data");
        out.push(b'\n');
        out
    }

    /// SHA-256 over [`Self::to_json`], in hex.
    pub fn sha256(&self) -> String {
        use sha2::Digest;
        hex::encode(sha2::Sha256::digest(self.to_json()))
    }

    /// The map that the collector gets: routers and links between routers, nothing about hosts.
    ///
    /// # Errors
    /// [`BadMap`] where the plan was tampered with.
    pub fn map(&self) -> Result<Map, BadMap> {
        let mut aliases: BTreeMap<usize, Vec<IpAddr>> = BTreeMap::new();
        let mut links = vec![];
        for link in &self.links {
            for end in [link.a, link.b] {
                if let Node::Router(i) = end.node {
                    aliases.entry(i).or_default().push(end.address);
                }
            }
            if let (Node::Router(a), Node::Router(b)) = (link.a.node, link.b.node) {
                let index = |i: usize| u32::try_from(i).unwrap_or(u32::MAX);
                links.push((index(a), index(b)));
            }
        }
        let routers = self.routers.iter().enumerate().map(|(i, r)| MapRouter {
            id: r.id,
            name: r.name.clone(),
            asn: r.asn,
            nation: r.nation.clone(),
            aliases: aliases.remove(&i).unwrap_or_default(),
        });
        Map::new(routers.collect(), links)
    }

    /// Links of a node, in rising order: its ports `p0`, `p1`, ... in every world.
    pub fn ports(&self, node: Node) -> Vec<usize> {
        let touches = |l: &LinkPlan| l.a.node == node || l.b.node == node;
        (0..self.links.len()).filter(|i| touches(&self.links[*i])).collect()
    }

    /// The ports of a router as its forwarding code needs them, in the order of [`Self::ports`].
    pub fn router_ports(&self, router: usize) -> Vec<Port> {
        let port = |link: usize| {
            let (near, far) = self.links[link].seen_from(Node::Router(router));
            let far = match far.node {
                Node::Router(i) => Far {
                    neighbour: Some(self.routers[i].id),
                    border: self.routers[i].asn != self.routers[router].asn,
                    legacy: !self.routers[i].deployed,
                    ..Far::default()
                },
                Node::Host(_) => Far::default(),
            };
            Port { far, addresses: vec![near.address], mtu: self.links[link].mtu }
        };
        self.ports(Node::Router(router)).into_iter().map(port).collect()
    }

    /// A router's routes as a look-up table over its ports.
    pub fn fib(&self, router: usize) -> Fib {
        let mut fib = self.fib_of(router, &self.routers[router].routes);
        let ports = self.ports(Node::Router(router));
        for route in &self.routers[router].also {
            fib.insert_also(route.net, route.len, next_hop(&ports, route));
        }
        fib
    }

    /// A look-up table of other routes of the same router.
    pub fn fib_of(&self, router: usize, routes: &[RoutePlan]) -> Fib {
        let ports = self.ports(Node::Router(router));
        let mut fib = Fib::default();
        for route in routes {
            fib.insert(route.net, route.len, next_hop(&ports, route));
        }
        fib
    }

    /// Whether packets of one flow may take several ways.
    pub fn ways_differ(&self) -> bool {
        self.spread.is_some() || !self.epochs.is_empty()
    }

    /// Whether the network does more to packets than carry them.
    pub fn meddles(&self) -> bool {
        let special = (0..self.links.len()).any(|link| self.is_special(link));
        self.ways_differ() || special || self.routers.iter().any(|r| r.nat)
    }

    /// How many collectors it has: one for all, or one for each domain.
    pub fn collectors(&self) -> usize {
        if self.exchange.is_some() { self.domains.len() } else { 1 }
    }

    /// The router that delivers to the victim.
    pub fn gateway(&self) -> RouterId {
        self.routers[self.hosts[self.case.victim].router].id
    }

    /// The name of a node.
    pub fn node_name(&self, node: Node) -> &str {
        match node {
            Node::Router(i) => &self.routers[i].name,
            Node::Host(i) => &self.hosts[i].name,
        }
    }

    /// Flows that the case's filter matches and that are attacks: what the truth is about. What sets reflectors
    /// off never comes to the victim.
    pub fn attacks(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|f| self.is_traced(f))
    }

    /// Whether the truth is about a flow: an attack on the victim.
    pub fn is_traced(&self, flow: &Flow) -> bool {
        flow.class == Class::Attack && flow.to == self.case.victim
    }
}

fn next_hop(ports: &[usize], route: &RoutePlan) -> NextHop {
    let port = ports.iter().position(|l| *l == route.link).unwrap_or(ports.len());
    NextHop { port: u16::try_from(port).unwrap_or(u16::MAX), via: route.via }
}
