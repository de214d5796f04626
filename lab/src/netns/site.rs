//! A plan, or a host's share of it, standing on this host: the turns of its schemes, step by step.
//!
//! The world `netns` takes the steps itself, one after another; in the world `hosts` a director has each
//! host take the same ones.

use super::agents::{Agents, Posted};
use super::changes::Changes;
use super::crew::{Crew, Sent};
use super::delays::Left;
use super::faults::{Faults, Scene};
use super::followed::Numbers;
use super::guard::{Guard, Limits};
use super::headquarters::{Headquarters, Seats};
use super::heart::{Heart, Rhythm};
use super::holder::Holder;
use super::layout::Layout;
use super::neighbour;
use super::sinks::{Drained, Sinks};
use super::stage::{Removed, Stage};
use super::stops::Stops;
use super::straits::longest_wait;
use super::taps::{Counted, Taps};
use super::wires::Wires;
use super::workers::Nursery;
use super::world::RunPaths;
use crate::clock::{nanos, unix_ns};
use crate::plan::{Node, Plan};
use crate::tape::Tape;
use crate::traffic;
use crate::world::{Carried, Happened};
use anyhow::{Context, Result, ensure};
use ashiato_agent::datapath::serve::Clock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use traceback::Nanos;

/// How long a slow beginning may take: a minute, and some time to spare.
pub(crate) const RAMP: Duration = Duration::from_secs(90);
/// How long nothing may arrive before what is missing counts as lost.
const QUIET: Duration = Duration::from_millis(1500);
/// How long agents may take to be back after a fault.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);
/// How long to wait for quiet at most.
const UNREST: Duration = Duration::from_secs(60);

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

/// What the senders here did.
#[derive(Debug)]
pub(crate) struct Played {
    /// Packets by flow.
    pub sent: Sent,
    /// When each left.
    pub left: Left,
    /// The plan's time 0, in nanoseconds after the run's zero.
    pub start: Nanos,
}

