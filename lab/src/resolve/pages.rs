//! Sizes of log pages: large enough that hardly a router is named by mistake in a whole run.

use crate::plan::{Flow, Node, Plan};
use crate::traffic;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use traceback::law::filter;
use traceback::schemes::pages;

/// Expected number of false routers that sized log pages stay below, in a whole run.
pub const WANTED_FALSE_ROUTERS: f64 = 1e-4;
/// Pages are sized for this share of it, because routers also log packets that no plan foresees.
const MARGIN: f64 = 0.5;
/// Packets that no plan foresees: neighbour discovery, routers' own messages.
const UNFORESEEN: u64 = 1_024;
/// Packets of the fullest page that is sized; busier routers fill several.
const FULLEST: u64 = 1 << 20;

/// What one turn asks of a router's log.
struct Load {
    /// Packets at the busiest router, with some to spare.
    packets: u64,
    /// Time from the first departure to the last.
    ms: u64,
    /// Questions to routers beside the paths of all sampled packets.
    questions: f64,
}

impl Load {
    fn of(plan: &Plan) -> Self {
        let mut load = vec![0_u64; plan.routers.len()];
        for flow in &plan.flows {
            for (path, packets) in flow.all_ways() {
                path.iter().for_each(|r| load[*r] += packets);
            }
        }
        let busiest = load.into_iter().max().unwrap_or(0);
        let last = |f: &Flow| traffic::last_departure(f).0;
        let beside = plan.attacks().map(|f| beside(plan, f)).max().unwrap_or(0);
        Self {
            packets: busiest + busiest / 8 + UNFORESEEN,
            ms: plan.flows.iter().map(last).max().unwrap_or(0).div_ceil(1_000_000),
            questions: beside as f64 * plan.case.samples as f64,
        }
    }

    /// Pages that one question is put to.
    fn pages(&self, params: &pages::Params) -> u64 {
        let closed = self.packets.div_ceil(params.packets.max(1));
        let aged = self.ms / params.epoch_ms.max(1);
        (closed + aged).clamp(1, params.pages.max(1) as u64)
    }
}

/// Routers beside a flow's path, which an inquiry asks without need.
pub fn beside(plan: &Plan, flow: &Flow) -> usize {
    let on: BTreeSet<_> =
        flow.all_ways().iter().flat_map(|(path, _)| path.iter().copied()).collect();
    let links = plan.links.iter().filter_map(|l| match (l.a.node, l.b.node) {
        (Node::Router(a), Node::Router(b)) => Some((a, b)),
        _ => None,
    });
    let beside = links.filter_map(|(a, b)| match (on.contains(&a), on.contains(&b)) {
        (true, false) => Some(b),
        (false, true) => Some(a),
        _ => None,
    });
    beside.filter(|r| plan.routers[*r].deployed).collect::<BTreeSet<_>>().len()
}

/// Fills in what the scenario leaves open.
pub(super) fn size(params: &mut Map<String, Value>, plan: &Plan) {
    let load = Load::of(plan);
    let usual = pages::Params::default();
    let given = |key: &str, usual: u64| params.get(key).and_then(Value::as_u64).unwrap_or(usual);
    let mut sized = pages::Params {
        packets: given("packets", load.packets.min(FULLEST)),
        epoch_ms: given("epoch_ms", usual.epoch_ms),
        pages: usize::MAX,
        ..usual
    };
    // One more than a turn fills, so that the first page is still there when it is asked for.
    let pages = usize::try_from(load.pages(&sized) + 1).unwrap_or(usize::MAX);
    sized.pages = pages.max(usual.pages);
    let chances = (load.questions * load.pages(&sized) as f64).max(1.0);
    let wanted = (MARGIN * WANTED_FALSE_ROUTERS / chances).min(0.5);
    if let Some(page) = filter::bloom_size(sized.packets, wanted) {
        (sized.bits, sized.hashes) = (page.bits.next_multiple_of(64), page.hashes);
    }
    let all = json!(sized);
    for (key, value) in all.as_object().into_iter().flatten() {
        params.entry(key).or_insert(value.clone());
    }
}

/// Expected number of routers named by mistake in a whole run, at most.
///
/// Every question to a router beside the path is a chance for each of its pages, and a router named
/// by mistake leads to questions to its own neighbours: the law of `n P / (1 - P)` extra nodes.
/// Source: snoeren2001 section 5.
pub(super) fn false_routers(params: &Value, plan: &Plan) -> Option<f64> {
    let params: pages::Params = serde_json::from_value(params.clone()).ok()?;
    let load = Load::of(plan);
    let held = params.packets.min(load.packets);
    let page = filter::bloom(params.bits, params.hashes, held);
    let router = (page * load.pages(&params) as f64).min(1.0);
    Some(load.questions * router / (1.0 - (router * degree(plan) as f64).min(0.999)))
}

/// Links to other routers of the router that has most.
fn degree(plan: &Plan) -> usize {
    let mut links = vec![0; plan.routers.len()];
    for link in &plan.links {
        if let (Node::Router(a), Node::Router(b)) = (link.a.node, link.b.node) {
            links[a] += 1;
            links[b] += 1;
        }
    }
    links.into_iter().max().unwrap_or(0)
}
