//! Faults on one host: each that befalls something here begins and ends when the plan says, as far as the lab is awake.
//!
//! Nothing here outlives the lab: links are cut in the wires' program, which goes with the lab; agents are
//! processes of the run's journal; lines are the lab's own; the full disk is a file system that goes with
//! the collector. The host's clock and disks are never touched.

use super::agents::Agents;
use super::headquarters::Headquarters;
use super::layout::Layout;
use super::stage::Stage;
use super::straits::gone;
use super::wires::Wires;
use super::workers::Nursery;
use crate::clock::{nanos, unix_ns};
use crate::plan::{Failure, Fault, Flow, Plan};
use crate::world::Happened;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use traceback::Nanos;

/// What faults act on.
pub(crate) struct Scene<'s> {
    pub(crate) agents: Option<&'s mut Agents>,
    pub(crate) wires: Option<&'s Wires>,
    pub(crate) headquarters: Option<&'s Headquarters>,
    pub(crate) stage: &'s mut Stage,
    pub(crate) nursery: &'s Nursery,
    pub(crate) folder: &'s Path,
}

/// The faults of one turn.
#[derive(Debug)]
pub(crate) struct Faults {
    plan: Arc<Plan>,
    /// The plan's time 0, since the Unix epoch; `None` before the first packet.
    zero: Option<u64>,
    /// By fault.
    states: Vec<State>,
}

/// How far one fault is.
#[derive(Debug, Default)]
struct State {
    /// Whether any of it is made here.
    here: bool,
    happened: Happened,
    /// What its link had lost before.
    gone: u64,
    ended: Option<Instant>,
}

impl Faults {
    /// Those of a plan, none of which has begun; `here` says which befall anything here.
    pub(crate) fn of(plan: &Arc<Plan>, here: impl Fn(&Failure) -> bool) -> Self {
        let state = |fault: &Fault| State { here: here(&fault.what), ..State::default() };
        let states = plan.faults.iter().map(state).collect();
        Self { plan: plan.clone(), zero: None, states }
    }

    /// Those of a plan that befall what stands in a layout.
    pub(crate) fn within(plan: &Arc<Plan>, layout: &Layout) -> Self {
        // Where the run has a control namespace of its own, the collector is there.
        let collector = !layout.control().own;
        Self::of(plan, |what| {
            *what == Failure::DiskFull && collector || what.befalls(plan, |n| layout.holds(n))
        })
    }

    /// The plan's time 0 is so many nanoseconds after the Unix epoch.
    pub(crate) fn go(&mut self, zero_unix_ns: u64) {
        self.zero = Some(zero_unix_ns);
    }

    /// Begins and ends what is due.
    ///
    /// # Errors
    /// When something does not fail as it should.
    pub(crate) fn tend(&mut self, scene: &mut Scene<'_>) -> Result<()> {
        let Some(zero) = self.zero.filter(|_| self.states.iter().any(|s| s.here)) else {
            return Ok(());
        };
        let now = unix_ns().checked_sub(zero).map(Nanos);
        let plan = self.plan.clone();
        let ours = plan.faults.iter().zip(&mut self.states).filter(|(_, state)| state.here);
        for (fault, state) in ours {
            let what = || format!("fault \"{}\"", fault.id);
            if state.happened.began.is_none() && now.is_some_and(|now| fault.at <= now) {
                state.happened.began = now;
                begin(&plan, fault, state, scene).with_context(what)?;
            }
            let over = fault.end().is_some_and(|end| now.is_some_and(|now| end <= now));
            if over && state.happened.ended.is_none() {
                state.happened.ended = now;
                state.ended = Some(Instant::now());
                end(&plan, fault, state, scene).with_context(what)?;
            }
            recover(fault, state, scene);
        }
        Ok(())
    }

    /// Whether every fault here that is to end has ended, and what it had broken is back.
    pub(crate) fn are_over(&self) -> bool {
        let over = |(fault, state): (&Fault, &State)| {
            let breaks = matches!(fault.what, Failure::Kill { .. } | Failure::Line { .. });
            let back = !breaks || state.happened.recovered.is_some();
            !state.here || fault.end().is_none() || state.happened.ended.is_some() && back
        };
        self.plan.faults.iter().zip(&self.states).all(over)
    }

    /// Ends what lasts to the end of the turn, and says what happened.
    ///
    /// # Errors
    /// When a link does not take its own conditions again.
    pub(crate) fn rest(&mut self, scene: &mut Scene<'_>) -> Result<Vec<Happened>> {
        let plan = self.plan.clone();
        let mut all = vec![];
        self.zero = None;
        for (fault, state) in plan.faults.iter().zip(&mut self.states) {
            let here = state.here;
            let mut state = std::mem::replace(state, State { here, ..State::default() });
            let on = state.happened.began.is_some() && state.happened.ended.is_none();
            if on && fault.what.link().is_some() {
                end(&plan, fault, &mut state, scene)?;
            }
            if here && state.happened.began.is_none() {
                let why = "the turn was over before its time";
                state.happened.why = Some(why.into());
            }
            all.push(state.happened);
        }
        Ok(all)
    }
}

