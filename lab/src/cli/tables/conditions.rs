//! Tables of what links do and what fails, and of what carries it in each world.

use super::table;
use crate::plan::{Conditions, Failure, Plan};
use crate::units::{BitRate, Quantity, Size, Span};

/// Conditions of links that have any, each way, and who makes them true.
pub(super) fn links(plan: &Plan) -> Option<String> {
    let special = |link: &usize| {
        let own = &plan.links[*link];
        own.loss_ppm > 0 || own.ways != [Conditions::default(); 2]
    };
    let mut rows = vec![];
    for link in (0..plan.links.len()).filter(special) {
        let own = &plan.links[link];
        let names = [own.a, own.b].map(|end| plan.node_name(end.node));
        for side in 0..2 {
            let c = own.conditions(side);
            let (from, to) = (names[side], names[1 - side]);
            let some = |amount: u64, text: String| if amount > 0 { text } else { "-".to_owned() };
            let loss = c.loss_ppm.unwrap_or(0);
            rows.push([
                format!("{from} -> {to}"),
                some(c.rate_bps, BitRate::of(c.rate_bps).to_string()),
                some(c.rate_bps, Size::of(c.queue_bytes.into()).to_string()),
                some(c.delay.0, Span::of(c.delay.0).to_string()),
                some(c.jitter.0, Span::of(c.jitter.0).to_string()),
                some(loss.into(), format!("{} %", f64::from(loss) / 1e4)),
                carrier(&c).to_owned(),
            ]);
        }
    }
    let header = ["WAY", "RATE", "QUEUE", "DELAY", "JITTER", "LOSS", "IN NETNS AND HOSTS"];
    let below = " sim computes all of it by the same law; compose refuses it\n";
    table("CONDITIONS OF LINKS", header, rows).map(|table| table + below)
}

/// What makes conditions true in namespaces.
fn carrier(conditions: &Conditions) -> &'static str {
    match (conditions.is_timed(), conditions.loss_ppm.unwrap_or(0) > 0) {
        (true, true) => "own link stage; loss in eBPF",
        (true, false) => "own link stage",
        (false, true) => "eBPF",
        (false, false) => "-",
    }
}

/// Faults, and who makes them in each world.
pub(super) fn faults(plan: &Plan) -> Option<String> {
    let row = |fault: &crate::plan::Fault| {
        let lasts = fault.lasts.map_or("the rest".to_owned(), |l| Span::of(l.0).to_string());
        let sim = match fault.what.not_in_sim() {
            Some(why) => format!("not: {why}"),
            None if matches!(fault.what, Failure::Kill { .. }) => "agent silent".to_owned(),
            None => "computed".to_owned(),
        };
        let at = Span::of(fault.at.0).to_string();
        let netns = maker(&fault.what).to_owned();
        [fault.id.clone(), plan.fault_in_words(fault), at, lasts, sim, netns]
    };
    let rows = plan.faults.iter().map(row).collect();
    let header = ["FAULT", "WHAT", "AT", "FOR", "IN WORLD SIM", "IN NETNS AND HOSTS"];
    let below = " compose refuses faults of links and a full disk\n";
    table("FAULTS", header, rows).map(|table| table + below)
}

/// What makes something fail in namespaces.
fn maker(what: &Failure) -> &'static str {
    match what {
        Failure::Cut { .. } | Failure::Loss { .. } => "eBPF",
        Failure::Delay { .. } | Failure::Rate { .. } => "own link stage",
        Failure::Kill { .. } => "SIGKILL",
        Failure::Line { .. } => "relay before the collector",
        Failure::Clock { .. } => "the agent's own offset",
        Failure::DiskFull => "tmpfs of the collector's",
        Failure::Slow { .. } => "the agents' configuration",
    }
}
