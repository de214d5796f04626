//! A comparison as one page without scripts: facts, estimates, and differences with their intervals.

use super::pairs::Pair;
use super::print::{SHOWN, columns, said, short};
use super::{Comparison, Contender, Group, labs, word};
use crate::report::chart::Scale;
use crate::report::document;
use maud::{Markup, html};

/// The page.
pub fn html(comparison: &Comparison) -> String {
    let title = format!("{} · compared by {}", comparison.scenario, word(comparison.by));
    let body = html! {
        h1 { (title) }
        p {
            (comparison.runs.len()) " runs, " (comparison.blocks) " with different packets. Within a block "
            "all met the same packets and the same truth; all packets count from the attack's first, "
            "completion is equality with the truth, and what never ended is censored, not 0."
        }
        @for line in comparison.labs.iter().flat_map(labs::said) { p class="note" { (line) } }
        @for note in comparison.caveats.iter().chain(&comparison.missing) { p class="note" { (note) } }
        @for group in &comparison.groups { (one(group, comparison)) }
        h2 { "Runs" }
        div class="wide" { table {
            thead { tr { th { "run" } th { "lab" } th { "world" } th { "seed" } th { "block" } } }
            tbody { @for run in &comparison.runs {
                tr { td { (run.run) } td { (run.lab) } td { (run.world) } td { (run.seed) } td { (run.block) } }
            } }
        } }
    };
    document(&title, &body)
}

fn one(group: &Group, comparison: &Comparison) -> Markup {
    html! {
        @if !group.name.is_empty() { h2 { (group.name) } }
        div class="wide" { table {
            thead { tr {
                th { (word(comparison.by)) } th { "bits" } th { "knows beforehand" }
                @for id in SHOWN { th { (id) } }
            } }
            tbody { @for c in &group.contenders {
                tr {
                    td { (c.name) } td { (c.facts.bits) } td { (c.facts.knows()) }
                    @for id in SHOWN {
                        td { (c.estimates.iter().find(|e| e.measure == id).map_or("-".into(), said)) }
                    }
                }
            } }
        } }
        (by_length(group))
        @for id in SHOWN {
            @let pairs: Vec<&Pair> =
                group.pairs.iter().filter(|p| p.measure == id && p.interval.is_some()).collect();
            @if pairs.iter().any(|p| p.a_better + p.b_better > 0) {
                h3 { "Differences in " (id) }
                div class="wide" { (forest(id, &pairs)) }
            }
        }
        h3 { "Orders" }
        @for ranking in &group.rankings {
            p {
                b { (ranking.measure) } ": "
                @match (&ranking.order, &ranking.why) {
                    (Some(order), _) => { (order.join(" > ")) }
                    (None, why) => { em { "not ranked: " (why.as_deref().unwrap_or_default()) } }
                }
            }
        }
    }
}

fn by_length(group: &Group) -> Markup {
    let (hops, columns) = columns(group);
    let cell = |c: &Contender, label: &str| {
        let length = c.lengths.iter().find(|l| l.label(&hops) == label);
        length.map_or_else(|| "-".to_owned(), |l| said(&l.packets))
    };
    html! {
        @if hops.len() > 1 {
            h3 { "Packets until a path stood, by its length" }
            div class="wide" { table {
                thead { tr { th {} @for label in &columns { th { (label) } } } }
                tbody { @for c in group.contenders.iter().filter(|c| !c.lengths.is_empty()) {
                    tr { td { (c.name) } @for label in &columns { td { (cell(c, label)) } } }
                } }
            } }
        }
    }
}

/// Width, height of a row, and where the names end.
const WIDTH: f64 = 640.0;
const ROW: f64 = 20.0;
const NAMES: f64 = 220.0;

/// One whisker for each pair; what does not touch 0 differs.
fn forest(id: &str, pairs: &[&Pair]) -> Markup {
    let ends = pairs.iter().filter_map(|p| p.interval).flat_map(|i| [i.low, i.high]);
    let scale = Scale::linear(ends.chain([0.0]));
    let x = |v: f64| NAMES + (WIDTH - NAMES - 20.0) * scale.at(v);
    let bottom = ROW * pairs.len() as f64;
    let label = format!("Differences in {id} with intervals");
    html! {
        svg class="plot" viewBox=(format!("0 0 {WIDTH} {}", bottom + ROW)) role="img" aria-label=(label)
            style="max-width:860px" {
            title { (label) }
            @for tick in scale.ticks() {
                path class="link" d=(format!("M{:.1} 0V{bottom}", x(tick))) {}
                text x=(format!("{:.1}", x(tick))) y=(bottom + 14.0) text-anchor="middle" { (short(tick)) }
            }
            path class="clock" d=(format!("M{:.1} 0V{bottom}", x(0.0))) {}
            @for (row, pair) in pairs.iter().enumerate() {
                @let y = ROW * (row as f64 + 0.5);
                text x=(NAMES - 8.0) y=(y + 4.0) text-anchor="end" { (pair.a) " - " (pair.b) }
                @if let (Some(i), Some(d)) = (pair.interval, pair.difference) {
                    @let class = if pair.better.is_some() { "curve c0" } else { "curve control" };
                    path class=(class) style="stroke-width:2;opacity:1"
                        d=(format!("M{:.1} {y}H{:.1}M{:.1} {}v8", x(i.low), x(i.high), x(d), y - 4.0)) {}
                }
            }
        }
    }
}
