//! What findings are good for, nations of sources, and what taking part cost domains.

use crate::summary::{Burden, Costs, Pair, SchemeRow, Summary};
use maud::{Markup, html};

/// A share, as far as there is one.
fn share(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.0} %", 100.0 * share))
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".into(), |s| format!("{s:.3} s"))
}

/// Whether a row tells of more than its control.
fn tells(row: &&SchemeRow) -> bool {
    row.scheme != "none"
}

/// The capabilities by which X.1205's supplement 10 sorts methods, as shares of true paths.
pub(super) fn reached(summary: &Summary) -> Markup {
    html! {
        div class="wide" {
            table {
                thead { tr { th { "scheme" } th { "source" } th { "ingress point" } th { "partial path" } th { "origin" } } }
                tbody {
                    @for row in summary.schemes.iter().filter(tells) {
                        tr {
                            td { (row.scheme) } td { (share(row.reached.source)) }
                            td { (share(row.reached.ingress)) } td { (share(row.reached.partial)) }
                            td { (share(row.reached.origin)) }
                        }
                    }
                }
            }
        }
        p class="note" {
            "Shares of true paths of which the finding names the router where packets entered the network, the one where "
            "they entered the victim's domain, and any router (the capabilities of ITU-T X.1205, supplement 10); share of "
            "the hosts that set the attack going, behind reflectors too, whose router it names."
        }
    }
}

/// Nations by claimed, traced and true sources.
pub(super) fn nations(summary: &Summary) -> Markup {
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "scheme" } th { "nation" } th { "attack packets that claim it" }
                        th { "sources traced to it" } th { "sources there in truth" }
                    }
                }
                tbody {
                    @for row in summary.schemes.iter().filter(tells) {
                        @for nation in &row.nations {
                            tr {
                                td { (row.scheme) } td { (nation.nation) } td { (nation.claimed) }
                                td { (nation.traced) } td { (nation.sources) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What each domain bore, how soon each answered, and what help added.
pub(super) fn costs(summary: &Summary, costs: &Costs) -> Markup {
    html! {
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "domain" } th { "questions" } th { "reports" } th { "bytes" } th { "ledgers, bytes" }
                        th { "collector's processor" } th { "agents' processor" } th { "kept, bytes" }
                    }
                }
                tbody { @for row in &costs.domains { (burden(row)) } }
            }
        }
        div class="wide" {
            table {
                thead {
                    tr {
                        th { "asker" } th { "asked" } th { "questions" } th { "answers" }
                        th { "people must decide, median" } th { "answer, median" } th { "longest" }
                    }
                }
                tbody { @for row in &costs.pairs { (pair(row)) } }
            }
        }
        @for row in summary.schemes.iter().filter(tells) {
            @if let Some(alone) = row.inquiry.as_ref().and_then(|inquiry| inquiry.alone) {
                p {
                    (row.scheme) ": alone, the victim's domain finds " (share(Some(alone.router))) " of routers and "
                    (share(Some(alone.nation))) " of nations; with the others' answers "
                    (share(row.levels.router.recall)) " and " (share(row.levels.nation.recall)) "."
                }
            }
        }
    }
}

fn burden(row: &Burden) -> Markup {
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), |b| b.to_string());
    html! {
        tr {
            td { (row.id) } td { (row.questions) } td { (row.reports) } td { (row.report_bytes) }
            td { (row.ledger_bytes) } td { (seconds(row.collector_cpu_s)) }
            td { (seconds(row.agents_cpu_s)) } td { (bytes(row.store_bytes)) }
        }
    }
}

fn pair(row: &Pair) -> Markup {
    html! {
        tr {
            td { (row.asker) } td { (row.asked) } td { (row.questions) } td { (row.answered) }
            td { (seconds(row.acknowledged_s.get("p50").copied())) }
            td { (seconds(row.answered_s.get("p50").copied())) }
            td { (seconds(row.answered_s.get("max").copied())) }
        }
    }
}
