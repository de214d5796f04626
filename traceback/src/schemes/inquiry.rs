//! Asking router after router about packets, from the victim's gateway outwards.
//!
//! For schemes whose routers remember what they forwarded: every router that says yes has its neighbours
//! asked next, until nobody further has seen the packet.

use crate::case::{Answer, Case, Gap, Query, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::scheme::RouterId;
use crate::schemes::Answers;
use std::collections::{BTreeMap, BTreeSet};

/// Paths listed at most for one packet; with sound logs there is one.
const MAX_PATHS: usize = 1_000;

/// What to ask next about the packets that routers know under these keys, or the paths.
///
/// # Errors
/// [`Gap::Nothing`] where there is no key, or the gateway saw none of the packets.
pub(super) fn next(case: &Case, answers: &Answers, keys: Vec<u64>) -> Result<Step, Gap> {
    if keys.is_empty() {
        return Err(Gap::Nothing { what: "a sampled packet to ask about".into() });
    }
    let query = Query { keys, from: case.window.from, to: case.window.to };
    let ours = answers.iter().filter(|((_, asked), _)| *asked == query);
    let said = ours.map(|((router, _), answer)| (*router, answer.as_ref())).collect();
    let mut graph = AttackGraph::default();
    let mut ask = BTreeSet::new();
    for key in 0..query.keys.len() {
        let edges = walk(case, &said, key, &mut ask);
        graph.join(AttackGraph::from_edges(edges, MAX_PATHS));
    }
    if !ask.is_empty() {
        return Ok(Step::Ask(ask.into_iter().map(|r| (r, query.clone())).collect()));
    }
    if graph.edges.is_empty() {
        return Err(Gap::Nothing { what: "a gateway that saw a sampled packet".into() });
    }
    Ok(Step::Done(Finding::Paths(graph)))
}

/// Follows one packet from the gateway outwards as far as answers go, and notes whom to ask next.
///
/// Routes of fewest hops have no shortcuts, so a router that saw the packet lies exactly as far out
/// as the walk reaches it.
fn walk(
    case: &Case,
    answers: &BTreeMap<RouterId, Option<&Answer>>,
    key: usize,
    ask: &mut BTreeSet<RouterId>,
) -> BTreeSet<Edge> {
    let saw = |router: RouterId| {
        let answer = answers.get(&router)?;
        Some(answer.is_some_and(|a| a.values.get(key).is_some_and(Option::is_some)))
    };
    let mut edges = BTreeSet::new();
    let mut placed = BTreeSet::from([case.gateway]);
    let mut front: Vec<(RouterId, Option<RouterId>)> = vec![(case.gateway, None)];
    for distance in 0..case.budget.hops {
        let mut next = vec![];
        for (from, to) in front {
            match saw(from) {
                None => {
                    ask.insert(from);
                }
                Some(false) => {}
                Some(true) => {
                    edges.insert(Edge { distance, from, to });
                    let near = case.map.neighbours(from).filter(|n| !case.beyond.contains(n));
                    next.extend(near.map(|n| (n, Some(from))));
                }
            }
        }
        next.retain(|(router, _)| !placed.contains(router));
        placed.extend(next.iter().map(|(router, _)| *router));
        front = next;
    }
    edges
}
