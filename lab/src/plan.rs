//! The plan: a scenario with every choice made. Every world runs the same plan, with the same hash.
//!
//! A plan holds no world, no host fact and no interface name. It is written as canonical JSON (keys in
//! the order of these types, maps sorted), and [`Plan::sha256`] is taken over those bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use traceback::case::Filter;
use traceback::fib::{Fib, NextHop};
use traceback::invariant::Key;
use traceback::map::{BadMap, Map, MapRouter};
use traceback::router::Port;
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
}

/// Where routers' chance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrawKind {
    /// A hash of key, router and packet: all worlds mark alike.
    Keyed,
    /// The host's own randomness; in the simulator, a generator seeded by the plan.
    Kernel,
}

/// A nation that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// Its word in the scenario.
    pub id: String,
    /// Two letters, user-assigned in shipped files.
    pub nation: String,
    /// AS numbers.
    pub asns: Vec<u32>,
    /// Detail that it lets out. Only "router" until policies arrive.
    pub disclosed: String,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouterPlan {
    /// Its word in the scenario.
    pub name: String,
    /// Loopback: its identity everywhere.
    #[schemars(with = "Ipv4Addr")]
    pub id: RouterId,
    /// Autonomous system.
    pub asn: u32,
    /// The domain's nation.
    pub nation: String,
    /// The domain's word.
    pub domain: String,
    /// Whether an agent marks or logs here; otherwise the router only forwards.
    pub deployed: bool,
    /// Its routes to every host's link and every router's loopback that needs one.
    pub routes: Vec<RoutePlan>,
}

/// One route of one router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RoutePlan {
    /// Destination network.
    pub net: IpAddr,
    /// Prefix length.
    pub len: u8,
    /// Position of the link in [`Plan::links`].
    pub link: usize,
    /// The next router's address on that link; `None` where the network is the link itself.
    pub via: Option<IpAddr>,
}

/// What a host is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostKind {
    /// Complains.
    Victim,
    /// Sends attack traffic.
    Attacker,
    /// Sends or receives honest traffic.
    Client,
}

/// A host, linked to one router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostPlan {
    /// Its word in the scenario.
    pub name: String,
    /// What it is for.
    pub kind: HostKind,
    /// Its address on its link.
    pub address: IpAddr,
    /// The router's address on that link.
    pub gateway: IpAddr,
    /// Position of its router.
    pub router: usize,
    /// Position of its link.
    pub link: usize,
}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Which node.
    pub node: Node,
    /// Its address on the link.
    pub address: IpAddr,
}

/// A node by position.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Node {
    /// Position in [`Plan::routers`].
    Router(usize),
    /// Position in [`Plan::hosts`].
    Host(usize),
}

/// A link between two nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinkPlan {
    /// One end.
    pub a: End,
    /// The other.
    pub b: End,
    /// Prefix length of the link's network.
    pub len: u8,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
}

/// Whether a flow hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Attack.
    Attack,
    /// Honest.
    Legit,
}

/// Whose address a flow's packets carry as their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// One address for the whole flow: the sender's own, or a spoofed one.
    Fixed(IpAddr),
    /// A fresh address of this pool for every packet, drawn from flow and sequence number.
    PerPacket {
        /// The pool's network.
        net: IpAddr,
        /// Prefix length.
        len: u8,
    },
}

/// What the sender puts into the IPv4 Identification (and the IPv6 flow label).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartMark {
    /// 0x1F00: distance 31 in the layouts that have one, so that unmarked packets stand apart.
    Clean,
    /// As real hosts do: drawn from flow and sequence number.
    Stock,
}

