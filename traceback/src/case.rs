//! A case: what the victim complains about, the evidence at hand, and what can come of it.

use crate::graph::Finding;
use crate::invariant::{Invariant, Key};
use crate::map::Map;
use crate::packet::Packet;
use crate::scheme::{Nanos, RouterId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub from: Nanos,
    /// Last instant.
    pub to: Nanos,
}

impl Window {
    /// All of time.
    pub const ALWAYS: Self = Self { from: Nanos(0), to: Nanos(u64::MAX) };

    /// Whether two windows share an instant.
    pub fn meets(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

/// Which packets are complained about, as an intrusion detector says it. `None` means any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// The victim's address.
    pub victim: IpAddr,
    /// Transport protocol number.
    pub protocol: Option<u8>,
    /// Source port.
    pub source_port: Option<u16>,
    /// Destination port.
    pub port: Option<u16>,
}

impl Filter {
    /// Whether the packet is complained about.
    pub fn matches<T: AsRef<[u8]>>(&self, packet: &Packet<T>) -> bool {
        let (sport, dport) = packet.ports();
        packet.destination() == self.victim
            && self.protocol.is_none_or(|p| p == packet.protocol())
            && self.source_port.is_none_or(|p| p == sport)
            && self.port.is_none_or(|p| p == dport)
    }
}

/// One packet that the victim kept, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The IP packet, without the link layer.
    pub bytes: Vec<u8>,
    /// When it arrived.
    pub at: Nanos,
}

/// Limits of a reconstruction; hitting one is a [`Gap::Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Candidate combinations examined in all.
    pub candidates: u64,
    /// Hops followed from the victim.
    pub hops: u16,
    /// Rounds of questions to routers.
    pub rounds: u16,
}

impl Default for Budget {
    fn default() -> Self {
        Self { candidates: 50_000_000, hops: 64, rounds: 64 }
    }
}

/// What is to be traced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// The router that delivers to the victim, where paths end.
    pub gateway: RouterId,
    /// Packets complained about.
    pub filter: Filter,
    /// When they came.
    pub window: Window,
    /// Packets kept by the victim.
    pub samples: Vec<Sample>,
    /// The run's key, so that digests can be computed from samples.
    pub key: Key,
    /// Routers and links that the collector knows.
    pub map: Map,
    /// Limits.
    #[serde(default)]
    pub budget: Budget,
    /// Routers on the map that are for others to ask: walks end before them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub beyond: BTreeSet<RouterId>,
}

impl Case {
    /// Digests of the samples that parse.
    pub fn digests(&self) -> Vec<u64> {
        let parse = |s: &Sample| Packet::parse(s.bytes.as_slice()).ok().map(|p| self.digest(&p));
        self.samples.iter().filter_map(parse).collect()
    }

    fn digest<T: AsRef<[u8]>>(&self, packet: &Packet<T>) -> u64 {
        Invariant::of(packet, self.key).digest
    }
}

/// A question to a router about what it logged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Query {
    /// What to look up: packet digests, or table indices.
    pub keys: Vec<u64>,
    /// When.
    pub from: Nanos,
    /// Until when.
    pub to: Nanos,
}

/// A router's answer, one value for each key: `None` is "never seen".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What the scheme's ledger holds under each key.
    pub values: Vec<Option<u64>>,
}

/// Everything known when [`crate::Scheme::reconstruct`] is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence<L> {
    /// Merged ledgers that keepers handed out.
    pub ledgers: BTreeMap<RouterId, L>,
    /// Answers so far. A router that was asked and stays silent or refuses has `None`.
    pub answers: BTreeMap<(RouterId, Query), Option<Answer>>,
}

impl<L> Default for Evidence<L> {
    fn default() -> Self {
        Self { ledgers: BTreeMap::new(), answers: BTreeMap::new() }
    }
}

/// What a reconstruction does next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Ask these routers, then call again.
    Ask(Vec<(RouterId, Query)>),
    /// Finished.
    Done(Finding),
}

/// Why there is no finding. A result like any other: it is stored, scored and shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "gap", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Gap {
    /// No usable observation at all.
    #[error("no usable evidence: {what}")]
    Nothing {
        /// What was looked for.
        what: String,
    },
    /// Evidence, but not enough to name a path.
    #[error("too little evidence: {have} of about {want} packets")]
    TooFew {
        /// Packets at hand.
        have: u64,
        /// Packets that the law asks for.
        want: u64,
    },
    /// Packets of several paths cannot be told apart.
    #[error("packets of several paths are mixed and cannot be grouped ({packets} packets)")]
    Mixed {
        /// Packets in the contradictory group.
        packets: u64,
    },
    /// A budget ran out; the census says how many candidates stood.
    #[error("budget of {budget} candidates ran out at distance {distance}: {census} stood")]
    Budget {
        /// The limit.
        budget: u64,
        /// Hops from the victim.
        distance: u16,
        /// Candidates at that point.
        census: u64,
    },
    /// So many routers marked at one distance that their marks match almost any other router too.
    #[error(
        "marks at distance {distance} say nothing: of {candidates} links that lead there, {false_ppm} in a \
         million would match by chance"
    )]
    Saturated {
        /// Hops from the victim.
        distance: u16,
        /// Chance that a link on no path matches, by the law, in millionths.
        false_ppm: u32,
        /// Links that would have been examined.
        candidates: u64,
    },
    /// A router's report or a needed input does not decode.
    #[error("malformed evidence from {who}")]
    Malformed {
        /// Which router or input.
        who: String,
    },
}
