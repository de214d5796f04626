//! Links at work in the simulator: what is cut, lost, held up or refused by a full queue.

use super::{Leg, Moving};
use crate::plan::{Conditions, Plan, Strait, jitter_draw};
use crate::traffic::Tag;
use crate::world::{Carried, Happened};
use traceback::Nanos;
use traceback::invariant::mix2;
use traceback::stats::below;

/// Every way of every link: position twice, then the side.
pub(super) struct Straits {
    ways: Vec<Way>,
}

/// One way of a link.
#[derive(Default)]
struct Way {
    special: bool,
    strait: Strait,
    carried: Carried,
    /// When the first packet came out.
    first: Option<Nanos>,
}

impl Straits {
    pub(super) fn of(plan: &Plan) -> Self {
        let way = |link, side| Way {
            special: plan.is_special(link),
            carried: Carried { link, side, sampled_1_in: 1, ..Carried::default() },
            ..Way::default()
        };
        let links = 0..plan.links.len();
        Self { ways: links.flat_map(|link| [way(link, 0), way(link, 1)]).collect() }
    }

    /// When a packet comes out at the other end; `None` where it does not.
    pub(super) fn pass(&mut self, plan: &Plan, leg: Leg, moving: &Moving) -> Option<Nanos> {
        let side = plan.links[leg.link].side(leg.from);
        let number = leg.link * 2 + side;
        let way = &mut self.ways[number];
        if !way.special {
            return Some(leg.at);
        }
        let tag = moving.tag;
        way.carried.packets += u64::from(tag.is_some());
        let Some(conditions) = plan.conditions_at(leg.link, side, leg.at) else {
            way.carried.cut += u64::from(tag.is_some());
            return None;
        };
        if tag.as_ref().is_some_and(|tag| lost(plan, leg.link, &conditions, tag)) {
            way.carried.lost += 1;
            return None;
        }
        let draw = |tag: &Tag| jitter_draw(plan.key, number as u64, tag.flow, tag.seq);
        let draw = tag.as_ref().map(draw);
        let bytes = moving.packet.as_bytes().len() as u64;
        let out = way.strait.pass(&conditions, leg.at, bytes, draw);
        match (out, tag) {
            (Some(out), Some(_)) => way.note(leg.at, out, bytes),
            (None, Some(_)) => way.carried.full += 1,
            (_, None) => {}
        }
        out
    }

    /// What all special ways did.
    pub(super) fn carried(&mut self) -> Vec<Carried> {
        let special = self.ways.iter_mut().filter(|w| w.special);
        special.map(|w| std::mem::take(&mut w.carried)).collect()
    }
}

impl Way {
    fn note(&mut self, came: Nanos, out: Nanos, bytes: u64) {
        let first = *self.first.get_or_insert(out);
        // The first packet opens the time over which bytes are counted.
        self.carried.bytes += if self.carried.delays.is_empty() { 0 } else { bytes };
        self.carried.busy = out.0 - first.0;
        self.carried.delays.push(out.0 - came.0);
    }
}

/// Whether a link loses this packet: drawn by link, flow and number, so the same in every turn.
fn lost(plan: &Plan, link: usize, conditions: &Conditions, tag: &Tag) -> bool {
    let loss = conditions.loss_ppm.unwrap_or(0);
    let place = (link as u64) << 32 | u64::from(tag.flow);
    loss > 0 && below(mix2(mix2(plan.key.1, place), tag.seq), 1_000_000) < loss as usize
}

/// What became of the plan's faults: they happen when the plan says, if the simulator can make them.
pub(super) fn happened(plan: &Plan, carried: &[Carried]) -> Vec<Happened> {
    let of = |fault: &crate::plan::Fault| {
        if let Some(why) = fault.what.not_in_sim() {
            return Happened {
                why: Some(format!("not in this world: {why}")),
                ..Happened::default()
            };
        }
        // Losses are counted for the whole turn, so they are told only where nothing else loses any.
        let alone = fault.what.link().filter(|l| plan.link_faults(*l).count() == 1);
        let plain =
            alone.filter(|l| (0..2).all(|s| plan.links[*l].conditions(s).loss_ppm == Some(0)));
        let all = |link| {
            let ways = carried.iter().filter(|c| c.link == link);
            ways.map(|c| c.cut + c.lost + c.full).sum::<u64>()
        };
        // A router here forwards on without its agent.
        let none = matches!(fault.what, crate::plan::Failure::Kill { .. }).then_some(0);
        Happened {
            began: Some(fault.at),
            ended: fault.end(),
            packets_lost: plain.map(all).or(none),
            ..Happened::default()
        }
    };
    plan.faults.iter().map(of).collect()
}
