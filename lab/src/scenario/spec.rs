//! A scenario's keys: merged, with defaults filled in, still in the words of its author.
//!
//! The documentation of these fields is the documentation of the file's keys: the JSON Schema and
//! the messages about bad files are made from it. `docs/scenario.md` explains at more length.

mod conditions;
mod domains;
mod exchange;
mod faults;
mod links;

pub use conditions::{Change, Deployment, Multipath, Order, Routing, Safety};
pub use domains::{Addresses, Disclose, Domain, Poc};
pub use exchange::Exchange;
pub use faults::{Clock, Cut, Fault, Slow};
pub use links::{Direction, HostLink, Link};

use crate::plan::{Class, Conduct, DrawKind, HostKind, Purpose, Role, StartMark};
use crate::units::{Quantity, Rate, Share, Size, Span};
use ashiato_agent::config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the file format, the value of the key `schema`.
pub const SCHEMA: &str = "ashiato.scenario/1";

/// An experiment as its author describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Version of the file format: "ashiato.scenario/1".
    pub schema: String,
    /// A word for the scenario: small letters, digits and hyphens.
    pub name: String,
    /// A line for people.
    #[serde(default)]
    pub title: String,
    /// Number that every choice of the plan is drawn from.
    #[serde(default = "one")]
    pub seed: u64,
    /// Where routers' chance comes from.
    #[serde(default = "keyed")]
    pub draws: DrawKind,
    /// What carries packets through routers.
    #[serde(default)]
    pub datapath: Datapath,
    /// Version of IP of all traffic.
    #[serde(default)]
    pub ip: Ip,
    /// Why the experiment is made. Nobody signs a manifest of one that does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Who answers for what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub role: Vec<Role>,
    /// Nations that take part.
    pub domain: Vec<Domain>,
    /// Routers, hosts and links.
    pub topology: Topology,
    /// Schemes, which take turns over the same packets.
    pub scheme: Vec<Scheme>,
    /// Streams of packets.
    pub traffic: Vec<Traffic>,
    /// What the victim complains about.
    #[serde(default)]
    pub case: CaseSpec,
    /// How agents run.
    #[serde(default)]
    pub agents: Agents,
    /// How many routers take part, and which.
    #[serde(default)]
    pub deployment: Deployment,
    /// How routers choose between ways.
    #[serde(default)]
    pub routing: Routing,
    /// Links that fail or come back while packets flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub change: Vec<Change>,
    /// What fails while packets flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Fault>,
    /// How carefully a run between hosts begins, and what ends it early.
    #[serde(default, skip_serializing_if = "is_plain")]
    pub safety: Safety,
    /// How domains ask each other: each then has a collector of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
    /// What is agreed beforehand to be success.
    #[serde(default)]
    pub effect: Vec<Effect>,
}

impl Spec {
    /// The host that the case names, or the only victim.
    pub fn victim(&self) -> Option<&Host> {
        let hosts = &self.topology.hosts;
        if let Some(name) = &self.case.victim {
            return hosts.iter().find(|h| h.id == *name);
        }
        let mut victims = hosts.iter().filter(|h| h.kind == HostKind::Victim);
        victims.next().filter(|_| victims.next().is_none())
    }

    /// The domain of a router: the one it names, or the only one.
    pub fn domain_of(&self, router: &Router) -> Option<&Domain> {
        match &router.domain {
            Some(id) => self.domain.iter().find(|d| d.id == *id),
            None => self.domain.first().filter(|_| self.domain.len() == 1),
        }
    }
}

/// What carries packets through routers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Datapath {
    /// A router in user space on packet sockets.
    #[default]
    Afpacket,
    /// The same router over pnet's channels: simpler and slower.
    Pnet,
    /// The kernel routes; an eBPF program marks at tc egress.
    Tc,
    /// An eBPF program at XDP marks and forwards by the kernel's tables.
    Xdp,
    /// An eBPF program at XDP marks, and the kernel routes.
    XdpPass,
}

impl Datapath {
    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Afpacket => "afpacket",
            Self::Pnet => "pnet",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::XdpPass => "xdp-pass",
        }
    }

    /// Whether the kernel's own tables forward, not a router in user space.
    pub fn kernel_forwards(self) -> bool {
        !matches!(self, Self::Afpacket | Self::Pnet)
    }

    /// Whether programs sit at XDP, which needs interfaces that take them.
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpPass)
    }

    /// The same in an agent's configuration.
    pub fn agent(self) -> config::Datapath {
        match self {
            Self::Afpacket => config::Datapath::Afpacket,
            Self::Pnet => config::Datapath::Pnet,
            Self::Tc => config::Datapath::Tc,
            Self::Xdp => config::Datapath::Xdp,
            Self::XdpPass => config::Datapath::XdpPass,
        }
    }
}

/// Version of IP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ip {
    /// IPv4.
    #[default]
    V4,
    /// IPv6.
    V6,
}

