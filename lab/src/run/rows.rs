//! Rows of the summary, made from turns and the opened truth.

use super::turn::Turn;
use super::{acceptance, convergence, inquiries, latency, reached, scheme};
use crate::plan::{Ceiling, Class, Flow, Plan, SchemePlan};
use crate::resolve::ways::Walker;
use crate::summary::{
    DomainRow, Gap, Honest, Latency, MARKS_ONLY, Packets, SchemeRow, Stage, WITH_ANSWERS, Ways,
};
use crate::traffic;
use crate::truth::Opened;
use crate::world::{Followed, Outcome, Taken};
use anyhow::Result;
use std::collections::BTreeMap;
use traceback::RouterId;
use traceback::packet::Packet;
use traceback::report::Counters;
use traceback::scheme::Keeper;
use traceback::score::{Levels, Sight, score_shown};
use traceback::vantage::Harms;

/// The row of one turn.
pub(super) fn row(plan: &Plan, truth: &Opened, turn: &Turn, datapath: &str) -> Result<SchemeRow> {
    let chosen = &plan.schemes[turn.scheme];
    let scheme = scheme(plan, turn.scheme)?;
    let (outcome, paths) = (&turn.outcome, truth.paths(&chosen.id));
    let cut = plan.disclosed(&*scheme)?;
    let said = outcome.finding.as_ref().ok();
    let (marks, sight) = (Sight::of_marks(&cut), plan.answered(&*scheme, &cut));
    let (told, answered) = (score_shown(&paths, said, &marks), score_shown(&paths, said, &sight));
    let nothing = score_shown(&paths, None, &marks).levels;
    let (case, traffic) = (&turn.case, &turn.traffic);
    let needed = convergence::packets_to_path(plan, &*scheme, case, traffic, (&paths, &cut), said);
    let inquiry = outcome.joined.as_ref();
    let inquiry = inquiry.map(|joined| inquiries::row(plan, &paths, &sight, joined)).transpose()?;
    Ok(SchemeRow {
        scheme: chosen.id.clone(),
        params: chosen.params.clone(),
        datapath: datapath.into(),
        levels: answered.levels,
        paths: told.paths,
        acceptance: acceptance::gap(plan, &*scheme, case, &traffic.tape),
        gap: outcome.finding.as_ref().err().map(gap),
        packets_to_path: needed,
        packets: packets(plan, turn),
        ways: traffic.followed.as_ref().map(|f| ways(plan, f)),
        honest: honest(plan, turn),
        mark_latency_ns: latency::summarise(outcome)?,
        control_latency_ns: Latency::absent("the plan has no scheme `none` to compare with"),
        e2e_latency_ns: latency::end_to_end(traffic),
        program_ns: outcome.program_ns,
        reconstruct_s: outcome.reconstruct_s,
        ledger_bytes: outcome.ledger_bytes,
        report_bytes: outcome.reports.iter().map(|r| r.len() as u64).sum(),
        observations: outcome.observations,
        harms: harms(outcome),
        expected_false_routers: chosen.expected_false_routers,
        stages: stages(chosen, scheme.card().keeper, [nothing, told.levels, answered.levels]),
        reached: reached::capabilities(plan, (&cut, turn), &paths, &answered.levels),
        nations: reached::nations(plan, &cut, &paths, turn),
        borders: inquiries::borders(plan, &cut, outcome),
        inquiry,
    })
}

/// The score before anybody is asked, and with answers, out of that of nothing, of marks and of answers.
fn stages(chosen: &SchemePlan, keeper: Keeper, [nothing, marks, last]: [Levels; 3]) -> Vec<Stage> {
    let (first, bound) = match keeper {
        Keeper::Victim => (marks, chosen.marks_ceiling.unwrap_or(chosen.ceiling)),
        // Logs tell nothing until somebody is asked.
        Keeper::Routers | Keeper::None => (nothing, Ceiling::default()),
    };
    let stage = |stage: &str, levels, ceiling| Stage { stage: stage.into(), levels, ceiling };
    vec![stage(MARKS_ONLY, first, bound), stage(WITH_ANSWERS, last, chosen.ceiling)]
}

fn harms(outcome: &Outcome) -> Harms {
    let mut harms = Harms::default();
    outcome.counters.values().for_each(|c| harms.add(&c.harms));
    harms
}

fn gap(gap: &traceback::case::Gap) -> Gap {
    let kind = serde_json::to_value(gap).ok().and_then(|v| Some(v.get("gap")?.as_str()?.into()));
    Gap { kind: kind.unwrap_or_else(|| "unknown".into()), why: gap.to_string() }
}

