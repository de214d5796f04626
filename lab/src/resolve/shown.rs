//! Where domains do not show all of their routers: whether schemes can bear it, and the best that any answer
//! can reach.

use super::chosen;
use crate::plan::{Ceiling, Plan};
use crate::scenario::Report;
use std::collections::BTreeSet;
use traceback::RouterId;
use traceback::disclose::{Cut, Detail, changes, suits};
use traceback::graph::{AttackGraph, Finding, path_edges};
use traceback::scheme::{Keeper, Names};
use traceback::schemes::AnyScheme;
use traceback::score::{Sight, score_shown};

/// The ceilings of a scheme with answers, and of marks alone: the score of whoever says all that is shown.
///
/// # Errors
/// The scheme's answers would be wrong with what domains show, or nobody would know where paths end.
pub(super) fn ceilings(
    scheme: &dyn AnyScheme,
    plan: &Plan,
) -> Result<(Ceiling, Option<Ceiling>), Report> {
    let refuse = |why: String, mend: &str| Report::whole(why, mend);
    let cut = plan.disclosed(scheme).map_err(|e| refuse(e.to_string(), "choose another seed"))?;
    let id = scheme.card().id;
    suits(scheme, &plan.acting(scheme).map_err(|e| refuse(e.to_string(), ""))?).map_err(|why| {
        let hides = plan.domains.iter().filter(|d| d.marks() != Detail::Router);
        let hides: Vec<_> = hides.map(|d| format!("{} shows {}", d.id, d.marks())).collect();
        let what = format!("scheme \"{id}\" cannot be used where {}: {why}", hides.join(", "));
        refuse(what, "leave the scheme out, or let the domains mark = \"router\"")
    })?;
    let acts = scheme.card().keeper != Keeper::None;
    if acts && !scheme.speaks() && plan.shown_gateway(&cut).is_none() {
        let home = &plan.domains[plan.home()];
        let what = format!(
            "scheme \"{id}\": nobody knows where paths end, since {} does not show the \
                            router that delivers to the victim",
            home.id
        );
        return Err(refuse(
            what,
            "let the victim's domain mark = \"router\", \"as\", \"nation\" or \"hash\"",
        ));
    }
    let answered = recall(scheme, plan, &cut, &plan.answered(scheme, &cut))?;
    let marks = match scheme.card().keeper {
        Keeper::Victim => recall(scheme, plan, &cut, &Sight::of_marks(&cut))?,
        Keeper::Routers | Keeper::None => Ceiling::default(),
    };
    Ok((answered, Some(marks)))
}

/// The recall of whoever says all that routers who take part show of the truth.
fn recall(
    scheme: &dyn AnyScheme,
    plan: &Plan,
    cut: &Cut,
    sight: &Sight<'_>,
) -> Result<Ceiling, Report> {
    let card = scheme.card();
    let mut truth = BTreeSet::new();
    let mut graph = AttackGraph::default();
    let (mut entries, mut systems) = (BTreeSet::new(), BTreeSet::new());
    for (path, _) in plan.attacks().flat_map(|flow| flow.all_ways()) {
        let ids: Vec<RouterId> = path.iter().map(|r| plan.routers[*r].id).collect();
        let shown = cut.project(&ids);
        let names: Vec<RouterId> = shown.iter().map(|(_, name)| *name).collect();
        once(&names, &ids, plan)?;
        let telling = chosen::tellable(&card, plan, &within(scheme, plan, path, &shown));
        let told: Vec<bool> = shown.iter().map(|(at, _)| telling.contains(&path[*at])).collect();
        let edges = path_edges(&names).zip(&told).filter(|(_, told)| **told);
        graph.edges.extend(edges.map(|(edge, _)| edge));
        let first = shown.first().filter(|(at, _)| *at == 0 && told[0]);
        entries.extend(first.map(|(_, name)| *name));
        let speaking = names.iter().zip(&told).filter(|(_, told)| **told).map(|(name, _)| *name);
        systems.insert(cut.shown().as_path(&speaking.collect::<Vec<_>>()));
        truth.insert(ids);
    }
    let said = match card.names {
        Names::Paths => Some(Finding::Paths(graph)),
        Names::Ingress => Some(Finding::Ingress { routers: entries }),
        Names::AsPaths => Some(Finding::AsPaths { paths: systems }),
        Names::Classes | Names::Nothing => None,
    };
    Ok(Ceiling::of(&score_shown(&truth, said.as_ref(), sight).levels))
}

/// The routers of a path that questions reach or marks come from: where routers keep logs, domains that tell
/// nothing are passed over, unless only they could say what the packet was when it came to them.
fn within(
    scheme: &dyn AnyScheme,
    plan: &Plan,
    path: &[usize],
    shown: &[(usize, RouterId)],
) -> Vec<usize> {
    if scheme.card().keeper != Keeper::Routers {
        return path.to_vec();
    }
    let refuses = |router: &usize| plan.answers_of(plan.domain_at(*router)) == Detail::None;
    let last = path.iter().rposition(refuses).filter(|_| changes(scheme));
    let reached = shown.iter().filter(|(at, _)| last.is_none_or(|last| *at > last));
    reached.map(|(at, _)| path[*at]).collect()
}

/// Refuses a path that enters one system, or one nation, twice: distances of marks say nothing then.
fn once(names: &[RouterId], path: &[RouterId], plan: &Plan) -> Result<(), Report> {
    let different: BTreeSet<_> = names.iter().collect();
    if different.len() == names.len() {
        return Ok(());
    }
    let name = |id: &RouterId| plan.routers.iter().find(|r| r.id == *id).map(|r| r.name.as_str());
    let path: Vec<_> = path.iter().filter_map(name).collect();
    let what = format!("the path {} enters one system or nation twice", path.join(" "));
    Err(Report::whole(what, "let its domain mark = \"router\" or \"border\""))
}
