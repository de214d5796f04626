//! The messages of `proto/hosts.proto` as generated, and what they carry as JSON.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("ashiato.hosts.v1");
}

pub use generated::*;

use crate::exit::Exit;
use crate::netns::layout::Share;
use crate::scenario::spec::Datapath;
use crate::world::{Carried, Happened};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use traceback::report::Role;

/// Version of the protocol that this build speaks.
pub const PROTOCOL: u32 = 4;
/// Largest message in bytes, on both sides: a plan is one message.
pub const MAX_MESSAGE: usize = 64 << 20;
/// How often a silent connection is probed, and how long it may take to answer.
pub const KEEPALIVE: std::time::Duration = std::time::Duration::from_secs(5);

/// A host's part in a run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// How agents meet packets.
    pub datapath: Datapath,
    /// Nodes and tunnels.
    pub share: Share,
    /// Collectors that the vantages at those nodes report to, by position.
    pub desks: BTreeMap<usize, Desk>,
    /// Keys of the vantages at those nodes.
    pub keys: Vec<Keys>,
    /// The collector of its domain, where this host is to run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<Office>,
}

/// A collector that a host runs for its domain.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Office {
    /// The name of its process.
    pub role: String,
    /// Port on which it listens for agents.
    pub port: u16,
    /// Files of its folder: its own keys, policy, map and configuration, by their paths within it.
    pub files: BTreeMap<String, String>,
}

impl std::fmt::Debug for Office {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Office").field("role", &self.role).finish_non_exhaustive()
    }
}

/// A collector, as agents know it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desk {
    /// Where it listens.
    pub collector: SocketAddr,
    /// Certificate of the authority of its keys, in PEM.
    pub ca: String,
}

/// Keys of one vantage, for one run.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// What it does there.
    pub role: Role,
    /// Position of the router; for the observer, of the victim's gateway.
    pub router: usize,
    /// Its collector.
    pub desk: usize,
    /// Certificate in PEM.
    pub cert: String,
    /// Private key in PEM.
    pub key: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("router", &self.router).finish_non_exhaustive()
    }
}

/// What a plan's conditions and faults did on one host in a turn.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Packets that links lost, on ways that begin at nodes there.
    pub lost: u64,
    /// Those ways.
    pub carried: Vec<Carried>,
    /// The plan's faults, in its order; nothing of those that befall nothing there.
    pub faults: Vec<Happened>,
    /// Agents that were killed for good.
    pub dead: usize,
}

impl ToHost {
    /// Wraps one kind of message.
    pub fn of(kind: to_host::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl FromHost {
    /// Wraps one kind of message.
    pub fn of(kind: from_host::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}

impl Tap {
    /// What taps counted, by router and flow.
    pub fn all(taps: BTreeMap<(usize, u32), u64>) -> Vec<Self> {
        let tap = |((router, flow), packets): ((usize, u32), u64)| Self {
            router: u32::try_from(router).unwrap_or(u32::MAX),
            flow,
            packets,
        };
        taps.into_iter().map(tap).collect()
    }
}

impl Failed {
    /// What an error says.
    pub fn of(error: &anyhow::Error) -> Self {
        Self { code: Exit::of(error).code().into(), why: format!("{error:#}") }
    }

    /// The code that it asks for.
    pub fn exit(&self) -> Exit {
        u8::try_from(self.code).map_or(Exit::Internal, Exit::from_code)
    }
}