/// A stream of UDP packets from one host to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Number carried in every packet.
    pub id: u32,
    /// The traffic's word in the scenario.
    pub traffic: String,
    /// Attack or honest.
    pub class: Class,
    /// Position of the sending host.
    pub from: usize,
    /// Position of the receiving host.
    pub to: usize,
    /// Source address.
    pub source: Source,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub port: u16,
    /// Packets in all.
    pub packets: u64,
    /// When the first packet leaves.
    #[schemars(with = "u64")]
    pub start: Nanos,
    /// Time between packets.
    #[schemars(with = "u64")]
    pub gap: Nanos,
    /// Whole IP packet in bytes, reserved room included.
    pub size: u16,
    /// TTL at the sender.
    pub ttl: u8,
    /// Identification at the sender.
    pub mark: StartMark,
    /// Routers on the way by position, the sender's own first: the truth.
    pub path: Vec<usize>,
}

/// Where the recorder's room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomKind {
    /// IPv4 option, or IPv6 hop-by-hop option.
    Option,
    /// UDP payload.
    Payload,
}

/// Room that packets reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Where.
    pub kind: RoomKind,
    /// Records of two bytes.
    pub records: usize,
}

/// What the victim complains about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasePlan {
    /// Position of the victim.
    pub victim: usize,
    /// Packets complained about.
    #[schemars(schema_with = "filter_schema")]
    pub filter: Filter,
    /// Packets that the victim keeps for inquiries, at most; drawn from what matches.
    pub samples: usize,
}

/// One scheme's turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemePlan {
    /// Scheme id.
    pub id: String,
    /// Parameters, all keys spelled out.
    pub params: serde_json::Value,
    /// Best recall that any answer can reach with the routers that take part.
    pub ceiling: Ceiling,
    /// Expected number of false routers in the run, where the scheme's law gives one.
    pub expected_false_routers: Option<f64>,
}

/// Best recall by level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Routers of true paths that take part, of all of them.
    pub router: f64,
    /// The same for their AS numbers.
    pub r#as: f64,
    /// The same for their nations.
    pub nation: f64,
}

/// One agreed measure of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// `level.metric`, such as `router.f1`, or a key such as `observations.lost`.
    pub measure: String,
    /// Scheme id, or `*` for all that can.
    pub scheme: String,
    /// Comparison and number, such as `>= 0.99`.
    pub want: String,
    /// Worlds where it counts; empty for all.
    pub worlds: Vec<String>,
}

impl LinkPlan {
    /// The two ends, `node`'s own first.
    pub fn seen_from(&self, node: Node) -> (End, End) {
        if self.a.node == node { (self.a, self.b) } else { (self.b, self.a) }
    }
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
                let index = |i: usize| u16::try_from(i).unwrap_or(u16::MAX);
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
            let neighbour = match far.node {
                Node::Router(i) => Some(self.routers[i].id),
                Node::Host(_) => None,
            };
            Port { neighbour, addresses: vec![near.address], mtu: self.links[link].mtu }
        };
        self.ports(Node::Router(router)).into_iter().map(port).collect()
    }

    /// A router's routes as a look-up table over its ports.
    pub fn fib(&self, router: usize) -> Fib {
        let ports = self.ports(Node::Router(router));
        let mut fib = Fib::default();
        for route in &self.routers[router].routes {
            let port = ports.iter().position(|l| *l == route.link).unwrap_or(ports.len());
            let port = u16::try_from(port).unwrap_or(u16::MAX);
            fib.insert(route.net, route.len, NextHop { port, via: route.via });
        }
        fib
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

    /// Flows that the case's filter matches and that are attacks: what the truth is about.
    pub fn attacks(&self) -> impl Iterator<Item = &Flow> {
        self.flows.iter().filter(|f| f.class == Class::Attack)
    }
}

/// The schema of [`Filter`], whose crate knows no schemas.
fn filter_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let address = generator.subschema_for::<IpAddr>();
    let number = |most: u32| schemars::json_schema!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    let (protocol, port) = (number(u8::MAX.into()), number(u16::MAX.into()));
    schemars::json_schema!({
        "type": "object",
        "description": "Which packets are complained about; null means any.",
        "properties": { "victim": address, "protocol": protocol, "source_port": port, "port": port },
        "required": ["victim", "protocol", "source_port", "port"],
        "additionalProperties": false
    })
}
