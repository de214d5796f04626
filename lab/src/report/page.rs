//! `report.html`: one file, no script, nothing from elsewhere; prints well.

use super::{
    conditions, costs, graph::Drawing, inquiries, percentiles, percentiles::Which, text, troubles,
};
use crate::plan::Plan;
use crate::summary::Summary;
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page of a run, with one drawing for each finished turn.
pub fn html(summary: &Summary, plan: &Plan, drawings: &[Drawing]) -> String {
    let title = format!("{} · {}", summary.scenario, text::ending(summary));
    let ending = text::ending(summary);
    let body = html! {
        h1 { (summary.scenario) " " span class=(ending) { (ending) } }
        (facts(summary, plan))
        (aims(plan))
        h2 { "Schemes" }
        (schemes(summary))
        h2 { "What findings are good for" }
        (costs::reached(summary))
        h2 { "Nations of sources" }
        (costs::nations(summary))
        h2 { "Time of the marking step" }
        (percentiles::html(summary, Which::Mark))
        h2 { "Time from sender to victim" }
        (percentiles::html(summary, Which::EndToEnd))
        h2 { "Attack graphs" }
        (legend())
        @for drawing in drawings { (drawing.html(plan)) }
        h2 { "Agreed effects" }
        (effects(summary))
        (domains(summary))
        @if !summary.links.is_empty() {
            h2 { "Links" }
            (conditions::links(summary))
        }
        @if !summary.faults.is_empty() || !summary.clocks.is_empty() {
            h2 { "Faults" }
            (conditions::faults(summary))
        }
        h2 { "What went wrong" }
        (troubles::html(summary))
    };
    document(&title, &body)
}

/// A whole page around its body.
pub fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
    .into_string()
}

fn facts(summary: &Summary, plan: &Plan) -> Markup {
    let packets = &summary.packets;
    html! {
        p {
            "Run " code { (summary.run) } " in world " b { (summary.world) } ", seed " (summary.seed)
            ", " (format!("{:.1}", summary.duration_s)) " s. "
            (plan.routers.len()) " routers, " (plan.hosts.len()) " hosts, " (plan.domains.len())
            " domains. " (packets.attack) " attack packets ("
            (packets.reflected) " of them by reflectors) and " (packets.legit) " honest ones sent, "
            (packets.forwarded) " times forwarded, " (packets.dropped)
            " dropped, " (packets.leaked) " leaked. Left behind: "
            (summary.left_behind.map_or_else(|| "kept".into(), |n| n.to_string())) "."
        }
        p { "Plan " code { (summary.plan_sha256) } br; "Truth sealed as " code { (summary.truth_sha256) } }
        @for reason in &summary.reasons { p class="void" { (reason) } }
    }
}

/// Why the experiment was made, and who answered for what.
fn aims(plan: &Plan) -> Markup {
    html! {
        @if let Some(purpose) = &plan.purpose {
            h2 { "Purpose" }
            p { (purpose.statement) }
            @if !purpose.questions.is_empty() {
                ol { @for question in &purpose.questions { li { (question) } } }
            }
            @if let Some(hypothesis) = &purpose.hypothesis {
                p { b { "Expected beforehand: " } (hypothesis) }
            }
        }
        @if !plan.roles.is_empty() {
            div class="wide" {
                table {
                    thead { tr { th { "role" } th { "domain" } th { "duty" } } }
                    tbody {
                        @for role in &plan.roles {
                            tr { td { (role.id) } td { (role.domain) } td { (role.duty) } }
                        }
                    }
                }
            }
        }
    }
}

fn schemes(summary: &Summary) -> Markup {
    html! {
        div class="wide" {
            table {
                thead { tr { @for cell in text::head() { th { (cell) } } } }
                tbody {
                    @for row in &summary.schemes {
                        tr { @for cell in text::row(row) { td { (cell) } } }
                        @if let Some(gap) = &row.gap {
                            tr { td {} td colspan=(text::head().len() - 1) class="note" { (gap.why) } }
                        }
                    }
                }
            }
        }
    }
}

/// What lines and colours mean.
fn legend() -> Markup {
    html! {
        p class="legend" {
            @for (class, what) in [
                ("correct", "true and found"),
                ("missing", "true, not found"),
                ("wrong", "found, not true"),
            ] {
                span {
                    svg viewBox="0 0 34 12" width="34" height="12" aria-hidden="true" {
                        g class=(class) {
                            path d="M0 6H26" {}
                            polygon points="34,6 26,2 26,10" {}
                        }
                    }
                    " " (what)
                }
            }
            "Columns are hops from the victim, bands are nations; thin lines are links."
        }
    }
}

fn effects(summary: &Summary) -> Markup {
    html! {
        div class="wide" {
            table {
                thead { tr { th { "scheme" } th { "measure" } th { "wanted" } th { "got" } th { "met" } } }
                tbody {
                    @for e in &summary.effects {
                        tr {
                            td { (e.effect.scheme) } td { (e.effect.measure) } td { (e.effect.want) }
                            td title=(e.got) { (text::value(&e.got)) } td { (if e.met { "yes" } else { "no" }) }
                        }
                    }
                }
            }
        }
    }
}

fn domains(summary: &Summary) -> Markup {
    html! {
        h2 { "Domains" }
        div class="wide" {
            table {
                thead {
                    tr { th { "domain" } th { "nation" } th { "discloses" } th { "asked" } th { "answered" } th { "refused" } }
                }
                tbody {
                    @for d in &summary.domains {
                        tr {
                            td { (d.id) } td { (d.nation) } td { (d.disclosed) }
                            td { (d.requests) } td { (d.answered) } td { (d.refused) }
                        }
                    }
                }
            }
        }
        @if inquiries::any(summary) {
            h2 { "What domains told each other" }
            (inquiries::html(summary))
        }
        @if let Some(costs) = &summary.costs {
            h2 { "What it cost" }
            (costs::costs(summary, costs))
        }
    }
}

pub(super) const STYLE: &str = include_str!("page.css");
