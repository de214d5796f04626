//! Checks effects: that the measure exists, the scheme takes part, and the comparison can be made.

use super::check::known;
use super::problems::Problems;
use super::spec::Spec;
use crate::effects;

/// What each level has.
const METRICS: &[&str] = &["truth", "found", "wrong", "precision", "recall", "f1"];
/// What else a scheme's row of the summary has. The first is a word, all others are numbers.
const MEASURES: &[&str] = &[
    "gap.kind",
    "paths.truth",
    "paths.exact",
    "paths.wrong",
    "packets_to_path.n",
    "packets_to_path.censored",
    "packets_to_path.mean",
    "packets_to_path.p50",
    "packets_to_path.p95",
    "reached.source",
    "reached.ingress",
    "reached.partial",
    "reached.origin",
    "packets.reflected",
    "packets.dropped",
    "packets.leaked",
    "mark_latency_ns.p50",
    "mark_latency_ns.p90",
    "mark_latency_ns.p99",
    "mark_latency_ns.p99_9",
    "mark_latency_ns.max",
    "e2e_latency_ns.p50",
    "e2e_latency_ns.p90",
    "e2e_latency_ns.p99",
    "e2e_latency_ns.p99_9",
    "e2e_latency_ns.max",
    "program_ns",
    "reconstruct_s",
    "ledger_bytes",
    "report_bytes",
    "observations.sent",
    "observations.stored",
    "observations.lost",
    "observations.duplicate",
    "observations.refused",
];

/// All measures.
pub(super) fn measures() -> Vec<String> {
    let levels =
        effects::LEVELS.iter().flat_map(|l| METRICS.iter().map(move |m| format!("{l}.{m}")));
    let levels: Vec<String> = levels.collect();
    let staged =
        effects::STAGES.iter().flat_map(|s| levels.iter().map(move |l| format!("{s}.{l}")));
    let plain = MEASURES.iter().map(|m| (*m).to_owned());
    levels.iter().cloned().chain(plain).chain(staged).collect()
}

/// Everything about effects.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    let measures = measures();
    let measures: Vec<_> = measures.iter().map(String::as_str).collect();
    let schemes: Vec<_> = spec.scheme.iter().map(|s| s.id.as_str()).chain(["*"]).collect();
    for (i, effect) in spec.effect.iter().enumerate() {
        let path = format!("effect.{i}");
        known(&effect.measure, &measures, format!("{path}.measure"), "measure", problems);
        known(&effect.scheme, &schemes, format!("{path}.scheme"), "scheme here", problems);
        let path = format!("{path}.want");
        if effects::parse(&effect.want).is_none() {
            let mend = "write such as \">= 0.99\" or \"== mixed\"";
            problems.add(path, format!("\"{}\" compares nothing", effect.want), mend);
        } else if effect.want.contains(effects::CEILING) && !effect.measure.ends_with(".recall") {
            let what = format!("\"{}\" has no ceiling", effect.measure);
            problems.add(path, what, "recalls of router, as and nation have one");
        } else if is_word(&effect.want) != (effect.measure == MEASURES[0]) {
            let what = format!("\"{}\" cannot be \"{}\"", effect.measure, effect.want);
            let mend = "\"gap.kind\" is a word, such as \"== mixed\"; all else are numbers";
            problems.add(path, what, mend);
        }
    }
}

/// Whether a sound comparison is one with a word.
fn is_word(want: &str) -> bool {
    let to = want.trim_start_matches(['=', '!', '<', '>']).trim();
    to != effects::CEILING && to.parse::<f64>().is_err()
}
