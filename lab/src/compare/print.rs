//! A comparison as tables, as JSON, and as CSV of everything that went in.

use super::facts::{BLOCKS_TO_RANK, Facts};
use super::measure::find;
use super::pairs::{Estimate, Pair};
use super::{Comparison, Contender, Group, labs, word};
use crate::csv;
use comfy_table::{Table, presets};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Measures that the table for people shows; all are in the JSON.
pub(super) const SHOWN: [&str; 9] = [
    "complete",
    "packets_to_complete",
    "paths.exact",
    "paths.wrong",
    "router.recall",
    "router.wrong",
    "source.recall",
    "source.wrong",
    "ledger_bytes",
];
/// Measures whose differences the table shows.
const PAIRED: [&str; 5] =
    ["complete", "packets_to_complete", "router.recall", "router.wrong", "source.recall"];
/// With more contenders than this, differences of every two fill pages: they are in the JSON.
const MOST_PAIRED: usize = 6;

/// Tables for people.
pub fn table(comparison: &Comparison) -> String {
    let mut out = head(comparison);
    for group in &comparison.groups {
        if !group.name.is_empty() {
            let _ = writeln!(out, "\n{}", group.name.to_uppercase());
        }
        out += &facts(group, comparison);
        out += &estimates(group);
        out += &by_length(group);
        out += &differences(group);
        // Otherwise the note above says why nothing is ranked.
        if comparison.blocks >= BLOCKS_TO_RANK {
            out += &rankings(group);
        }
    }
    out
}

/// What was compared, in a few lines.
fn head(comparison: &Comparison) -> String {
    let (runs, blocks) = (comparison.runs.len(), comparison.blocks);
    let mut out = format!(
        "{}  {runs} runs, {blocks} with different packets; within a run, and within a seed, all met the \
         same packets and the same truth\n",
        comparison.scenario
    );
    let labs = comparison.labs.as_ref().map(labs::said).unwrap_or_default();
    for line in labs.iter().chain(&comparison.caveats).chain(&comparison.missing) {
        let _ = writeln!(out, "note: {line}");
    }
    out
}

fn facts(group: &Group, comparison: &Comparison) -> String {
    let row = |c: &Contender| {
        let Facts { bits, state, .. } = &c.facts;
        vec![c.name.clone(), bits.to_string(), c.facts.knows(), (*state).to_owned()]
    };
    let head = [word(comparison.by), "bits in packets", "knows beforehand", "state at a router"];
    text(&head.map(str::to_owned), group.contenders.iter().map(row))
}

fn estimates(group: &Group) -> String {
    let has =
        |id: &&&str| group.contenders.iter().any(|c| c.estimates.iter().any(|e| e.measure == **id));
    let shown: Vec<&str> = SHOWN.iter().filter(|id| has(id)).copied().collect();
    let row = |c: &Contender| {
        let cell = |id: &str| c.estimates.iter().find(|e| e.measure == id).map_or("-".into(), said);
        std::iter::once(c.name.clone()).chain(shown.iter().map(|id| cell(id))).collect()
    };
    let head: Vec<String> =
        std::iter::once("").chain(shown.iter().copied()).map(str::to_owned).collect();
    text(&head, group.contenders.iter().map(row))
}

/// Packets until a path stood, a column for each length and one for the mean over them; nothing where
/// all paths are equally long, as then the column above says it.
fn by_length(group: &Group) -> String {
    let (hops, columns) = columns(group);
    if hops.len() < 2 {
        return String::new();
    }
    let row = |c: &Contender| {
        let cell = |label: &String| {
            let length = c.lengths.iter().find(|l| l.label(&hops) == *label);
            length.map_or_else(|| "-".to_owned(), |l| said(&l.packets))
        };
        std::iter::once(c.name.clone()).chain(columns.iter().map(cell)).collect()
    };
    let head = std::iter::once("packets_to_path".to_owned()).chain(columns.iter().cloned());
    text(&head.collect::<Vec<_>>(), group.contenders.iter().map(row))
}

