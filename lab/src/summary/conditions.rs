//! Rows about links and faults: what was asked for beside what was measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One way of a link in one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkRow {
    /// Scheme whose turn it was.
    pub scheme: String,
    /// The node that it leads from.
    pub from: String,
    /// The node that it leads to.
    pub to: String,
    /// What the plan asks for, faults left aside.
    pub asked: Asked,
    /// What the plan's packets met with, faults included.
    pub measured: Measured,
}

/// Conditions that a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// Bits of IP packets per second; `null`: without limit.
    pub rate_bps: Option<u64>,
    /// Bytes that may wait; `null` without a rate.
    pub queue_bytes: Option<u32>,
    /// Nanoseconds under way.
    pub delay_ns: u64,
    /// Nanoseconds by which a packet's delay may differ, either way.
    pub jitter_ns: u64,
    /// Share of packets that are lost.
    pub loss: f64,
}

/// Conditions as packets of the turn met them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Packets that came.
    pub packets: u64,
    /// Packets lost by the share of losses.
    pub lost: u64,
    /// Packets that found the queue full.
    pub full: u64,
    /// Packets that came while the link was cut.
    pub cut: u64,
    /// Lost by the share of losses, of those that came while it was not cut; `null` where none did.
    pub loss: Option<f64>,
    /// Median time from one end to the other, in nanoseconds.
    pub delay_p50_ns: Option<u64>,
    /// 99th percentile.
    pub delay_p99_ns: Option<u64>,
    /// Largest.
    pub delay_max_ns: Option<u64>,
    /// Mean distance of the times from their median; half the jitter, where that is even.
    pub jitter_mean_ns: Option<u64>,
    /// Bits of IP packets per second between the first and the last that came out.
    pub rate_bps: Option<f64>,
    /// Packets that were timed.
    pub timed: u64,
    /// One packet in this many was timed.
    pub sampled_1_in: Option<u64>,
    /// Why numbers are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// One fault in one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRow {
    /// Scheme whose turn it was.
    pub scheme: String,
    /// Its word in the scenario.
    pub fault: String,
    /// What fails.
    pub what: String,
    /// When it was to begin, in seconds of the turn.
    pub asked_at_s: f64,
    /// How long it was to last; `null`: to the end of the turn.
    pub asked_for_s: Option<f64>,
    /// When it began; `null` where it did not.
    pub began_s: Option<f64>,
    /// When it ended; `null` where it lasted.
    pub ended_s: Option<f64>,
    /// Packets that it cost; `null` where that cannot be told.
    pub packets_lost: Option<u64>,
    /// Packets that a killed agent had seen and not reported; `null` for other faults.
    pub observations_lost: Option<u64>,
    /// Reports that were made while their agents could not hand them in, and that came afterwards; `null`
    /// for other faults.
    pub reports_late: Option<u64>,
    /// By how many seconds the lab found the clock to be fast; `null` for other faults, or where it found
    /// nothing.
    pub clock_off_s: Option<f64>,
    /// From its end until all was as before; `null` where that cannot be told.
    pub recovery_s: Option<f64>,
    /// Why it did not happen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// An agent whose clock was wrong in one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockRow {
    /// Scheme whose turn it was.
    pub scheme: String,
    /// The agent's router.
    pub router: String,
    /// By how many seconds it was fast, at least; below 0 where it was slow.
    pub fast_s: f64,
}
