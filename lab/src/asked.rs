//! What domains told each other, as a finding that is scored like any other.

use crate::plan::{Exchange, Plan, SchemePlan};
use anyhow::Result;
use ashiato_collector::exchange::join::Stretch;
use ashiato_collector::exchange::{Begin, Joined};
use std::collections::BTreeMap;
use traceback::RouterId;
use traceback::case::{Case, Gap};
use traceback::disclose::{Cut, Shown, Tlp};
use traceback::graph::{AttackGraph, Finding};

/// What the victim's domain is told to begin.
pub(crate) fn begin(scheme: &SchemePlan, case: &Case, asks: &Exchange) -> Begin {
    Begin {
        scheme: scheme.id.clone(),
        params: Some(scheme.params.clone()),
        case: case.clone(),
        mode: asks.mode.into(),
        purpose: asks.purpose.clone(),
        tlp: Tlp::default(),
        deadline_ms: asks.within.0 / 1_000_000,
        patience_ms: 0,
        exercise: asks.exercise,
        verify: false,
        names: BTreeMap::new(),
    }
}

/// The paths that were told, in names of the map that domains show when they are asked. What a domain only
/// says to be there has no name.
///
/// # Errors
/// Where the plan was tampered with.
pub(crate) fn finding(plan: &Plan, joined: &Joined) -> Result<Result<Finding, Gap>> {
    if let Some(finding) = &joined.finding {
        return Ok(finding.clone());
    }
    Ok(finding_of(plan, &plan.told()?, joined, |_| true))
}

/// The same of those domains alone that `known` names, as far as they hang together from the victim on; `cut` is
/// the map that is told ([`Plan::told`]).
pub(crate) fn finding_of(
    plan: &Plan,
    cut: &Cut,
    joined: &Joined,
    known: impl Fn(&str) -> bool,
) -> Result<Finding, Gap> {
    let path = |stretches: &[Stretch]| {
        let unknown = stretches.iter().rposition(|s| s.told && !known(&s.domain));
        let stretches = &stretches[unknown.map_or(0, |at| at + 1)..];
        let hops = stretches.iter().flat_map(|s| s.hops.iter().map(|hop| (&s.domain, hop)));
        let mut names: Vec<RouterId> =
            hops.filter_map(|(domain, hop)| name(plan, cut, domain, hop)).collect();
        names.dedup();
        names
    };
    let paths = joined.ways.iter().map(|way| path(&way.stretches));
    let graph = AttackGraph::from_paths(paths);
    if graph.paths.is_empty() {
        let what = format!("the {} packets shown, in any domain's logs", joined.packets);
        return Err(Gap::Nothing { what });
    }
    Ok(Finding::Paths(graph))
}

/// The name of a hop on the map that is told.
fn name(plan: &Plan, cut: &Cut, domain: &str, hop: &Shown) -> Option<RouterId> {
    let node = |is: &dyn Fn(&crate::plan::RouterPlan) -> bool| {
        let own = |r: &crate::plan::RouterPlan| r.domain == domain && is(r);
        let router = plan.routers.iter().position(own)?;
        Some(cut.node(u32::try_from(router).ok()?)?.id)
    };
    match hop {
        Shown::Router { id } | Shown::Alias { id } => cut.shown().router(*id).map(|r| r.id),
        Shown::As { asn } => node(&|router| router.asn == *asn),
        Shown::Nation { .. } => node(&|_| true),
        Shown::Present | Shown::Hidden { .. } => None,
    }
}
