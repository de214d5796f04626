//! How good a scheme's finding is: what it reached, how soon, stage by stage; or why there is none.

use crate::plan::Ceiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Shares of true paths, by the three capabilities of X.1205's supplement 10; `null` where nothing is true.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Reached {
    /// Source identification: where attack packets entered the network is found.
    pub source: Option<f64>,
    /// Ingress point: the router by which they entered the victim's domain is found.
    pub ingress: Option<f64>,
    /// Partial path: at least one router of the path is found.
    pub partial: Option<f64>,
    /// Share of hosts that set the attack going, behind reflectors too, whose router is named as a source.
    #[serde(default)]
    pub origin: Option<f64>,
}

/// A nation among the sources of attack packets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct SourceNation {
    /// Two letters; `-` for addresses that no host of the plan has, and for names that tell no nation.
    pub nation: String,
    /// Attack packets at the victim whose source address is a host's of this nation.
    pub claimed: u64,
    /// Sources that were found here.
    pub traced: u64,
    /// Sources that are here in truth.
    pub sources: u64,
}

/// Why a scheme found nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gap {
    /// One word: `nothing`, `too-few`, `mixed`, `budget`, `malformed`.
    pub kind: String,
    /// A sentence.
    pub why: String,
}

/// Packets until a path stood, over the true paths.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct PacketsToPath {
    /// Paths that were found.
    pub n: u64,
    /// Paths that were not found with all packets.
    pub censored: u64,
    /// Mean over the found.
    pub mean: Option<f64>,
    /// Median over the found.
    pub p50: Option<f64>,
    /// 95th percentile over the found.
    pub p95: Option<f64>,
    /// Every true path's number, in the order of the paths; `null` for one that was not found.
    #[serde(default)]
    pub each: Vec<Option<u64>>,
    /// Packets of the case after which the finding was the whole truth and nothing besides; `null`
    /// where it never was.
    #[serde(default)]
    pub complete: Option<u64>,
    /// Why a number is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A score at one stage of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// `marks-only`, then `with-answers`.
    pub stage: String,
    /// Score by level.
    #[schemars(with = "BTreeMap<String, Value>")]
    pub levels: traceback::score::Levels,
    /// Best recall that any answer can reach.
    pub ceiling: Ceiling,
}