/// What came past and arrived here.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Packets by router and flow.
    pub taps: BTreeMap<(usize, u32), u64>,
    /// Packets by flow, at the hosts they were for.
    pub arrived: BTreeMap<u32, u64>,
    /// Packets where none of their flow may be.
    pub astray: u64,
    /// Packets at the victim.
    pub tape: Tape,
    /// Packets that links lost.
    pub lost: u64,
    /// Packets' ways as far as they lead through here, where the plan leaves them open.
    pub ways: Option<Numbers>,
    /// What special links did.
    pub carried: Vec<Carried>,
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

    /// Passes beats on to senders that are ready and wait, begins and ends faults, and fails when the run is to end.
    ///
    /// # Errors
    /// When a sender ended early, or as [`Self::pulse`].
    pub(crate) fn tend(&mut self) -> Result<()> {
        self.pulse(None)?;
        let Some(act) = &mut self.act else { return Ok(()) };
        match (&mut act.crew, &self.guard) {
            (Some(crew), _) => crew.tend(),
            // Its senders are through, but the victim here still says that it is willing.
            (None, Some(guard)) if self.limits.strict && act.rhythm.is_due() => guard.renew(),
            _ => Ok(()),
        }
    }

    /// Sends the first of this host's packets slowly, after `lead`, and returns how many, by flow.
    ///
    /// # Errors
    /// As [`Self::play`].
    pub(crate) fn ramp(&mut self, lead: Duration) -> Result<Sent> {
        let act = self.act.as_mut().context("nothing is prepared")?;
        let crew = act.crew.as_mut().context("everything was sent already")?;
        crew.ramp(&self.stage, unix_ns() + nanos(lead), RAMP)
    }

    /// Sends this host's packets, the plan's first one after `lead`, and returns when all have left.
    ///
    /// # Errors
    /// When a sender ended early, the run was stopped, or time is over.
    pub(crate) fn play(
        &mut self,
        lead: Duration,
        headquarters: Option<&Headquarters>,
    ) -> Result<Played> {
        let act = self.act.as_mut().context("nothing is prepared")?;
        let mut crew = act.crew.take().context("everything was sent already")?;
        let (start, zero) = (unix_ns() + nanos(lead), act.zero);
        crew.go(start)?;
        self.changes.iter().for_each(|c| c.go(start));
        self.faults.go(start);
        let patience = limit(&self.plan);
        let (sent, left) = crew.finish(patience, &mut || self.pulse(headquarters))?;
        Ok(Played { sent, left, start: Nanos(start.saturating_sub(zero)) })
    }

    /// Begins and ends faults, and fails when the run is to end.
    ///
    /// # Errors
    /// When an agent has ended or something does not fail as it should, or with the reason why all is to end.
    pub(crate) fn pulse(&mut self, headquarters: Option<&Headquarters>) -> Result<()> {
        self.stage.pulse()?;
        self.agents.as_mut().map_or(Ok(()), Agents::check)?;
        self.stops.look(&self.plan.caution, self.dead())?;
        let Self { agents, wires, stage, nursery, folder, faults, .. } = self;
        let (agents, wires) = (agents.as_mut(), wires.as_deref());
        faults.tend(&mut Scene { agents, wires, headquarters, stage, nursery, folder })
    }

    /// Waits until every fault is over that is to end, and ends the others of links.
    ///
    /// # Errors
    /// As [`Self::pulse`], and when what a fault had broken does not come back.
    pub(crate) fn outlast(&mut self, headquarters: Option<&Headquarters>) -> Result<Vec<Happened>> {
        let end = Instant::now() + self.plan.faults_end() + RECOVERY;
        while !self.faults.are_over() {
            self.pulse(headquarters)?;
            ensure!(Instant::now() < end, "what a fault broke was not back within {RECOVERY:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        let Self { agents, wires, stage, nursery, folder, faults, .. } = self;
        let (agents, wires) = (agents.as_mut(), wires.as_deref());
        faults.rest(&mut Scene { agents, wires, headquarters, stage, nursery, folder })
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

    /// Packets of the plan that arrived here so far, wherever.
    pub(crate) fn arrived(&self) -> u64 {
        self.act.as_ref().map_or(0, |act| act.sinks.arrived())
    }

    /// Packets that links here have lost by now.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn lost(&self) -> Result<u64> {
        self.act.as_ref().map_or(Ok(0), |act| act.taps.lost())
    }

    /// What taps here have counted so far: packets by router and flow, and those that went astray.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn look(&mut self) -> Result<Counted> {
        self.act.as_mut().context("nothing is prepared")?.taps.look(&self.plan)
    }

    /// Ends the watch, and returns what was seen.
    ///
    /// # Errors
    /// When an agent failed, or a watcher lost packets.
    pub(crate) fn close(&mut self) -> Result<Seen> {
        let act = self.act.take().context("nothing is prepared")?;
        self.agents.as_mut().context("no agents")?.check()?;
        for late in self.changes.as_ref().map(Changes::rest).transpose()?.into_iter().flatten() {
            tracing::info!("a change of routes was made {late:?} after its time");
        }
        let refused = self.holder.as_ref().map_or(0, Holder::refused);
        ensure!(refused == 0, "interfaces did not take {refused} frames of the link stage's");
        let Counted { flows: taps, astray, lost, followed, carried } = act.taps.read(&self.plan)?;
        self.guard.as_ref().map_or(Ok(()), Guard::close)?;
        let Drained { arrived, astray: strays, tape, .. } = act.sinks.close()?;
        let here = |router: &usize| self.stage.layout().holds(Node::Router(*router));
        let routers = (0..self.plan.routers.len()).filter(here).collect();
        let ways = self.plan.ways_differ().then_some(Numbers { routers, each: followed });
        Ok(Seen { taps, arrived, astray: astray + strays, tape, lost, ways, carried })
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

/// How long a plan's traffic may take on a host that is slower than the plan.
pub(crate) fn limit(plan: &Plan) -> Duration {
    let planned = plan.flows.iter().map(|f| traffic::last_departure(f).0).max().unwrap_or(0);
    3 * Duration::from_nanos(planned) + Duration::from_secs(60)
}

/// Waits, as often as `pulse` returns, until every packet has arrived, or none has for a while: longer
/// where links make packets wait.
///
/// # Errors
/// What `pulse` says.
pub(crate) fn await_quiet(
    plan: &Plan,
    sent: u64,
    mut pulse: impl FnMut() -> Result<u64>,
) -> Result<()> {
    let quiet = QUIET + longest_wait(plan);
    let end = Instant::now() + UNREST.max(2 * quiet);
    let (mut seen, mut since) = (pulse()?, Instant::now());
    while seen < sent && since.elapsed() < quiet && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        let now = pulse()?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
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
