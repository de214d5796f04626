//! Packets in order of time, for plans whose links make them wait: one that left earlier may come later.

use super::{Landing, Leg, Network, launch, schedule};
use crate::imitate::Imitator;
use crate::interrupt;
use crate::plan::Plan;
use crate::traffic::Tag;
use crate::world::Traffic;
use anyhow::Result;
use std::collections::BTreeMap;
use traceback::Nanos;

/// A frame on a link.
struct Flying {
    landing: Landing,
    /// When its packet left the sender: its routes are those of that time.
    left: Nanos,
    frame: Vec<u8>,
}

/// Frames under way.
#[derive(Default)]
struct Sky {
    /// By when they come out; those that do at once come in the order in which they went in.
    flying: BTreeMap<(Nanos, u64), Flying>,
    frames: u64,
}

impl Sky {
    fn add(&mut self, landing: Landing, left: Nanos, frame: Vec<u8>) {
        self.frames += 1;
        self.flying.insert((landing.at, self.frames), Flying { landing, left, frame });
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
                let mut frame = vec![];
                let host = launch(plan, imitator, at, tag, &mut frame, log);
                let leg = Leg::of_host(plan, host, at);
                if let Some(landing) = self.depart(plan, leg, &frame, log) {
                    sky.add(landing, at, frame);
                }
            } else if let Some((_, flying)) = sky.flying.pop_first() {
                self.touch_down(plan, flying, &mut sky, log);
            } else {
                return Ok(());
            }
        }
    }

    fn touch_down(&mut self, plan: &Plan, flying: Flying, sky: &mut Sky, log: &mut Traffic) {
        let Flying { landing, left, mut frame } = flying;
        self.keep_agents(landing.at);
        self.keep_time(plan, left);
        let mut said = vec![];
        let next = self.land(plan, landing, &mut frame, log, &mut said);
        let next = next.map(|leg| (leg, frame));
        for (leg, frame) in next.into_iter().chain(said) {
            if let Some(landing) = self.depart(plan, leg, &frame, log) {
                sky.add(landing, left, frame);
            }
        }
    }
}
