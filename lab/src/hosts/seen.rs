//! What all hosts saw of a turn, put together.

use super::wire::{self, Trouble};
use crate::clock::unix_ns;
use crate::netns::faults::count_dead;
use crate::netns::followed::{self, Numbers};
use crate::netns::layout::Share;
use crate::plan::{Node, Plan};
use crate::tape::Tape;
use crate::world::{Carried, Happened, Traffic};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use traceback::{Nanos, RouterId};

/// What one host said, and when it came, in nanoseconds since the Unix epoch.
#[derive(Debug)]
pub(super) struct Said {
    seen: wire::Seen,
    came: u64,
}

/// What is known of a turn besides its traffic.
#[derive(Debug, Default)]
pub(super) struct Aftermath {
    /// Each router's zero, by the director's clock: as good as the time that a message takes.
    pub zeros: BTreeMap<RouterId, u64>,
    /// Agents that were killed for good.
    pub dead: usize,
}

impl Said {
    /// It comes now.
    pub(super) fn now(seen: wire::Seen) -> Self {
        Self { seen, came: unix_ns() }
    }

    /// Datagrams that the host's tunnels refused, and frames that found no room in them.
    pub(super) fn found(&self) -> (u64, u64) {
        (self.seen.refused, self.seen.dropped)
    }
}

/// Adds to a turn's traffic what hosts, each with its share, saw of it. `faults` are those of the collector's.
///
/// # Errors
/// When a host says what cannot be.
pub(super) fn gather(
    plan: &Plan,
    shares: &[Share],
    all: Vec<Said>,
    faults: Vec<Happened>,
    tape: Tape,
    traffic: &mut Traffic,
) -> Result<Aftermath> {
    let mut after = Aftermath::default();
    let mut numbers = vec![];
    traffic.faults = faults;
    let start = all.iter().map(|s| s.seen.start_ns).min().unwrap_or(0);
    for (Said { seen, came }, share) in all.into_iter().zip(shares) {
        let routers: BTreeSet<usize> =
            (0..plan.routers.len()).filter(|r| share.nodes.contains(&Node::Router(*r))).collect();
        let zero = came.saturating_sub(seen.clock_ns);
        after.zeros.extend(routers.iter().map(|r| (plan.routers[*r].id, zero)));
        count(&routers, &seen, traffic)?;
        let trouble: Trouble = serde_json::from_slice(&seen.trouble_json)
            .context("a host tells of links and faults what nobody can read")?;
        ensure!(
            trouble.carried.iter().all(|way| can_be(plan, way)),
            "a host tells of a link what cannot be"
        );
        after.dead += trouble.dead;
        traffic.lost += trouble.lost;
        traffic.carried.extend(trouble.carried);
        ensure!(trouble.faults.len() == traffic.faults.len(), "a host tells of other faults");
        for (known, more) in traffic.faults.iter_mut().zip(trouble.faults) {
            *known = std::mem::take(known).join(more);
        }
        numbers.push(Numbers { routers, each: seen.ways });
    }
    traffic.carried.sort_by_key(|way| (way.link, way.side));
    if plan.ways_differ() {
        traffic.followed = Some(followed::read(plan, &numbers)?);
    }
    let Traffic { sent, arrived, lost, faults, .. } = traffic;
    *lost += count_dead(plan, sent, arrived, *lost, faults);
    let last = tape.last().map_or(0, |at| at.0);
    traffic.seconds = Duration::from_nanos(last.saturating_sub(start)).as_secs_f64();
    (traffic.tape, traffic.zero) = (tape, Nanos(start));
    Ok(after)
}

/// Adds what one host counted, at routers that stand there.
fn count(routers: &BTreeSet<usize>, seen: &wire::Seen, traffic: &mut Traffic) -> Result<()> {
    for tap in &seen.taps {
        let router = tap.router as usize;
        ensure!(routers.contains(&router), "a host tells of a tap at a router that it has not");
        traffic.taps.insert((router, tap.flow), tap.packets);
    }
    for (flow, count) in &seen.arrived {
        *traffic.arrived.entry(*flow).or_default() += count;
    }
    traffic.leaked += seen.astray;
    Ok(())
}

/// Whether the plan has such a way of a link, and no more packets are gone there than came.
fn can_be(plan: &Plan, way: &Carried) -> bool {
    let gone = [way.lost, way.full, way.cut];
    let left = gone.into_iter().try_fold(way.packets, u64::checked_sub);
    way.link < plan.links.len() && way.side < 2 && left.is_some()
}
