//! `summary.json`: the only source of every table, page and comparison.
//!
//! Its JSON Schema is `docs/schema/summary.schema.json`. A number that does not exist is `null` beside
//! a `why`, never 0 and never NaN.

mod conditions;
mod costs;
mod exchange;

use crate::exit::Exit;
use crate::plan::{Ceiling, Effect};
use crate::world::Observations;
pub use conditions::{Asked, ClockRow, FaultRow, LinkRow, Measured};
pub use costs::{Burden, Costs, Pair};
pub use exchange::{Border, Inquiry, Name, Question, Stretch, Way};
use schemars::JsonSchema;
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

/// Packets of one turn, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Packets {
    /// Attack packets sent.
    pub attack: u64,
    /// Of these, what reflectors sent.
    #[serde(default)]
    pub reflected: u64,
    /// Honest packets sent.
    pub legit: u64,
    /// Packets that routers sent on, one count for each router.
    pub forwarded: u64,
    /// Packets that routers dropped.
    pub dropped: u64,
    /// Packets of ours seen where none may be.
    pub leaked: u64,
}

impl Packets {
    /// Adds another turn's.
    pub fn add(&mut self, other: &Self) {
        self.attack += other.attack;
        self.reflected += other.reflected;
        self.legit += other.legit;
        self.forwarded += other.forwarded;
        self.dropped += other.dropped;
        self.leaked += other.leaked;
    }
}

/// What became of honest packets in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Honest {
    /// Packets that left.
    pub sent: u64,
    /// Packets that reached the host they were for.
    pub arrived: u64,
    /// Packets that reached the victim, where their headers can be looked at.
    pub seen: u64,
    /// Of these, packets with another Identification or flow label than they left with.
    pub rewritten: u64,
}

/// Packets by the way that they took, as the world followed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Ways {
    /// On the way that the plan's own tables give each.
    pub as_planned: u64,
    /// On another of the plan's ways: kernels choose by hashes of their own, and routes change a little
    /// later than the plan says.
    pub otherwise: u64,
    /// On no way of any one time: under way while routers changed their routes one by one.
    pub mixed: u64,
    /// Lost on the way.
    pub cut: u64,
}

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