fn begin(plan: &Plan, fault: &Fault, state: &mut State, scene: &mut Scene<'_>) -> Result<()> {
    match &fault.what {
        Failure::Cut { link }
        | Failure::Loss { link, .. }
        | Failure::Delay { link, .. }
        | Failure::Rate { link, .. } => {
            let wires = scene.wires.context("no wires")?;
            state.gone = lost_on(wires, *link)?;
            let cut = matches!(fault.what, Failure::Cut { .. });
            for side in 0..2 {
                let is = fault.what.on(plan.links[*link].conditions(side));
                wires.set(*link, side, (!cut).then_some(is))?;
            }
        }
        Failure::Kill { router } => scene.agents()?.kill(*router)?,
        Failure::Line { routers } => {
            let agents = scene.agents()?;
            for router in agents.here(routers) {
                agents.line(router)?.cut();
            }
        }
        Failure::Clock { router, step_ns } => scene.agents()?.step_clock(*router, *step_ns)?,
        Failure::DiskFull => scene.headquarters.context("no collector")?.fill_disk()?,
        // Its agents were told from the beginning; questions come later.
        Failure::Slow { .. } => {}
    }
    Ok(())
}

fn end(plan: &Plan, fault: &Fault, state: &mut State, scene: &mut Scene<'_>) -> Result<()> {
    match &fault.what {
        Failure::Cut { link }
        | Failure::Loss { link, .. }
        | Failure::Delay { link, .. }
        | Failure::Rate { link, .. } => {
            let wires = scene.wires.context("no wires")?;
            for side in 0..2 {
                wires.set(*link, side, Some(plan.links[*link].conditions(side)))?;
            }
            state.happened.packets_lost = Some(lost_on(wires, *link)? - state.gone);
        }
        Failure::Kill { router } => {
            let Scene { agents, stage, nursery, folder, .. } = scene;
            let agents = agents.as_mut().context("no agents")?;
            agents.restart(*router, stage, nursery, folder)?;
        }
        Failure::Line { routers } => {
            let agents = scene.agents()?;
            for router in agents.here(routers) {
                agents.line(router)?.mend();
            }
        }
        Failure::DiskFull => scene.headquarters.context("no collector")?.free_disk()?,
        Failure::Clock { .. } | Failure::Slow { .. } => {}
    }
    Ok(())
}

/// Notes when what a fault had broken is back.
fn recover(fault: &Fault, state: &mut State, scene: &Scene<'_>) {
    let (Some(ended), None) = (state.ended, state.happened.recovered) else { return };
    let Some(agents) = &scene.agents else { return };
    let back = match &fault.what {
        Failure::Kill { router } => agents.ready_again(*router),
        Failure::Line { routers } => {
            let back = |router| agents.line(router).ok().and_then(super::line::Line::back);
            let all: Option<Vec<Instant>> = agents.here(routers).into_iter().map(back).collect();
            all.and_then(|all| all.into_iter().max())
        }
        Failure::Cut { .. }
        | Failure::Loss { .. }
        | Failure::Delay { .. }
        | Failure::Rate { .. }
        | Failure::Clock { .. }
        | Failure::DiskFull
        | Failure::Slow { .. } => None,
    };
    let since = |back: Instant| Nanos(nanos(back.saturating_duration_since(ended)));
    state.happened.recovered = back.map(since);
}

/// Packets that a link has lost by now, both ways.
fn lost_on(wires: &Wires, link: usize) -> Result<u64> {
    Ok(gone(&wires.tally(link, 0)?) + gone(&wires.tally(link, 1)?))
}

/// Packets that did not arrive because they came to a router in user space while its agent was dead: it
/// counts nothing itself. They are what is missing, beyond what links lost, of flows that lead there.
pub(crate) fn count_dead(
    plan: &Plan,
    sent: &BTreeMap<u32, u64>,
    arrived: &BTreeMap<u32, u64>,
    lost: u64,
    faults: &mut [Happened],
) -> u64 {
    let killed: BTreeSet<usize> = plan.killed().map(|(router, _)| router).collect();
    let leads = |f: &&Flow| f.all_ways().iter().any(|(w, _)| w.iter().any(|r| killed.contains(r)));
    let count = |of: &BTreeMap<u32, u64>, flow: &Flow| of.get(&flow.id).copied().unwrap_or(0);
    let missing = |f: &Flow| count(sent, f).saturating_sub(count(arrived, f));
    let missing: u64 = plan.flows.iter().filter(leads).map(missing).sum();
    let dead = missing.saturating_sub(lost);
    // Of several, nobody knows which packet was whose.
    let only = killed.len() == 1;
    for (_, happened) in plan.faults.iter().zip(faults).filter(|(f, _)| is_kill(f)) {
        happened.packets_lost = only.then_some(dead);
    }
    dead
}

fn is_kill(fault: &Fault) -> bool {
    matches!(fault.what, Failure::Kill { .. })
}

impl Scene<'_> {
    fn agents(&mut self) -> Result<&mut Agents> {
        self.agents.as_deref_mut().context("no agents")
    }
}
