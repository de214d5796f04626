//! Conditions of links in the wires' program: set before and while packets flow, and what came of them.

use super::wires::Wires;
use crate::plan::{Conditions, LinkPlan, Plan};
use crate::world::Carried;
use anyhow::{Context, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use std::time::Duration;

/// Times that are kept for each way of a link.
pub(super) const TIMES: u64 = 4096;
/// What the program counts of each way.
pub(super) const KINDS: u32 = 5;

/// One way's packets: came, lost by the plan's share, found the queue full, came to a cut link; and frames
/// that the link stage had no room for.
pub(crate) type Tally = [u64; KINDS as usize];

/// One packet in so many is timed, so that the times kept suffice for a whole turn.
pub(super) fn every(plan: &Plan) -> u64 {
    let packets: u64 = plan.flows.iter().map(|f| f.packets).sum();
    packets.div_ceil(TIMES).max(1)
}

/// How long a packet may be on its way in a plan, beyond what an unhindered one takes.
pub(crate) fn longest_wait(plan: &Plan) -> Duration {
    let of = |c: &Conditions| c.delay.0 + c.jitter.0 + c.time_of(c.queue_bytes.into());
    let link = |(at, link): (usize, &LinkPlan)| {
        let own = link.ways.iter().map(of).max().unwrap_or(0);
        let worse =
            plan.link_faults(at).flat_map(|f| [0, 1].map(|s| f.what.on(link.conditions(s))));
        worse.map(|c| of(&c)).max().unwrap_or(0).max(own)
    };
    let sum: u64 = plan.links.iter().enumerate().map(link).sum();
    Duration::from_nanos(sum)
}

impl Wires {
    /// Sets what one way of a link does from now on; `None` cuts it. Of ways that begin on other hosts nothing is set
    /// here: they carry what comes.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub(crate) fn set(&self, link: usize, side: usize, is: Option<Conditions>) -> Result<()> {
        if !self.begin[link][side] {
            return Ok(());
        }
        let mut ebpf = self.ebpf();
        let map = ebpf.map_mut("conditions").context("no map of conditions")?;
        let mut map: Array<&mut MapData, [u64; 5]> = map.try_into()?;
        let cut = u64::from(is.is_none()) << 32;
        let c = is.unwrap_or_default();
        let queue = c.time_of(c.queue_bytes.into());
        let loss = u64::from(c.loss_ppm.unwrap_or(0));
        let words = [c.rate_bps, queue, c.delay.0, c.jitter.0, cut | loss];
        Ok(map.set(way(link, side)?, words, 0)?)
    }

    /// Gives every way of every link the plan's conditions.
    ///
    /// # Errors
    /// As [`Self::set`].
    pub(super) fn calm(&self, plan: &Plan) -> Result<()> {
        for (link, spec) in plan.links.iter().enumerate() {
            for side in 0..2 {
                self.set(link, side, Some(spec.conditions(side)))?;
            }
        }
        Ok(())
    }

    /// Packets that ways which begin here have lost since the wires were laid.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn lost(&self) -> Result<u64> {
        self.special.iter().map(|(link, side)| Ok(gone(&self.tally(*link, *side)?))).sum()
    }

    /// What one way of a link counted since the wires were laid.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn tally(&self, link: usize, side: usize) -> Result<Tally> {
        let ebpf = self.ebpf();
        let map = ebpf.map("tally").context("no map of what links did")?;
        let map: PerCpuArray<&MapData, u64> = map.try_into()?;
        let (mut tally, first) = (Tally::default(), way(link, side)? * KINDS);
        for (cell, count) in (first..).zip(&mut tally) {
            *count = map.get(&cell, 0)?.iter().sum();
        }
        Ok(tally)
    }

    /// What all ways counted since the wires were laid: position twice, then the side.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn tallies(&self) -> Result<Vec<Tally>> {
        let ways = (0..self.begin.len()).flat_map(|link| [(link, 0), (link, 1)]);
        ways.map(|(link, side)| self.tally(link, side)).collect()
    }

    /// What special links did in a turn on ways that begin here, whose times are forgotten then.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn carried(&self, plan: &Plan, before: &[Tally]) -> Result<Vec<Carried>> {
        let tallies = self.tallies()?;
        let mut all = vec![];
        for (link, side) in self.special.iter().copied() {
            let at = 2 * link + side;
            let [packets, lost, full, cut, _] = since(&tallies[at], &before[at]);
            let mut carried =
                Carried { link, side, packets, lost, full, cut, ..Carried::default() };
            if plan.is_timed_link(link) {
                self.timed(way(link, side)?, &mut carried)?;
                carried.sampled_1_in = every(plan);
            }
            all.push(carried);
        }
        Ok(all)
    }

    fn timed(&self, way: u32, carried: &mut Carried) -> Result<()> {
        let mut ebpf = self.ebpf();
        let map = ebpf.map_mut("outs").context("no map of what came out")?;
        let mut outs: Array<&mut MapData, [u64; 4]> = map.try_into()?;
        let [times, bytes, first, last] = outs.get(&way, 0)?;
        outs.set(way, [0; 4], 0)?;
        (carried.bytes, carried.busy) = (bytes, last - first);
        let map: Array<&MapData, u64> = ebpf.map("times").context("no map of times")?.try_into()?;
        let first = way * u32::try_from(TIMES)?;
        let end = first + u32::try_from(times)?;
        carried.delays = (first..end).map(|at| map.get(&at, 0)).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// What was added to a tally.
pub(crate) fn since(now: &Tally, before: &Tally) -> Tally {
    let mut since = *now;
    since.iter_mut().zip(before).for_each(|(now, before)| *now -= before);
    since
}

/// Packets that did not come out, of what was counted.
pub(crate) fn gone(tally: &Tally) -> u64 {
    let [_, lost, full, cut, _] = tally;
    lost + full + cut
}

fn way(link: usize, side: usize) -> Result<u32> {
    Ok(u32::try_from(2 * link + side)?)
}