/// Lengths of all true paths of a group, and the labels of their columns.
pub(super) fn columns(group: &Group) -> (Vec<usize>, Vec<String>) {
    let lengths = || group.contenders.iter().flat_map(|c| &c.lengths);
    let hops: BTreeSet<usize> = lengths().filter_map(|l| l.hops).collect();
    let hops: Vec<usize> = hops.into_iter().collect();
    let mut columns: Vec<String> = hops.iter().map(|d| format!("{d} hops")).collect();
    columns.extend(lengths().find(|l| l.hops.is_none()).map(|l| l.label(&hops)));
    (hops, columns)
}

/// An estimate in a cell: mean and interval, or median and how many are censored.
pub(crate) fn said(e: &Estimate) -> String {
    let median = e.p50.map_or_else(|| "none".into(), |m| format!("median {}", short(m)));
    match (e.mean, e.interval) {
        (Some(mean), Some(i)) => format!("{} [{}, {}]", short(mean), short(i.low), short(i.high)),
        (Some(mean), None) => short(mean),
        (None, _) => format!("{median}, {} of {} censored", e.censored, e.n),
    }
}

fn differences(group: &Group) -> String {
    if group.contenders.len() > MOST_PAIRED {
        return "\nDifferences of every two: --format json\n".into();
    }
    let row = |p: &Pair| {
        let difference = p.difference.map_or_else(|| "-".into(), short);
        let range = p
            .interval
            .map_or_else(|| "-".into(), |i| format!("[{}, {}]", short(i.low), short(i.high)));
        let wins = format!("{} : {} : {}", p.a_better, p.ties, p.b_better);
        let verdict = p.better.clone().or_else(|| p.why.clone()).unwrap_or_default();
        vec![p.measure.to_owned(), format!("{} - {}", p.a, p.b), difference, range, wins, verdict]
    };
    let shown = group.pairs.iter().filter(|p| PAIRED.contains(&p.measure));
    let head =
        ["", "difference of", "mean", "95 %, all together", "better : equal : worse", "better"];
    text(&head.map(str::to_owned), shown.map(row))
}

fn rankings(group: &Group) -> String {
    let mut out = String::from("\n");
    for ranking in group.rankings.iter().filter(|r| SHOWN.contains(&r.measure)) {
        let line = match (&ranking.order, &ranking.why) {
            (Some(order), _) => order.join(" > "),
            (None, why) => format!("not ranked: {}", why.as_deref().unwrap_or_default()),
        };
        let about = find(ranking.measure).map_or("", |m| m.about);
        let _ = writeln!(out, " {} ({about}): {line}", ranking.measure);
    }
    out
}

fn text(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head).add_rows(rows);
    let lines = table.lines().map(|line| format!("{}\n", line.trim_end()));
    format!("\n{}", lines.collect::<String>())
}

/// A number for people: at most four digits behind the point that matter.
pub(super) fn short(value: f64) -> String {
    crate::reproduce::row::round((value * 1e4).round() / 1e4)
}

/// Pretty JSON and a newline.
pub fn json(comparison: &Comparison) -> String {
    serde_json::to_string_pretty(comparison).expect("invariant: plain data") + "\n"
}

/// Every number that went in, one a line.
pub fn csv(comparison: &Comparison) -> String {
    let head =
        ["run", "seed", "world", "block", "group", "contender", "measure", "value", "censored"];
    let mut out = csv::line(head);
    for raw in &comparison.raw {
        let run = &comparison.runs[raw.run];
        let numbers = [run.seed.to_string(), run.block.to_string(), csv::number(raw.value)];
        let [seed, block, value] = &numbers;
        let censored = raw.censored.to_string();
        out += &csv::line([
            &run.run,
            seed,
            &run.world,
            block,
            &raw.group,
            &raw.contender,
            raw.measure,
            value,
            &censored,
        ]);
    }
    out
}
