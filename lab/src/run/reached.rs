//! What a finding is good for: the three capabilities by which X.1205's supplement 10 sorts methods, and the nations
//! that packets came from beside those that they claim.

use super::turn::Turn;
use crate::plan::{Class, Flow, Plan};
use crate::summary::{Reached, SourceNation};
use crate::traffic;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::disclose::Cut;
use traceback::graph::Finding;
use traceback::packet::Packet;
use traceback::score::Levels;

/// What addresses that are no host's of the plan claim.
const NOBODY: &str = "-";

/// Shares of true paths of which a turn's finding tells source, ingress and anything at all; and of who set the
/// attack going.
pub(super) fn capabilities(
    plan: &Plan,
    (cut, turn): (&Cut, &Turn),
    truth: &BTreeSet<Vec<RouterId>>,
    levels: &Levels,
) -> Reached {
    let finding = turn.outcome.finding.as_ref().ok();
    let named = named(finding);
    // A name that stands for several routers is none of theirs.
    let knows = |router: &RouterId| named.contains(router) && cut.shown().index(*router).is_some();
    let home = plan.domains.get(plan.home()).map(|domain| &domain.id);
    let own: BTreeSet<RouterId> =
        plan.routers.iter().filter(|r| Some(&r.domain) == home).map(|r| r.id).collect();
    let share = |holds: &dyn Fn(&Vec<RouterId>) -> bool| {
        let count = truth.iter().filter(|path| holds(path)).count();
        (!truth.is_empty()).then(|| count as f64 / truth.len() as f64)
    };
    Reached {
        source: levels.source.recall,
        ingress: share(&|path| path.iter().find(|router| own.contains(router)).is_some_and(knows)),
        partial: share(&|path| path.iter().any(knows)),
        origin: levels.source.recall.and_then(|_| origin(plan, cut, turn)),
    }
}

/// Share of the hosts whose own packets began the attack whose router the finding names as a source. Reflectors only
/// answer: behind them there is somebody else.
fn origin(plan: &Plan, cut: &Cut, turn: &Turn) -> Option<f64> {
    let sent = |flow: &&Flow| turn.traffic.sent.get(&flow.id).is_some_and(|n| *n > 0);
    let attacks = plan.flows.iter().filter(|f| f.class == Class::Attack && f.reflects.is_none());
    let hosts: BTreeSet<usize> = attacks.filter(sent).map(|flow| flow.from).collect();
    let named = sources(turn.outcome.finding.as_ref().ok());
    let knows = |host: &&usize| {
        let router = plan.routers[plan.hosts[**host].router].id;
        named.contains(&router) && cut.shown().index(router).is_some()
    };
    let found = hosts.iter().filter(knows).count();
    (!hosts.is_empty()).then(|| found as f64 / hosts.len() as f64)
}

/// Routers that a finding names.
fn named(finding: Option<&Finding>) -> BTreeSet<RouterId> {
    match finding {
        Some(Finding::Paths(graph)) => graph.routers().into_iter().map(|(id, _)| id).collect(),
        Some(Finding::Ingress { routers }) => routers.clone(),
        Some(Finding::AsPaths { .. } | Finding::Classes { .. }) | None => BTreeSet::new(),
    }
}

/// Nations of attack packets at the victim, as their source addresses claim, beside sources that were traced
/// there and that are true.
pub(super) fn nations(
    plan: &Plan,
    cut: &Cut,
    truth: &BTreeSet<Vec<RouterId>>,
    turn: &Turn,
) -> Vec<SourceNation> {
    let mut rows: BTreeMap<String, SourceNation> = BTreeMap::new();
    let mut row = |nation: &str, add: &dyn Fn(&mut SourceNation)| {
        let fresh = || SourceNation { nation: nation.into(), ..SourceNation::default() };
        add(rows.entry(nation.into()).or_insert_with(fresh));
    };
    let hosts: BTreeMap<_, _> = plan.hosts.iter().map(|h| (h.address, h.router)).collect();
    let mut player = turn.traffic.tape.play();
    while let Some((_, bytes)) = player.next() {
        let Ok(packet) = Packet::parse(bytes) else { continue };
        let Some(tag) = traffic::tag(plan.key.0, &packet) else { continue };
        if plan.flows[tag.flow as usize].class == Class::Attack {
            let at = hosts.get(&packet.source());
            let claimed = at.map_or(NOBODY, |router| plan.routers[*router].nation.as_str());
            row(claimed, &|row| row.claimed += 1);
        }
    }
    let nation = |id: &RouterId| cut.whole().router(*id).map(|router| router.nation.as_str());
    for first in truth.iter().filter_map(|path| path.first()) {
        row(nation(first).unwrap_or(NOBODY), &|row| row.sources += 1);
    }
    let shown = |id: &RouterId| cut.shown().router(*id).map(|router| router.nation.as_str());
    for first in sources(turn.outcome.finding.as_ref().ok()) {
        row(shown(&first).unwrap_or(NOBODY), &|row| row.traced += 1);
    }
    rows.into_values().collect()
}

/// Routers at which a finding says that packets entered.
fn sources(finding: Option<&Finding>) -> BTreeSet<RouterId> {
    match finding {
        Some(Finding::Paths(graph)) => {
            graph.paths.iter().filter_map(|p| p.first().copied()).collect()
        }
        Some(Finding::Ingress { routers }) => routers.clone(),
        Some(Finding::AsPaths { .. } | Finding::Classes { .. }) | None => BTreeSet::new(),
    }
}
