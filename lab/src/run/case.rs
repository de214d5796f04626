//! The case that the victim brings to the collector, made from what reached it.

use crate::plan::Plan;
use crate::traffic;
use crate::world::Arrival;
use anyhow::Result;
use serde::{Deserialize, Serialize};
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
        Ok(Case { window, samples, ..build(plan, turn, &[])? })
    }
}

/// Builds the case: the plan's filter, the time of what matched, the packets that the victim kept, and the map
/// as far as domains disclose it to the scheme of this turn.
///
/// Which packets it keeps is drawn by flow and sequence number, so every world keeps the same.
///
/// # Errors
/// Where the plan is no map.
pub fn build(plan: &Plan, turn: usize, tape: &[Arrival]) -> Result<Case> {
    let mut matching: Vec<(u64, &Arrival)> = vec![];
    for arrival in tape {
        let Ok(mut packet) = Packet::parse(&arrival.bytes[..]) else { continue };
        // A mark may stand in the flags; no flow of a plan is in fragments.
        packet.own_fragment_bits();
        if plan.case.filter.matches(&packet) {
            let tag = traffic::tag(plan.key.0, &packet);
            let lot = tag.map_or(u64::MAX, |t| mix2(plan.key.1 ^ u64::from(t.flow), t.seq));
            matching.push((lot, arrival));
        }
    }
    let from = matching.iter().map(|(_, a)| a.at.0).min().unwrap_or(0);
    let to = matching.iter().map(|(_, a)| a.at.0).max().unwrap_or(u64::MAX);
    let window =
        Window { from: Nanos(from.saturating_sub(SLACK)), to: Nanos(to.saturating_add(SLACK)) };
    matching.sort_by_key(|(lot, _)| *lot);
    matching.truncate(plan.case.samples);
    let keep = |(_, a): (u64, &Arrival)| Sample { bytes: a.bytes.clone(), at: a.at };
    let cut = plan.disclosed(&*super::scheme(plan, turn)?)?;
    Ok(Case {
        gateway: plan.shown_gateway(&cut).unwrap_or_else(|| plan.gateway()),
        filter: plan.case.filter,
        window,
        samples: matching.into_iter().map(keep).collect(),
        key: plan.key,
        map: cut.shown().clone(),
        budget: Budget::default(),
        beyond: Default::default(),
    })
}
