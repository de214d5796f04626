//! A scenario's keys: merged, with defaults filled in, still in the words of its author.
//!
//! The documentation of these fields is the documentation of the file's keys: the JSON Schema and
//! the messages about bad files are made from it. `docs/scenario.md` explains at more length.

mod case;
mod conditions;
mod datapath;
mod domains;
mod effects;
mod exchange;
mod faults;
mod links;
mod topology;
mod traffic;

pub use case::{CaseSpec, Protocol};
pub use conditions::{Change, Deployment, Multipath, Order, Routing, Safety};
pub use datapath::Datapath;
pub use domains::{Addresses, Disclose, Domain, Poc};
pub use effects::{Effect, World};
pub use exchange::Exchange;
pub use faults::{Clock, Cut, Fault, Slow};
pub use links::{Direction, HostLink, Link};
pub use topology::{Host, Router, Topology};
pub use traffic::{Names, Per, Spoof, Traffic};

use crate::plan::{DrawKind, HostKind, Purpose, Role, StartMark};
use crate::units::{Quantity, Span};
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

/// A scheme's turn: its id, and parameters that differ from the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scheme {
    /// The scheme's id, as "ashiato scheme list" shows it.
    pub id: String,
    /// The scheme's own parameters, as "ashiato scheme show ID" lists them.
    #[serde(flatten)]
    pub params: serde_json::Map<String, serde_json::Value>,
}

/// How agents run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agents {
    /// Whether every router gets an agent process of its own; otherwise one process serves all.
    #[serde(default)]
    pub process_per_router: bool,
}

fn one() -> u64 {
    1
}
fn keyed() -> DrawKind {
    DrawKind::Keyed
}
fn is_plain<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn clean() -> StartMark {
    StartMark::Clean
}
fn yes() -> bool {
    true
}
fn at_once() -> Span {
    Quantity::of(0)
}
