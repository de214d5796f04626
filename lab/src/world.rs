//! What a world is: it runs one scheme's turn of a plan and says what happened.

use std::collections::BTreeMap;
use traceback::case::Gap;
use traceback::graph::Finding;
use traceback::report::Counters;
use traceback::{Nanos, RouterId};

/// One packet as it arrived at the victim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When, on the run's clock.
    pub at: Nanos,
    /// The IP packet.
    pub bytes: Vec<u8>,
}

/// What happened while one scheme had its turn.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Packets that left each sender, by flow.
    pub sent: BTreeMap<u32, u64>,
    /// Packets that taps outside the agents saw reach each router, by router's position and flow.
    pub taps: BTreeMap<(usize, u32), u64>,
    /// Packets that reached the victim, in order.
    pub tape: Vec<Arrival>,
    /// What routers counted, by router's position.
    pub counters: BTreeMap<usize, Counters>,
    /// What the collector made of it.
    pub finding: Result<Finding, Gap>,
    /// Wall time of the reconstruction, answers of routers included, in seconds.
    pub reconstruct_s: f64,
    /// Memory of all ledgers at their keepers, in bytes.
    pub ledger_bytes: u64,
    /// Bytes of all reports as sent.
    pub report_bytes: u64,
    /// Questions asked of routers, and answers that came.
    pub asked: u64,
    /// Answers among them.
    pub answered: u64,
    /// Reports on their way to the collector.
    pub observations: Observations,
    /// HdrHistogram V2 bytes of the marking step by router; empty in the simulator.
    pub latency: BTreeMap<RouterId, Vec<u8>>,
}

/// Reports, counted on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Observations {
    /// Reports sent by agents.
    pub sent: u64,
    /// Stored by the collector.
    pub stored: u64,
    /// Missing by their sequence numbers, and observations that found no room in a ledger.
    pub lost: u64,
    /// Came twice; the second was dropped.
    pub duplicate: u64,
    /// Refused: did not decode, or came in another's name.
    pub refused: u64,
}
