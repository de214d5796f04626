//! What is read off a turn, and which way is better.

use crate::plan::Plan;
use crate::summary::SchemeRow;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::graph::Finding;
use traceback::scheme::{Card, Keeper, Names};
use traceback::score::Level;

/// A number of a turn, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reading {
    /// Measured.
    Is(f64),
    /// Had not happened when the packets ended: larger than anything measured, and never 0.
    Censored,
    /// Does not exist for this scheme or this world.
    Absent,
}

impl Reading {
    /// The number, where it was measured.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Is(number) => Some(number),
            Self::Censored | Self::Absent => None,
        }
    }

    /// Readings of the same packets as one: their mean, and censored where one of them is.
    pub(super) fn joined(readings: impl Iterator<Item = Self>) -> Self {
        let present: Vec<_> = readings.filter(|r| *r != Self::Absent).collect();
        let numbers: Vec<f64> = present.iter().filter_map(|r| r.number()).collect();
        match traceback::stats::mean(&numbers) {
            Some(mean) if numbers.len() == present.len() => Self::Is(mean),
            _ if present.is_empty() => Self::Absent,
            _ => Self::Censored,
        }
    }

    fn some(number: Option<f64>) -> Self {
        number.map_or(Self::Absent, Self::Is)
    }
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Larger numbers.
    More,
    /// Smaller numbers.
    Less,
    /// Neither: it depends on the host, or on the eye.
    Neither,
}

/// A measure.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Its name.
    pub id: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Which way is better.
    pub better: Better,
}

const fn measure(id: &'static str, better: Better, about: &'static str) -> Measure {
    Measure { id, about, better }
}

/// The measure that either happens in a run or does not.
pub const COMPLETE: &str = "complete";

/// All measures, the most important first.
pub const MEASURES: &[Measure] = &[
    measure(COMPLETE, Better::More, "the finding is the whole truth and nothing besides (0 or 1)"),
    measure(
        "packets_to_complete",
        Better::Less,
        "packets of the case, from its first on, until then",
    ),
    measure("paths.exact", Better::More, "share of true paths found exactly"),
    measure("paths.wrong", Better::Less, "false paths: completions that are none"),
    measure("router.recall", Better::More, "share of true routers found at their distance"),
    measure("router.wrong", Better::Less, "false routers, or true ones at a false distance"),
    measure("edge.recall", Better::More, "share of true links found"),
    measure("edge.wrong", Better::Less, "false links"),
    measure("as.recall", Better::More, "share of true AS numbers found"),
    measure("nation.recall", Better::More, "share of true nations found"),
    measure("source.recall", Better::More, "share of true ingress routers found"),
    measure("source.wrong", Better::Less, "routers falsely called an ingress"),
    measure(
        "reached.ingress",
        Better::More,
        "share of true paths whose way into the victim's domain is found",
    ),
    measure("reached.partial", Better::More, "share of true paths of which any router is found"),
    measure(
        "reached.origin",
        Better::More,
        "share of those who set the attack going, behind reflectors too, who are named",
    ),
    measure(
        "acceptance.gap",
        Better::More,
        "honest less attack packets that a filter by marks lets in",
    ),
    measure("honest.lost", Better::Less, "share of honest packets that did not arrive"),
    measure(
        "honest.rewritten",
        Better::Less,
        "share of honest packets whose header fields marks overwrote",
    ),
    measure("ledger_bytes", Better::Less, "memory of all ledgers"),
    measure("report_bytes", Better::Less, "bytes sent to the collector"),
    measure("packets.marked", Better::Less, "header rewrites"),
    measure("mark_latency_ns.p50", Better::Less, "median of the marking step"),
    measure("reconstruct_s", Better::Neither, "wall time of the reconstruction"),
];

/// The measure of a name.
pub fn find(id: &str) -> Option<&'static Measure> {
    MEASURES.iter().find(|m| m.id == id)
}

/// What a row says that is the same on every host: all but times.
pub(crate) fn repeatable(row: &SchemeRow, card: &Card) -> BTreeMap<&'static str, Reading> {
    let mut readings = of_row(row, card);
    readings.retain(|id, _| !["reconstruct_s", "mark_latency_ns.p50"].contains(id));
    readings
}

