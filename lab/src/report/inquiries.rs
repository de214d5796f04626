//! What domains asked and told each other: ways drawn stretch by stretch, what is hidden as hidden.

use crate::summary::{Inquiry, Question, SchemeRow, Stretch, Summary, Way};
use maud::{Markup, html};

/// Whether there is anything to show.
pub(super) fn any(summary: &Summary) -> bool {
    summary.schemes.iter().any(|row| row.inquiry.is_some())
}

/// All turns.
pub(super) fn html(summary: &Summary) -> Markup {
    html! {
        // The control has nothing to ask about.
        @for row in summary.schemes.iter().filter(|row| row.scheme != "none") {
            @if let Some(inquiry) = &row.inquiry {
                h3 { (row.scheme) }
                (stages(row))
                (one(inquiry))
            }
        }
    }
}

/// Recall before and after questions, each beside the best that policies allow.
fn stages(row: &SchemeRow) -> Markup {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "stage" } th { "routers" } th { "systems" } th { "nations" } th { "wrong" }
                    }
                }
                tbody {
                    @for stage in &row.stages {
                        tr {
                            td { (stage.stage) }
                            @let levels = [
                                (stage.levels.router, stage.ceiling.router),
                                (stage.levels.r#as, stage.ceiling.r#as),
                                (stage.levels.nation, stage.ceiling.nation),
                            ];
                            @for (level, ceiling) in levels {
                                td { (percent(level.recall.unwrap_or(0.0))) " of at most " (percent(ceiling)) }
                            }
                            td { (stage.levels.router.wrong) }
                        }
                    }
                }
            }
        }
        @if !row.borders.is_empty() {
            p {
                "Borders crossed: "
                @for (at, border) in row.borders.iter().enumerate() {
                    @if at > 0 { "; " }
                    (border.from) " to " (border.to) " (" (border.nations) "), "
                    (border.paths) @if border.paths == 1 { " path" } @else { " paths" }
                }
                "."
            }
        }
    }
}

fn one(inquiry: &Inquiry) -> Markup {
    html! {
        p {
            (inquiry.domain)
            @if inquiry.packets > 0 { " asked about " (inquiry.packets) " packets" }
            @else if inquiry.asked.is_empty() { " had nothing to ask" }
            @else { " asked who stands behind words in marks" }
            " (" (inquiry.mode) ", for "
            (inquiry.purpose) ", TLP:" (inquiry.tlp) @if inquiry.exercise { ", EXERCISE" } ")"
            @if inquiry.seconds > 0.0 { ": " (format!("{:.2}", inquiry.seconds)) " s" } "."
            @if inquiry.unseen > 0 { " Of " (inquiry.unseen) " packets nobody told a way." }
        }
        @for way in &inquiry.ways { (drawn(way)) }
        @if !inquiry.names.is_empty() {
            p {
                "Words resolved: "
                @for (at, name) in inquiry.names.iter().enumerate() {
                    @if at > 0 { "; " } (name.word) " of " (name.domain) " is " (name.shown)
                }
                "."
            }
        }
        @if !inquiry.asked.is_empty() { (asked(&inquiry.asked)) }
        @for odd in &inquiry.odd { p class="void" { (odd) } }
    }
}

/// A way as a row of boxes, from the source to the victim's domain.
fn drawn(way: &Way) -> Markup {
    html! {
        div class="way" role="img" aria-label=(spoken(way)) {
            span class="end" { (way.packets) " packets " (way.origin) }
            @for stretch in &way.stretches {
                span class="to" { "→" }
                (boxed(stretch))
            }
            span class="to" { "→" }
            span class="end" { "victim" }
        }
    }
}

fn boxed(stretch: &Stretch) -> Markup {
    html! {
        span class=(if stretch.told { "stretch" } else { "stretch hidden" }) {
            b { (stretch.domain) } " " small { (stretch.nation) }
            @for hop in &stretch.hops {
                span class=(if hop.contains("not disclosed") { "hop hidden" } else { "hop" }) { (hop) }
            }
        }
    }
}

/// The same in words.
fn spoken(way: &Way) -> String {
    let stretch = |s: &Stretch| format!("{}: {}", s.domain, s.hops.join(", "));
    let stretches: Vec<String> = way.stretches.iter().map(stretch).collect();
    format!("{} packets {}; {}", way.packets, way.origin, stretches.join("; "))
}

fn asked(rows: &[Question]) -> Markup {
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".into(), |s| format!("{s:.3} s"));
    let more = |of: f64| format!("{:+.1} %", 100.0 * of);
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "asked" } th { "for" } th { "packets" } th { "what came" } th { "rule" }
                        th { "label" } th { "people" } th { "answer" } th { "hops told" }
                        th { "routers" } th { "systems" } th { "nations" } th { "withheld" }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            td { (row.domain) } td { (row.towards) } td { (row.packets) }
                            td { (row.status) } td { (row.rule) } td { (row.tlp) }
                            td { (seconds(row.acknowledged_s)) } td { (seconds(row.answered_s)) }
                            td { (row.told) }
                            @for part in [
                                row.added.map(|a| a.router),
                                row.added.map(|a| a.r#as),
                                row.added.map(|a| a.nation),
                            ] {
                                td { (part.map_or_else(|| "-".into(), more)) }
                            }
                            td { (row.withheld.join(", ")) }
                        }
                        @if let Some(why) = &row.why {
                            tr { td {} td colspan="12" class="note" { (why) } }
                        }
                    }
                }
            }
        }
    }
}
