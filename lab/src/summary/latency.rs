//! Distributions of times that packets take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A latency distribution in nanoseconds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Steps that were timed.
    pub count: u64,
    /// Median.
    pub p50: Option<u64>,
    /// 90th percentile.
    pub p90: Option<u64>,
    /// 99th percentile.
    pub p99: Option<u64>,
    /// 99.9th percentile.
    pub p99_9: Option<u64>,
    /// Largest.
    pub max: Option<u64>,
    /// The distribution as a curve: pairs of a quantile from 0 to below 1 and its nanoseconds, as far
    /// into the tail as the count carries. Empty in `control_latency_ns`: see the row of `none`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub percentiles: Vec<(f64, u64)>,
    /// What two clock reads cost by themselves; it is contained in the other numbers.
    pub clock_cost: Option<u64>,
    /// One packet in this many was timed.
    pub sampled_1_in: Option<u64>,
    /// Why numbers are not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Latency {
    /// No distribution, and why.
    pub fn absent(why: &str) -> Self {
        Self { why: Some(why.into()), ..Self::default() }
    }
}