/// Everything that a row says. A scheme is not measured by what its kind never names.
pub(super) fn of_row(row: &SchemeRow, card: &Card) -> BTreeMap<&'static str, Reading> {
    let mut readings = BTreeMap::new();
    let levels = &row.levels;
    let recall = |level: &Level| Reading::some(level.recall);
    let wrong = |level: &Level| Reading::Is(level.wrong as f64);
    if matches!(card.names, Names::Paths | Names::AsPaths | Names::Ingress) {
        let complete = row.packets_to_path.complete;
        readings.insert(COMPLETE, Reading::Is(f64::from(u8::from(complete.is_some()))));
        let packets = complete.map_or(Reading::Censored, |n| Reading::Is(n as f64));
        readings.insert("packets_to_complete", packets);
        readings.insert("as.recall", recall(&levels.r#as));
        readings.insert("nation.recall", recall(&levels.nation));
    }
    if matches!(card.names, Names::Paths | Names::Ingress) {
        readings.insert("source.recall", recall(&levels.source));
        readings.insert("source.wrong", wrong(&levels.source));
        readings.insert("reached.ingress", Reading::some(row.reached.ingress));
        readings.insert("reached.partial", Reading::some(row.reached.partial));
        readings.insert("reached.origin", Reading::some(row.reached.origin));
    }
    if matches!(card.names, Names::Paths | Names::AsPaths) {
        let share = row.paths.exact as f64 / row.paths.truth.max(1) as f64;
        readings.insert("paths.exact", Reading::Is(share));
        readings.insert("paths.wrong", Reading::Is(row.paths.wrong as f64));
    }
    if card.names == Names::Paths {
        for (found, false_ones, level) in [
            ("router.recall", "router.wrong", &levels.router),
            ("edge.recall", "edge.wrong", &levels.edge),
        ] {
            readings.insert(found, recall(level));
            readings.insert(false_ones, wrong(level));
        }
    }
    readings.extend(costs(row, card));
    let p50 = row.mark_latency_ns.p50.map(|ns| ns as f64);
    readings.insert("mark_latency_ns.p50", Reading::some(p50));
    readings
}

/// What marking costs, whatever it finds.
fn costs(row: &SchemeRow, card: &Card) -> BTreeMap<&'static str, Reading> {
    let mut readings = BTreeMap::new();
    readings.insert("acceptance.gap", Reading::some(row.acceptance.map(|a| a.gap)));
    let share = |part: u64, of: u64| Reading::some((of > 0).then(|| part as f64 / of as f64));
    let honest = &row.honest;
    readings
        .insert("honest.lost", share(honest.sent - honest.arrived.min(honest.sent), honest.sent));
    readings.insert("honest.rewritten", share(honest.rewritten, honest.seen));
    if card.keeper != Keeper::None {
        readings.insert("ledger_bytes", Reading::Is(row.ledger_bytes as f64));
        readings.insert("report_bytes", Reading::Is(row.report_bytes as f64));
        readings.insert("packets.marked", Reading::Is(row.harms.marked as f64));
        readings.insert("reconstruct_s", Reading::Is(row.reconstruct_s));
    }
    readings
}

/// What was found of one nation's routers.
pub(super) fn of_nation(
    plan: &Plan,
    truth: &BTreeSet<Vec<RouterId>>,
    finding: Option<&Finding>,
    nation: &str,
) -> BTreeMap<&'static str, Reading> {
    let home: BTreeSet<RouterId> =
        plan.routers.iter().filter(|r| r.nation == nation).map(|r| r.id).collect();
    let here = |all: BTreeSet<RouterId>| &all & &home;
    let is = here(truth.iter().flatten().copied().collect());
    let said: BTreeSet<RouterId> = match finding {
        Some(Finding::Paths(graph)) => graph.edges.iter().map(|e| e.from).collect(),
        Some(Finding::Ingress { routers }) => routers.clone(),
        Some(Finding::AsPaths { .. } | Finding::Classes { .. }) | None => BTreeSet::new(),
    };
    let said = here(said);
    let found = is.intersection(&said).count();
    let recall = (!is.is_empty()).then(|| found as f64 / is.len() as f64);
    let wrong = Reading::Is((said.len() - found) as f64);
    BTreeMap::from([("router.recall", Reading::some(recall)), ("router.wrong", wrong)])
}
