//! `summary.json`: the only source of every table, page and comparison.
//!
//! Its JSON Schema is `docs/schema/summary.schema.json`. A number that does not exist is `null` beside
//! a `why`, never 0 and never NaN.

mod conditions;
mod costs;
mod exchange;
mod finding;
mod latency;
mod packets;
mod scheme;

use crate::exit::Exit;
use crate::plan::Effect;
pub use conditions::{Asked, ClockRow, FaultRow, LinkRow, Measured};
pub use costs::{Burden, Costs, Pair};
pub use exchange::{Border, Inquiry, Name, Question, Stretch, Way};
pub use finding::{Gap, PacketsToPath, Reached, SourceNation, Stage};
pub use latency::Latency;
pub use packets::{Honest, Packets, Ways};
use schemars::JsonSchema;
pub use scheme::SchemeRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the summary's JSON.
pub const SCHEMA: &str = "ashiato.summary/1";

/// The stage before domains are asked.
pub const MARKS_ONLY: &str = "marks-only";
/// The stage after.
pub const WITH_ANSWERS: &str = "with-answers";

/// One run, told whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// [`SCHEMA`].
    pub schema: String,
    /// The run's id, a ULID.
    pub run: String,
    /// The scenario's name.
    pub scenario: String,
    /// "sim", "netns", "hosts" or "compose".
    pub world: String,
    /// The scenario's seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Ending,
    /// What made the run void, stopped or partial, and what is missing; empty where it was none.
    pub reasons: Vec<String>,
    /// SHA-256 of `plan.json`.
    pub plan_sha256: String,
    /// Commitment to the expected paths, made before the first packet.
    pub truth_sha256: String,
    /// Wall time from set-up to removal, in seconds.
    pub duration_s: f64,
    /// Packets of all turns.
    pub packets: Packets,
    /// One row for each scheme whose turn is complete, in the order of their turns.
    pub schemes: Vec<SchemeRow>,
    /// One row for each domain.
    pub domains: Vec<DomainRow>,
    /// What taking part cost domains, where they have collectors of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// What the partners agreed to call success.
    pub effects: Vec<EffectRow>,
    /// What links with conditions or faults did, one row for each turn and way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<LinkRow>,
    /// What became of faults, one row for each turn and fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultRow>,
    /// Agents whose clock was not the lab's, by the lab's own judgement.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<ClockRow>,
    /// What each host permitted: the compiled ceiling, its site's policy and the manifest together. Only in
    /// worlds over several hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permitted: BTreeMap<String, Value>,
    /// Objects left on the host after removal; `null` with `--keep` or where removal failed.
    pub left_behind: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Every effect met.
    Met,
    /// An effect missed.
    Missed,
    /// Somebody stopped it, or a lease of its traffic was lost; some turns are missing.
    Stopped,
    /// The two sources of truth disagree, or a packet leaked: it says nothing about a scheme.
    Void,
    /// A failure ended it; some turns are missing.
    Partial,
}

impl Ending {
    /// The exit code of a run that ended so.
    pub const fn exit(self) -> Exit {
        match self {
            Self::Met => Exit::Met,
            Self::Missed => Exit::Missed,
            Self::Stopped => Exit::Stopped,
            Self::Void => Exit::Void,
            Self::Partial => Exit::Partial,
        }
    }
}

/// What one domain gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DomainRow {
    /// Its word in the scenario.
    pub id: String,
    /// Two letters.
    pub nation: String,
    /// Detail that it lets out.
    pub disclosed: String,
    /// Questions put to it where domains ask each other, else to its routers.
    pub requests: u64,
    /// Answers that came, also those that packets were not seen.
    pub answered: u64,
    /// Refusals and silences.
    pub refused: u64,
    /// Times to answer in seconds, people's included: `n`, `p50`, `max`; empty where domains were not asked, and
    /// in the simulator, unless people took time.
    pub answer_s: BTreeMap<String, f64>,
    /// Cost; empty until price lists are read.
    pub cost: BTreeMap<String, f64>,
}

/// One agreed measure and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EffectRow {
    /// As in the scenario.
    #[serde(flatten)]
    pub effect: Effect,
    /// What was measured; `null` where it does not exist.
    pub got: Value,
    /// Whether it is met.
    pub met: bool,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The JSON Schema of summaries.
pub fn json_schema() -> Value {
    schemars::schema_for!(Summary).to_value()
}

impl Summary {
    /// Pretty JSON and a newline.
    pub fn to_json(&self) -> String {
        let mut out = serde_json::to_string_pretty(self).expect("invariant: plain data");
        out.push('\n');
        out
    }
}
