//! What went wrong in a run, by what the summary counts: one sentence for each loss, refusal, silence and fault.

use super::text::value;
use crate::summary::{FaultRow, Question, SchemeRow, Summary};
use maud::{Markup, html};

/// Sentences, turn by turn; empty where nothing is known to have gone wrong.
pub(super) fn list(summary: &Summary) -> Vec<String> {
    let mut out = summary.reasons.clone();
    for row in &summary.schemes {
        out.extend(of_turn(row).into_iter().map(|what| format!("{}: {what}", row.scheme)));
    }
    out.extend(summary.faults.iter().map(|row| format!("{}: {}", row.scheme, fault(row))));
    out.extend(summary.clocks.iter().map(|clock| {
        let (router, fast) = (&clock.router, clock.fast_s);
        format!("{}: the clock of {router} was {fast:+.3} s from the lab's", clock.scheme)
    }));
    out.extend(summary.effects.iter().filter(|e| !e.met).map(|e| {
        let (effect, why) = (&e.effect, e.why.as_deref().unwrap_or("missed"));
        format!(
            "{}: agreed {} {}, got {}: {why}",
            effect.scheme,
            effect.measure,
            effect.want,
            value(&e.got)
        )
    }));
    if let Some(left) = summary.left_behind.filter(|left| *left > 0) {
        out.push(format!("{left} objects were left on the host"));
    }
    out
}

fn of_turn(row: &SchemeRow) -> Vec<String> {
    let seen = &row.observations;
    let counted = [
        (row.packets.leaked, "packets seen where none may be"),
        (row.packets.dropped, "packets dropped by routers"),
        (row.honest.sent.saturating_sub(row.honest.arrived), "honest packets that did not arrive"),
        (seen.lost, "observations lost"),
        (seen.refused, "reports refused"),
    ];
    let said = counted.into_iter().filter(|(n, _)| *n > 0);
    let mut out: Vec<String> = said.map(|(n, what)| format!("{n} {what}")).collect();
    let Some(inquiry) = &row.inquiry else { return out };
    out.extend(inquiry.asked.iter().filter_map(no_answer));
    if inquiry.unseen > 0 {
        out.push(format!("of {} packets nobody told a way", inquiry.unseen));
    }
    out.extend(inquiry.odd.iter().cloned());
    out
}

/// A question that brought no answer.
fn no_answer(question: &Question) -> Option<String> {
    let what = match question.status.as_str() {
        "refused" => "refused",
        "silent" => "was silent",
        "pending" => "had not decided in time",
        "failed" => "could not be asked",
        _ => return None,
    };
    let why = question.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    Some(format!("{} {what}{why}", question.domain))
}

fn fault(row: &FaultRow) -> String {
    let why = row.why.as_ref().map_or_else(String::new, |why| format!(" did not happen: {why}"));
    let cost = [
        (row.packets_lost, "packets"),
        (row.observations_lost, "observations"),
        (row.reports_late, "reports came late"),
    ];
    let cost = cost.iter().filter_map(|(n, what)| Some(format!("{} {what}", (*n)?)));
    let cost: Vec<String> = cost.collect();
    let cost = if cost.is_empty() { String::new() } else { format!(" ({})", cost.join(", ")) };
    format!("{} as planned, {}{why}{cost}", row.fault, row.what)
}

pub(super) fn html(summary: &Summary) -> Markup {
    let all = list(summary);
    html! {
        @if all.is_empty() { p { "Nothing is known to have gone wrong." } }
        @else { ul { @for what in all { li { (what) } } } }
    }
}
