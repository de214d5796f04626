//! Rows of the summary about links, faults and clocks.

use super::turn::Turn;
use crate::plan::{Failure, Fault, Plan};
use crate::summary::{Asked, ClockRow, FaultRow, LinkRow, Measured};
use crate::truth::Opened;
use crate::world::{Carried, Happened};
use traceback::report::{Report, Role};

/// What special links did, turn by turn.
pub(super) fn links(plan: &Plan, turns: &[Turn]) -> Vec<LinkRow> {
    let rows = |turn: &Turn| -> Vec<LinkRow> {
        let scheme = &plan.schemes[turn.scheme].id;
        turn.traffic.carried.iter().map(|c| link(plan, scheme, c)).collect()
    };
    turns.iter().flat_map(rows).collect()
}

fn link(plan: &Plan, scheme: &str, carried: &Carried) -> LinkRow {
    let spec = &plan.links[carried.link];
    let mut ends = [spec.a, spec.b].map(|end| plan.node_name(end.node).to_owned());
    if carried.side == 1 {
        ends.reverse();
    }
    let [from, to] = ends;
    let own = spec.conditions(carried.side);
    let rate = (own.rate_bps > 0).then_some(own.rate_bps);
    let asked = Asked {
        rate_bps: rate,
        queue_bytes: rate.map(|_| own.queue_bytes),
        delay_ns: own.delay.0,
        jitter_ns: own.jitter.0,
        loss: f64::from(own.loss_ppm.unwrap_or(0)) / 1e6,
    };
    LinkRow { scheme: scheme.into(), from, to, asked, measured: measured(carried) }
}

fn measured(carried: &Carried) -> Measured {
    let Carried { packets, lost, full, cut, bytes, busy, .. } = *carried;
    let whole = packets - cut;
    let mut measured = Measured { packets, lost, full, cut, ..Measured::default() };
    measured.loss = (whole > 0).then(|| lost as f64 / whole as f64);
    let mut times = carried.delays.clone();
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        let why = if carried.sampled_1_in == 0 {
            "packets are timed on links that make them wait"
        } else {
            "no packet had to wait here"
        };
        return Measured { why: Some(why.into()), ..measured };
    };
    let at = |percent: usize| times[last * percent / 100];
    let median = at(50);
    let apart: u128 = times.iter().map(|t| u128::from(t.abs_diff(median))).sum();
    measured.delay_p50_ns = Some(median);
    measured.delay_p99_ns = Some(at(99));
    measured.delay_max_ns = Some(times[last]);
    measured.jitter_mean_ns = u64::try_from(apart / times.len() as u128).ok();
    measured.rate_bps = (busy > 0).then(|| bytes as f64 * 8e9 / busy as f64);
    measured.timed = times.len() as u64;
    measured.sampled_1_in = Some(carried.sampled_1_in);
    measured
}

/// What became of faults, turn by turn.
pub(super) fn faults(plan: &Plan, truth: &Opened, turns: &[Turn], world: &str) -> Vec<FaultRow> {
    let mut rows = vec![];
    for turn in turns {
        for (fault, happened) in plan.faults.iter().zip(&turn.traffic.faults) {
            let row = row(plan, truth, turn, fault, happened);
            // The simulator's routers count on without an agent, so nothing shows what it missed.
            let missed = row.observations_lost.filter(|_| world != "sim");
            rows.push(FaultRow { observations_lost: missed, ..row });
        }
    }
    rows
}

fn row(plan: &Plan, truth: &Opened, turn: &Turn, fault: &Fault, happened: &Happened) -> FaultRow {
    let seconds = |at: traceback::Nanos| at.0 as f64 / 1e9;
    let scheme = &plan.schemes[turn.scheme].id;
    let on = happened.began.is_some();
    let clocks = |router: &usize| turn.outcome.clocks.get(&plan.routers[*router].id).copied();
    let clock = matches!(fault.what, Failure::Clock { .. });
    let clock = fault.what.agents().iter().filter(|_| clock).find_map(clocks);
    FaultRow {
        scheme: scheme.clone(),
        fault: fault.id.clone(),
        what: plan.fault_in_words(fault),
        asked_at_s: seconds(fault.at),
        asked_for_s: fault.lasts.map(seconds),
        began_s: happened.began.map(seconds),
        ended_s: happened.ended.map(seconds),
        packets_lost: happened.packets_lost,
        observations_lost: unreported(plan, truth, turn, fault).filter(|_| on),
        reports_late: late(plan, turn, fault, happened),
        clock_off_s: clock,
        recovery_s: happened.recovered.map(seconds),
        why: happened.why.clone(),
    }
}

/// Packets that taps saw at a router whose agent was killed, and that none of its reports counts.
fn unreported(plan: &Plan, truth: &Opened, turn: &Turn, fault: &Fault) -> Option<u64> {
    let Failure::Kill { router } = fault.what else { return None };
    let id = plan.routers[router].id;
    let counted = truth.counted.get(&plan.schemes[turn.scheme].id)?;
    let tapped: u64 = counted.taps.get(&id).map_or(0, |flows| flows.values().sum());
    let reported = turn.outcome.counters.get(&id).map_or(0, |c| c.received);
    Some(tapped.saturating_sub(reported))
}

/// Reports that could not be handed in when they were made.
fn late(plan: &Plan, turn: &Turn, fault: &Fault, happened: &Happened) -> Option<u64> {
    let full = fault.what == Failure::DiskFull;
    if !full && !matches!(fault.what, Failure::Line { .. }) {
        return None;
    }
    let cut_off: Vec<_> = fault.what.agents().iter().map(|r| plan.routers[*r].id).collect();
    let (began, ended) = (happened.began?, happened.ended?);
    let zero = turn.traffic.zero.0;
    let while_on = zero + began.0..zero + ended.0;
    let reports = turn.outcome.reports.iter().filter_map(|bytes| Report::decode(bytes).ok());
    let mine = |r: &Report| full || r.role == Role::Router && cut_off.contains(&r.router);
    let late = reports.filter(|r| mine(r) && while_on.contains(&r.window.to.0)).count();
    Some(late as u64)
}

/// Agents whose clocks were wrong.
pub(super) fn clocks(plan: &Plan, turns: &[Turn]) -> Vec<ClockRow> {
    let mut rows = vec![];
    for turn in turns {
        for (router, fast_s) in &turn.outcome.clocks {
            let name = plan.routers.iter().find(|r| r.id == *router).map(|r| r.name.clone());
            let router = name.unwrap_or_else(|| router.to_string());
            let scheme = plan.schemes[turn.scheme].id.clone();
            rows.push(ClockRow { scheme, router, fast_s: *fast_s });
        }
    }
    rows
}
