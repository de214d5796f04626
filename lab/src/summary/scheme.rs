//! The row about one scheme's turn.

use super::{
    Border, Gap, Honest, Inquiry, Latency, Packets, PacketsToPath, Reached, SourceNation, Stage,
    Ways,
};
use crate::world::Observations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One scheme's turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SchemeRow {
    /// Scheme id.
    pub scheme: String,
    /// Parameters, all keys spelled out.
    pub params: Value,
    /// How agents met packets: "sim" in the simulator, else the agent's datapath.
    pub datapath: String,
    /// Score by level.
    #[schemars(with = "BTreeMap<String, Value>")]
    pub levels: traceback::score::Levels,
    /// Score by whole path.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub paths: traceback::score::Paths,
    /// What a filter by the scheme's fingerprints would let in; only where it names classes and both
    /// kinds of packets came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BTreeMap<String, f64>>")]
    pub acceptance: Option<traceback::score::Acceptance>,
    /// Why there is no finding, where there is none.
    pub gap: Option<Gap>,
    /// Packets of the case that the victim needed for each path, counted from the attack's start.
    pub packets_to_path: PacketsToPath,
    /// Packets of this turn.
    pub packets: Packets,
    /// Packets by way, in worlds that follow them, where packets of one flow may take several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ways: Option<Ways>,
    /// What became of honest packets.
    #[serde(default)]
    pub honest: Honest,
    /// Time that the marking step takes.
    pub mark_latency_ns: Latency,
    /// The same for the unmarked control of this run.
    pub control_latency_ns: Latency,
    /// Time from the sender's call to the victim's; what a scheme adds is the difference to the row of
    /// `none`, as far as the host was quiet from turn to turn.
    #[serde(default)]
    pub e2e_latency_ns: Latency,
    /// A second opinion on the first: what the kernel itself says a whole run of the program takes on
    /// average, parsing and forwarding included; `null` where none ran in the kernel.
    #[serde(default)]
    pub program_ns: Option<u64>,
    /// Wall time of the reconstruction in seconds, questions included.
    pub reconstruct_s: f64,
    /// Memory of all ledgers at their keepers, in bytes.
    pub ledger_bytes: u64,
    /// Bytes of all reports.
    pub report_bytes: u64,
    /// Reports, counted on both sides.
    pub observations: Observations,
    /// What marking did to packets.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub harms: traceback::vantage::Harms,
    /// Expected number of false routers in the run by the scheme's law; `null` where it gives none.
    pub expected_false_routers: Option<f64>,
    /// Scores stage by stage, each with the best recall that any answer can reach.
    pub stages: Vec<Stage>,
    /// What the finding is good for.
    #[serde(default)]
    pub reached: Reached,
    /// Nations that attack packets came from, as they claim, as was traced, and in truth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nations: Vec<SourceNation>,
    /// Borders between domains that found paths cross.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borders: Vec<Border>,
    /// What domains asked and told each other, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inquiry: Option<Inquiry>,
}