fn packets(plan: &Plan, turn: &Turn) -> Packets {
    let sent = |of: fn(&Flow) -> bool| {
        let count = |f: &Flow| turn.traffic.sent.get(&f.id).copied().unwrap_or(0);
        plan.flows.iter().filter(|f| of(f)).map(count).sum()
    };
    let counters = turn.outcome.counters.values();
    Packets {
        attack: sent(|f| f.class == Class::Attack),
        reflected: sent(|f| f.reflects.is_some()),
        legit: sent(|f| f.class == Class::Legit),
        forwarded: counters.clone().map(|c| c.forwarded).sum(),
        dropped: counters.map(Counters::dropped).sum(),
        leaked: turn.traffic.leaked,
    }
}

/// Where packets went, against the plan's own tables.
fn ways(plan: &Plan, followed: &Followed) -> Ways {
    let sum = |of: &BTreeMap<u32, Vec<Taken>>| of.values().flatten().map(|(_, n)| n).sum();
    let mut ways =
        Ways { mixed: followed.mixed.values().sum(), cut: sum(&followed.cut), ..Ways::default() };
    let walker = Walker::new(plan);
    for flow in &plan.flows {
        for seq in 0..flow.packets {
            let Some(taken) = followed.way(flow.id, seq) else { continue };
            let planned = walker.path(flow, seq).unwrap_or_default();
            if planned.iter().map(|r| plan.routers[*r].id).eq(taken.iter().copied()) {
                ways.as_planned += 1;
            } else {
                ways.otherwise += 1;
            }
        }
    }
    ways
}

/// What honest packets lost: some their way, some what their sender had written.
fn honest(plan: &Plan, turn: &Turn) -> Honest {
    let mut honest = Honest::default();
    for flow in plan.flows.iter().filter(|f| f.class == Class::Legit) {
        let count = |of: &BTreeMap<u32, u64>| of.get(&flow.id).copied().unwrap_or(0);
        honest.sent += count(&turn.traffic.sent);
        honest.arrived += count(&turn.traffic.arrived);
    }
    let (mut left, mut player) = (vec![], turn.traffic.tape.play());
    while let Some((_, bytes)) = player.next() {
        let Ok(packet) = Packet::parse(bytes) else { continue };
        let Some(tag) = traffic::tag(plan.key.0, &packet) else { continue };
        let flow = &plan.flows[tag.flow as usize];
        if flow.class == Class::Legit {
            traffic::build(&mut left, plan, flow, tag.seq);
            let field = if packet.is_v6() { 1..4 } else { 4..6 };
            honest.seen += 1;
            honest.rewritten += u64::from(left[field.clone()] != bytes[field]);
        }
    }
    honest
}

/// Why a turn makes the run void, if it does.
pub(super) fn void(plan: &Plan, truth: &Opened, turn: &Turn, tolerance: f64) -> Vec<String> {
    let id = &plan.schemes[turn.scheme].id;
    let mut reasons = vec![];
    let apart = truth.disagreement(id, &turn.outcome.counters);
    if apart > tolerance {
        let share = 100.0 * apart;
        reasons.push(format!("{id}: ledgers and taps disagree about {share:.3} % of all visits"));
    }
    if turn.traffic.leaked > 0 {
        reasons.push(format!("{id}: {} packets leaked", turn.traffic.leaked));
    }
    reasons
}

/// Puts the control's latency beside every scheme's.
pub(super) fn share_control(rows: &mut [SchemeRow]) {
    let control = rows.iter().find(|r| r.scheme == "none").map(|r| r.mark_latency_ns.clone());
    if let Some(mut control) = control {
        control.percentiles.clear();
        rows.iter_mut().for_each(|r| r.control_latency_ns = control.clone());
    }
}

/// What each domain was asked and answered, over all turns.
pub(super) fn domains(plan: &Plan, turns: &[Turn]) -> Vec<DomainRow> {
    let home: BTreeMap<_, _> = plan.routers.iter().map(|r| (r.id, r.domain.as_str())).collect();
    let total = |domain: &str, pick: fn(&Turn) -> &BTreeMap<RouterId, u64>| -> u64 {
        let mine = |(r, _): &(&RouterId, &u64)| home.get(*r) == Some(&domain);
        turns.iter().map(|t| pick(t).iter().filter(mine).map(|(_, n)| *n).sum::<u64>()).sum()
    };
    let row = |d: &crate::plan::Domain| {
        let bare = DomainRow {
            id: d.id.clone(),
            nation: d.nation.clone(),
            disclosed: d.disclosed.clone(),
            ..DomainRow::default()
        };
        if plan.exchange.is_some() {
            return inquiries::domain(turns, bare);
        }
        let requests = total(&d.id, |t| &t.outcome.asked);
        let answered = total(&d.id, |t| &t.outcome.answered);
        DomainRow { requests, answered, refused: requests.saturating_sub(answered), ..bare }
    };
    plan.domains.iter().map(row).collect()
}
