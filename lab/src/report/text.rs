//! Tables as text: for terminals, for Markdown, and as CSV.

use super::troubles;
use crate::csv;
use crate::summary::{SchemeRow, Summary};
use comfy_table::{ContentArrangement, Table, presets};
use std::fmt::Write as _;

const HEAD: [&str; 14] = [
    "scheme",
    "router F1",
    "edge F1",
    "AS recall",
    "nation recall",
    "sources",
    "wrong",
    "paths",
    "packets to path p50",
    "mark ns p50",
    "mark ns p99",
    "control ns p50",
    "control ns p99",
    "lost",
];

fn cells(row: &SchemeRow) -> [String; 14] {
    let l = &row.levels;
    let whole = |ns: Option<u64>| ns.map_or_else(|| "-".into(), |n| n.to_string());
    let (mark, control) = (&row.mark_latency_ns, &row.control_latency_ns);
    [
        row.scheme.clone(),
        show(l.router.f1),
        show(l.edge.f1),
        show(l.r#as.recall),
        show(l.nation.recall),
        format!("{}/{}", l.source.found, l.source.truth),
        (l.router.wrong + l.edge.wrong).to_string(),
        format!("{}/{}", row.paths.exact, row.paths.truth),
        show(row.packets_to_path.p50),
        whole(mark.p50),
        whole(mark.p99),
        whole(control.p50),
        whole(control.p99),
        row.observations.lost.to_string(),
    ]
}

/// A measured value, numbers to three places.
pub(super) fn value(value: &serde_json::Value) -> String {
    let number = value.as_f64().filter(|_| !value.is_u64());
    number.map_or_else(|| value.to_string(), |v| show(Some(v)))
}

/// A number to three places, or a dash.
fn show(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| ((v * 1000.0).round() / 1000.0).to_string())
}

/// The run as a table and a few lines, for a terminal.
pub fn table(summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(HEAD);
    for row in &summary.schemes {
        table.add_row(cells(row));
    }
    let mut out = format!("{table}\n\n");
    for row in summary.schemes.iter().filter(|r| r.scheme != "none") {
        if let Some(gap) = &row.gap {
            let _ = writeln!(out, "{}: {}", row.scheme, gap.why);
        }
        if let Some(false_routers) = row.expected_false_routers {
            let _ = writeln!(out, "{}: expected false routers {false_routers:.1e}", row.scheme);
        }
    }
    let met = summary.effects.iter().filter(|e| e.met).count();
    let _ = writeln!(out, "effects: {met} of {} met", summary.effects.len());
    for e in summary.effects.iter().filter(|e| !e.met) {
        let (effect, why) = (&e.effect, e.why.as_deref().unwrap_or(""));
        let (scheme, measure, want) = (&effect.scheme, &effect.measure, &effect.want);
        let _ = writeln!(out, "  missed: {scheme} {measure} {want}, got {} {why}", value(&e.got));
    }
    for clock in &summary.clocks {
        let (scheme, router, fast) = (&clock.scheme, &clock.router, clock.fast_s);
        let _ = writeln!(out, "clock: {scheme}: that of {router} was {fast:+.3} s from the lab's");
    }
    for fault in &summary.faults {
        let (scheme, what) = (&fault.scheme, &fault.what);
        let why = fault.why.as_deref().unwrap_or("happened");
        let _ = writeln!(out, "fault: {scheme}: {what}: {why}");
    }
    for reason in &summary.reasons {
        let _ = writeln!(out, "{}: {reason}", ending(summary));
    }
    out
}

/// The scheme table in Markdown.
pub fn markdown(summary: &Summary) -> String {
    let out = format!(
        "# {}: {}\n\nRun {}, world {}, seed {}, plan {}\n\n",
        summary.scenario,
        ending(summary),
        summary.run,
        summary.world,
        summary.seed,
        summary.plan_sha256
    );
    let schemes = summary.schemes.iter().map(|r| cells(r).to_vec());
    let wrong: String = troubles::list(summary).iter().map(|what| format!("- {what}\n")).collect();
    let wrong = if wrong.is_empty() { "Nothing is known.\n" } else { &wrong };
    let table = markdown_table(&HEAD.map(String::from), schemes);
    format!("{out}{table}\n## What went wrong\n\n{wrong}")
}

/// Any table in Markdown.
pub fn markdown_table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<_> = head.iter().map(|_| "---".to_owned()).collect();
    let rows: String = rows.map(|row| line(&row)).collect();
    line(head) + &line(&rule) + &rows
}

/// The scheme table as CSV, with the run's own columns first.
pub fn csv(summary: &Summary) -> String {
    let names = HEAD.map(|h| h.replace(' ', "_"));
    let mut out =
        csv::line(["run", "scenario", "world", "seed"].map(String::from).into_iter().chain(names));
    for row in &summary.schemes {
        let seed = summary.seed.to_string();
        let own = [summary.run.clone(), summary.scenario.clone(), summary.world.clone(), seed];
        out += &csv::line(own.into_iter().chain(cells(row)));
    }
    out
}

/// The outcome as a word.
pub fn ending(summary: &Summary) -> String {
    let word = serde_json::to_value(summary.outcome).unwrap_or_default();
    word.as_str().unwrap_or_default().to_string()
}

pub(super) fn head() -> &'static [&'static str] {
    &HEAD
}

pub(super) fn row(row: &SchemeRow) -> Vec<String> {
    cells(row).into()
}
