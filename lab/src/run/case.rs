//! The case that the victim brings to the collector, made from what reached it.

use crate::plan::Plan;
use crate::tape::Tape;
use crate::traffic;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BinaryHeap;
use traceback::Nanos;
use traceback::case::{Budget, Case, Sample, Window};
use traceback::invariant::mix2;
use traceback::packet::Packet;

/// Clocks of one testbed may differ by this much, so the window is wider on both sides.
const SLACK: u64 = 1_000_000_000;

/// What a case holds beyond its plan: the file `cases/<scheme>.json` of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    window: Window,
    samples: Vec<Sample>,
}

impl Kept {
    /// That of a case.
    pub fn of(case: &Case) -> Self {
        Self { window: case.window, samples: case.samples.clone() }
    }

    /// The case again.
    ///
    /// # Errors
    /// Where the plan is no map.
    pub fn case(self, plan: &Plan, turn: usize) -> Result<Case> {
        let Self { window, samples } = self;
        Ok(Case { window, samples, ..build(plan, turn, &Tape::default())? })
    }
}

/// Builds the case: the plan's filter, the time of what matched, the packets that the victim kept, and the map
/// as far as domains disclose it to the scheme of this turn.
///
/// Which packets it keeps is drawn by flow and sequence number, so every world keeps the same.
///
/// # Errors
/// Where the plan is no map.
pub fn build(plan: &Plan, turn: usize, tape: &Tape) -> Result<Case> {
    // The lowest lots so far, the highest of them at hand.
    let mut kept = BinaryHeap::new();
    let (mut from, mut to, mut came) = (u64::MAX, 0, 0_u64);
    let mut player = tape.play();
    while let Some((at, bytes)) = player.next() {
        let Ok(mut packet) = Packet::parse(bytes) else { continue };
        // A mark may stand in the flags; no flow of a plan is in fragments.
        packet.own_fragment_bits();
        if !plan.case.filter.matches(&packet) {
            continue;
        }
        (from, to) = (from.min(at.0), to.max(at.0));
        let tag = traffic::tag(plan.key.0, &packet);
        let lot = tag.map_or(u64::MAX, |t| mix2(plan.key.1 ^ u64::from(t.flow), t.seq));
        // Of equal lots the first to arrive is kept.
        let place = (lot, came);
        came += 1;
        if kept.len() < plan.case.samples {
            kept.push((place, at, bytes.to_vec()));
        } else if let Some(mut highest) = kept.peek_mut().filter(|highest| place < highest.0) {
            *highest = (place, at, bytes.to_vec());
        }
    }
    if from > to {
        (from, to) = (0, u64::MAX);
    }
    let window =
        Window { from: Nanos(from.saturating_sub(SLACK)), to: Nanos(to.saturating_add(SLACK)) };
    let keep = |(_, at, bytes)| Sample { bytes, at };
    let samples = kept.into_sorted_vec().into_iter().map(keep).collect();
    let cut = plan.disclosed(&*super::scheme(plan, turn)?)?;
    Ok(Case {
        gateway: plan.shown_gateway(&cut).unwrap_or_else(|| plan.gateway()),
        filter: plan.case.filter,
        window,
        samples,
        key: plan.key,
        map: cut.shown().clone(),
        budget: Budget::default(),
        beyond: Default::default(),
    })
}
