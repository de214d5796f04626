//! Links and faults of a run, asked and measured.

use crate::summary::{FaultRow, LinkRow, Summary};
use maud::{Markup, html};

/// What links did: what was asked for, a slash, what packets met.
pub(super) fn links(summary: &Summary) -> Markup {
    html! {
        p { "Asked for / measured from the run's own packets, faults included." }
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "scheme" } th { "way" } th { "packets" } th { "lost" } th { "queue full" }
                        th { "while cut" } th { "loss" } th { "delay p50" } th { "p99" } th { "max" }
                        th { "jitter" } th { "rate" }
                    }
                }
                tbody {
                    @for row in &summary.links { (link(row)) }
                }
            }
        }
    }
}

fn link(row: &LinkRow) -> Markup {
    let (asked, got) = (&row.asked, &row.measured);
    let percent = |loss: f64| format!("{:.2} %", 100.0 * loss);
    let beside = |asked: String, got: Option<String>| {
        format!("{asked} / {}", got.unwrap_or_else(|| "-".into()))
    };
    html! {
        tr {
            td { (row.scheme) } td { (row.from) " to " (row.to) } td { (got.packets) } td { (got.lost) }
            td { (got.full) } td { (got.cut) }
            td { (beside(percent(asked.loss), got.loss.map(percent))) }
            td { (beside(ms(asked.delay_ns), got.delay_p50_ns.map(ms))) }
            td { (got.delay_p99_ns.map_or_else(|| "-".into(), ms)) }
            td { (got.delay_max_ns.map_or_else(|| "-".into(), ms)) }
            td { (beside(ms(asked.jitter_ns), got.jitter_mean_ns.map(ms))) }
            td {
                (beside(asked.rate_bps.map_or_else(|| "-".into(), |r| mbit(r as f64)), got.rate_bps.map(mbit)))
            }
        }
        @if let Some(why) = &got.why {
            tr { td {} td colspan="11" class="note" { (why) } }
        }
    }
}

fn ms(ns: u64) -> String {
    format!("{:.2} ms", ns as f64 / 1e6)
}

fn mbit(bps: f64) -> String {
    format!("{:.2} Mbit/s", bps / 1e6)
}

/// What became of faults, and whose clocks were wrong.
pub(super) fn faults(summary: &Summary) -> Markup {
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "scheme" } th { "fault" } th { "what" } th { "asked" } th { "began" }
                        th { "ended" } th { "packets lost" } th { "observations lost" }
                        th { "reports late" } th { "recovery" }
                    }
                }
                tbody {
                    @for row in &summary.faults { (fault(row)) }
                }
            }
        }
        @for clock in &summary.clocks {
            p {
                (clock.scheme) ": the clock of " b { (clock.router) } " was "
                (format!("{:+.3} s", clock.fast_s)) " from the lab's."
            }
        }
    }
}

fn fault(row: &FaultRow) -> Markup {
    let seconds = |s: Option<f64>| s.map_or_else(|| "-".into(), |s| format!("{s:.3} s"));
    let count = |n: Option<u64>| n.map_or_else(|| "-".into(), |n| n.to_string());
    let lasts = row.asked_for_s.map_or_else(|| " on".into(), |s| format!(" for {s} s"));
    html! {
        tr {
            td { (row.scheme) } td { (row.fault) } td { (row.what) }
            td { "after " (row.asked_at_s) " s" (lasts) }
            td { (seconds(row.began_s)) } td { (seconds(row.ended_s)) } td { (count(row.packets_lost)) }
            td { (count(row.observations_lost)) } td { (count(row.reports_late)) }
            td { (seconds(row.recovery_s)) }
        }
        @if let Some(why) = &row.why {
            tr { td {} td colspan="9" class="note" { (why) } }
        }
    }
}