/// Routers, hosts and links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Routers, in the order of their 16-bit index.
    pub routers: Vec<Router>,
    /// Hosts, each on a link of its own to one router.
    pub hosts: Vec<Host>,
    /// Links between routers.
    #[serde(default)]
    pub links: Vec<Link>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// A word for the router.
    pub id: String,
    /// The domain it belongs to; may be left out where there is one domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its AS number, one of its domain's; may be left out where the domain has one.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Whether an agent marks or logs here; otherwise the router only forwards.
    #[serde(default = "yes")]
    pub deployed: bool,
    /// What its owner makes of it.
    #[serde(default)]
    pub conduct: Conduct,
    /// Another router, whose name it writes into packets instead of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poses_as: Option<String>,
    /// Whether it translates the sources of packets that it sends on to its own address.
    #[serde(default)]
    pub nat: bool,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// A word for the host.
    pub id: String,
    /// The router it is linked to.
    pub router: String,
    /// What it is for.
    pub kind: HostKind,
    /// Conditions of its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<HostLink>,
}

/// A scheme's turn: its id, and parameters that differ from the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scheme {
    /// The scheme's id, as "ashiato scheme list" shows it.
    pub id: String,
    /// The scheme's own parameters, as "ashiato scheme show ID" lists them.
    #[serde(flatten)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// A stream of UDP packets from each of some hosts to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// A word for the traffic.
    pub id: String,
    /// Attack or honest.
    pub class: Class,
    /// The sending host, or a list of them; each sends a flow of its own.
    pub from: Names,
    /// Only so many of them, the first ones; all where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<u32>,
    /// The receiving host.
    pub to: String,
    /// Reflectors, one or a list: senders send to each of them in the receiver's name, and they answer the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Names>,
    /// Packets with which a reflector answers each, 8 at most.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub amplify: u32,
    /// Packets per second from each sender.
    pub rate: Rate,
    /// Packets in all from each sender.
    pub packets: u64,
    /// Whole IP packet, room for records included; the smallest that fits where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// UDP destination port.
    #[serde(default = "discard")]
    pub port: u16,
    /// Forged source addresses; the sender's own address where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof: Option<Spoof>,
    /// When the first packet leaves.
    #[serde(default = "at_once")]
    pub start: Span,
    /// TTL or hop limit at the sender: 64, 128 and 255 are what schemes that count hops expect.
    #[serde(default = "usual_ttl")]
    pub ttl: u8,
    /// The TTL of each packet is drawn from this many values below, and the TTL itself.
    #[serde(default)]
    pub ttl_spread: u8,
    /// What senders put into the field that marks overwrite.
    #[serde(default = "clean")]
    pub mark: StartMark,
    /// One value that the attacker forges into that field of every packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_value: Option<u16>,
    /// Routers whose marks the attacker forges, the farthest from the victim first, as though the packets
    /// had come through them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imitates: Vec<String>,
    /// Whether every packet is the first fragment of one whose rest never comes.
    #[serde(default)]
    pub fragment: bool,
}

/// One word or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Names {
    /// All of them, each with the step that leads to it from the key's path.
    pub fn each(&self) -> Vec<(String, &str)> {
        match self {
            Self::One(name) => vec![(String::new(), name)],
            Self::Many(names) => {
                names.iter().enumerate().map(|(i, n)| (format!(".{i}"), n.as_str())).collect()
            }
        }
    }
}

/// Forged source addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spoof {
    /// One forged address for each flow, or a fresh one for each packet.
    pub per: Per,
    /// Network of forged addresses; 198.19.192.0/18 or 2001:2:0:ffff::/64 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

/// How often a forged address changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Once drawn for each sender.
    Flow,
    /// Drawn for every packet.
    Packet,
}

/// What the victim complains about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSpec {
    /// The host that complains; may be left out where one host is a victim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<String>,
    /// Transport protocol of the packets complained about.
    #[serde(default)]
    pub protocol: Protocol,
    /// Their UDP destination port; any where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Packets that the victim keeps for inquiries, at most.
    #[serde(default = "few")]
    pub samples: u16,
}

impl Default for CaseSpec {
    fn default() -> Self {
        Self { victim: None, protocol: Protocol::default(), port: None, samples: few() }
    }
}

/// Transport protocol of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// UDP, 17.
    #[default]
    Udp,
    /// Any protocol.
    Any,
}

/// How agents run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Whether every router gets an agent process of its own; otherwise one process serves all.
    #[serde(default)]
    pub process_per_router: bool,
}

/// One agreed measure of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is measured, such as "router.f1", "paths.exact" or "gap".
    pub measure: String,
    /// Scheme that it is about; "*" for every scheme that names routers.
    #[serde(default = "every")]
    pub scheme: String,
    /// Comparison and value, such as ">= 0.99".
    pub want: String,
    /// Worlds where it counts; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worlds: Vec<World>,
}

/// A world that runs plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// The simulator.
    Sim,
    /// Network namespaces on one host.
    Netns,
    /// Containers.
    Compose,
    /// Partners' machines.
    Hosts,
}

fn one() -> u64 {
    1
}
fn keyed() -> DrawKind {
    DrawKind::Keyed
}
fn yes() -> bool {
    true
}
fn ethernet() -> Size {
    Quantity::of(1500)
}
fn is_plain<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn nothing() -> Share {
    Quantity::of(0)
}
fn discard() -> u16 {
    9
}
fn at_once() -> Span {
    Quantity::of(0)
}
fn usual_ttl() -> u8 {
    64
}
fn once() -> u32 {
    1
}
fn is_once(times: &u32) -> bool {
    *times == 1
}
fn clean() -> StartMark {
    StartMark::Clean
}
fn few() -> u16 {
    16
}
fn every() -> String {
    "*".to_owned()
}
