//! A plan, or a host's share of it, standing on this host: the turns of its schemes, step by step.
//!
//! The world `netns` takes the steps itself, one after another; in the world `hosts` a director has each
//! host take the same ones.

mod patience;
mod play;
mod pulse;
mod watch;

pub(crate) use patience::{RAMP, RECOVERY, await_quiet, limit};
pub(crate) use play::Played;
pub(crate) use watch::Seen;

use super::agents::{Agents, Posted};
use super::changes::Changes;
use super::crew::Crew;
use super::faults::Faults;
use super::guard::{Guard, Limits};
use super::headquarters::Seats;
use super::heart::{Heart, Rhythm};
use super::holder::Holder;
use super::layout::Layout;
use super::neighbour;
use super::sinks::Sinks;
use super::stage::{Removed, Stage};
use super::stops::Stops;
use super::taps::Taps;
use super::wires::Wires;
use super::workers::Nursery;
use super::world::RunPaths;
use crate::plan::Plan;
use anyhow::{Context, Result};
use ashiato_agent::datapath::serve::Clock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What stands here. Dropped without [`Self::strike`], it removes itself too, unless it is kept.
#[derive(Debug)]
pub(crate) struct Site {
    plan: Arc<Plan>,
    folder: PathBuf,
    // Dropped in this order: processes, then the namespaces they are in.
    agents: Option<Agents>,
    act: Option<Act>,
    pub(crate) nursery: Nursery,
    holder: Option<Holder>,
    wires: Option<Arc<Wires>>,
    faults: Faults,
    stops: Stops,
    changes: Option<Changes>,
    limits: Limits,
    /// Stands from the first turn on.
    guard: Option<Guard>,
    pub(crate) stage: Stage,
}

/// Traffic of one turn, and who watches it.
#[derive(Debug)]
struct Act {
    /// The run's zero on this host, in nanoseconds since the Unix epoch.
    zero: u64,
    crew: Option<Crew>,
    /// When the gate is to be opened again once the crew is through.
    rhythm: Rhythm,
    sinks: Sinks,
    taps: Taps,
}

impl Site {
    /// Makes namespaces, links, addresses and routes.
    ///
    /// # Errors
    /// When the host does not allow it; what was made by then is removed.
    pub(crate) fn up(
        plan: Arc<Plan>,
        layout: Layout,
        run: &RunPaths,
        heart: Heart,
        limits: Limits,
    ) -> Result<Self> {
        raise_descriptor_limit()?;
        let nursery = Nursery::open()?;
        let stage = Stage::raise_under(layout, &run.id, &run.dir, heart)?;
        let wires = match stage.layout().middle() {
            Some(_) => Some(Arc::new(Wires::lay(&plan, stage.layout())?)),
            None => None,
        };
        let holder = match &wires {
            Some(wires) if plan.is_timed() => Some(Holder::start(&plan, stage.layout(), wires)?),
            _ => None,
        };
        let changes = match &plan.epochs[..] {
            [] => None,
            _ => Some(Changes::open(&plan, stage.layout())?),
        };
        let folder = run.dir.clone();
        let faults = Faults::within(&plan, stage.layout());
        let (agents, act, guard) = (None, None, None);
        Ok(Self {
            plan,
            folder,
            agents,
            act,
            nursery,
            holder,
            wires,
            faults,
            stops: Stops::default(),
            changes,
            limits,
            guard,
            stage,
        })
    }

    /// Gets everything ready for a scheme's turn: agents, those who watch, those who send. `zero` is the
    /// turn's, in nanoseconds since the Unix epoch.
    ///
    /// # Errors
    /// Names who is not ready in time.
    pub(crate) fn prepare(
        &mut self,
        scheme: usize,
        seats: &Seats,
        ramps: bool,
        zero: u64,
    ) -> Result<Posted> {
        let (plan, folder) = (self.plan.clone(), self.folder.clone());
        self.stage.pulse()?;
        neighbour::warm(self.stage.layout()).context("cannot find all neighbours")?;
        let (stage, nursery) = (&mut self.stage, &self.nursery);
        let agents = Agents::start(&plan, scheme, zero, seats, stage, nursery, &folder)?;
        let posted = self.agents.insert(agents).posted;
        let clock = Clock::since(zero);
        let sinks = Sinks::open(&plan, stage.layout(), clock)?;
        let taps = Taps::open(&plan, stage.layout(), self.wires.as_ref())?;
        let guard = match self.guard.take() {
            Some(guard) => guard,
            None => Guard::stand(stage.layout(), &self.limits)?,
        };
        let guard = (self.guard.insert(guard).clone(), &self.limits);
        let crew = Crew::start(&plan, scheme, stage, nursery, &folder, guard, ramps)?;
        let rhythm = Rhythm::of(self.stage.heart());
        let crew = Some(crew);
        self.act = Some(Act { zero, crew, rhythm, sinks, taps });
        Ok(posted)
    }

    /// The run's zero of this turn, in nanoseconds since the Unix epoch.
    pub(crate) fn zero(&self) -> Option<u64> {
        self.act.as_ref().map(|act| act.zero)
    }

    /// Processor time so far in this turn of agents that report to a collector.
    pub(crate) fn busy(&self, desk: usize) -> Option<Duration> {
        self.agents.as_ref()?.busy(desk)
    }

    /// Agents here that were killed for good.
    pub(crate) fn dead(&self) -> usize {
        self.agents.as_ref().map_or(0, Agents::dead)
    }

    /// What stands here, or a share of it.
    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The gate at senders' links, once a turn has been prepared.
    pub(crate) fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// What is known of the agents of this turn.
    pub(crate) fn posted(&self) -> Option<Posted> {
        self.agents.as_ref().map(|agents| agents.posted)
    }

    /// Ends the agents, and returns what the kernel says a run of each program took.
    ///
    /// # Errors
    /// When one had to be killed.
    pub(crate) fn dismiss(&mut self) -> Result<Vec<u64>> {
        self.agents.take().map_or(Ok(vec![]), Agents::end)
    }

    /// Ends at once what a turn left, in no order.
    pub(crate) fn abandon(&mut self) {
        (self.agents, self.act) = (None, None);
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for `ashiato gc`.
    pub(crate) fn strike(&mut self) -> Result<Removed> {
        self.abandon();
        (self.holder, self.wires, self.changes) = (None, None, None);
        self.stage.strike()
    }
}

/// Sockets in many namespaces need more descriptors than shells allow by default.
fn raise_descriptor_limit() -> Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot read limits")?;
    let wanted = hard.min(1 << 17);
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise a limit")?;
    }
    Ok(())
}
