//! Packets in order of time, for plans whose links make them wait: one that left earlier may come later.

use super::{Landing, Leg, Moving, Network, schedule};
use crate::imitate::Imitator;
use crate::interrupt;
use crate::plan::Plan;
use crate::traffic::Tag;
use crate::world::Traffic;
use anyhow::Result;
use std::collections::BTreeMap;
use traceback::Nanos;

/// A packet on a link.
struct Flying {
    landing: Landing,
    /// When its packet left the sender: its routes are those of that time.
    left: Nanos,
    moving: Moving,
}

/// Packets under way.
#[derive(Default)]
struct Sky {
    /// By when they come out; those that do at once come in the order in which they went in.
    flying: BTreeMap<(Nanos, u64), Flying>,
    packets: u64,
}

impl Sky {
    fn add(&mut self, landing: Landing, left: Nanos, moving: Moving) {
        self.packets += 1;
        self.flying.insert((landing.at, self.packets), Flying { landing, left, moving });
    }

    fn next_at(&self) -> Option<Nanos> {
        self.flying.first_key_value().map(|((at, _), _)| *at)
    }
}

impl Network {
    /// Takes all packets of a plan to wherever they end.
    pub(super) fn fly(
        &mut self,
        plan: &Plan,
        imitator: &mut Imitator,
        log: &mut Traffic,
    ) -> Result<()> {
        let mut sky = Sky::default();
        let mut departures = schedule(plan).peekable();
        loop {
            interrupt::check()?;
            let landing = sky.next_at();
            let leaves = |(at, _): &(Nanos, Tag)| landing.is_none_or(|landing| *at <= landing);
            if let Some((at, tag)) = departures.next_if(leaves) {
                self.keep_agents(at);
                let moving = self.launch(plan, imitator, at, tag, vec![])?;
                let leg = Leg::of_host(plan, plan.flows[tag.flow as usize].from, at);
                if let Some(landing) = self.depart(plan, leg, &moving, log) {
                    sky.add(landing, at, moving);
                }
            } else if let Some((_, flying)) = sky.flying.pop_first() {
                self.touch_down(plan, flying, &mut sky, log);
            } else {
                return Ok(());
            }
        }
    }

    fn touch_down(&mut self, plan: &Plan, flying: Flying, sky: &mut Sky, log: &mut Traffic) {
        let Flying { landing, left, mut moving } = flying;
        self.keep_agents(landing.at);
        self.keep_time(plan, left);
        let mut said = vec![];
        let next = self.land(plan, landing, &mut moving, log, &mut said);
        let next = next.map(|leg| (leg, moving));
        for (leg, moving) in next.into_iter().chain(said.into_iter().rev()) {
            if let Some(landing) = self.depart(plan, leg, &moving, log) {
                sky.add(landing, left, moving);
            }
        }
    }
}
