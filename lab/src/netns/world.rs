//! The world itself: a plan, its stage, and the turns of its schemes.

use super::agents::{Agents, Headquarters};
use super::changes::Changes;
use super::crew::Crew;
use super::layout::Layout;
use super::sinks::{Drained, Sinks};
use super::stage::{Removed, Stage};
use super::taps::Taps;
use super::wires::Wires;
use super::workers::Nursery;
use super::{inquiry, neighbour};
use crate::exit::Exit;
use crate::interrupt;
use crate::plan::{DrawKind, Plan};
use crate::scenario::spec::Datapath;
use crate::scope::Gate;
use crate::traffic;
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result, bail};
use ashiato_agent::datapath::serve::Clock;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use traceback::Nanos;
use traceback::case::Case;
use traceback::router::Spread;

/// Time between everybody's readiness and the first packet.
const LEAD_IN: Duration = Duration::from_millis(100);
/// How long nothing may arrive before what is missing counts as lost.
const QUIET: Duration = Duration::from_millis(1500);
/// How long to wait for quiet at most.
const UNREST: Duration = Duration::from_secs(60);

/// Who a run is, and where its folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    /// The run's id.
    pub id: String,
    /// The run folder.
    pub dir: PathBuf,
    /// How agents meet packets.
    pub datapath: Datapath,
}

/// A plan standing in network namespaces. Dropped without [`Self::down`], it removes itself too,
/// unless it is kept.
#[derive(Debug)]
pub struct NetnsWorld {
    plan: Arc<Plan>,
    run: RunPaths,
    // Dropped in this order: processes, then the namespaces they are in.
    agents: Option<Agents>,
    headquarters: Option<Headquarters>,
    nursery: Nursery,
    wires: Option<Wires>,
    changes: Option<Changes>,
    stage: Stage,
}

impl NetnsWorld {
    /// Refuses a plan that this world cannot run as it says.
    ///
    /// # Errors
    /// [`Exit::Usage`] names what only the simulator, or another datapath, can make.
    pub fn suits(plan: &Plan, datapath: Datapath) -> Result<()> {
        if plan.draws == DrawKind::Law {
            let why = "routers of world netns draw for themselves, not from a law: use --world sim";
            return Err(Exit::Usage.refuse(why));
        }
        let by_kernel = datapath.kernel_forwards() || plan.routers.iter().any(|r| !r.works());
        if plan.spread == Some(Spread::Packet) && by_kernel {
            return Err(Exit::Usage.refuse(
                "kernels spread packets over equal ways by flow, not one by one: use datapath \
                 afpacket with agents in all routers, multipath = \"flow\", or --world sim",
            ));
        }
        Ok(())
    }

    /// Makes namespaces, links, addresses and routes of a plan.
    ///
    /// # Errors
    /// When the plan is out of bounds or the host does not allow it; what was made by then is removed.
    pub fn up(plan: Plan, run: RunPaths, progress: &dyn Fn(&str)) -> Result<Self> {
        interrupt::watch()?;
        Self::suits(&plan, run.datapath)?;
        Gate::new(&plan).map_err(|e| Exit::Safety.refuse(e))?;
        let schemes: BTreeSet<&String> = plan.schemes.iter().map(|s| &s.id).collect();
        if schemes.len() < plan.schemes.len() {
            bail!("the plan gives one scheme two turns; make them two runs");
        }
        raise_descriptor_limit()?;
        let layout = Layout::of(&plan, &run.id, run.datapath)?;
        let (spaces, wires) = (layout.spaces.len(), layout.wires.len());
        progress(&format!("making {spaces} namespaces and {wires} links"));
        let nursery = Nursery::open()?;
        let stage = Stage::raise(layout, &run.id, &run.dir)?;
        let wires = match stage.layout().middle() {
            Some(_) => Some(Wires::lay(&plan, stage.layout())?),
            None => None,
        };
        let changes = match &plan.epochs[..] {
            [] => None,
            _ => Some(Changes::open(&plan, stage.layout())?),
        };
        let plan = Arc::new(plan);
        Ok(Self { plan, run, agents: None, headquarters: None, nursery, wires, changes, stage })
    }

    /// The plan that stands here.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        self.stage.layout()
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.run.dir
    }

    /// Leaves namespaces and links standing when this is dropped, for `ashiato down`. Processes end
    /// all the same.
    pub fn keep(&mut self) {
        self.stage.keep();
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for `ashiato gc`.
    pub fn down(mut self) -> Result<Removed> {
        self.strike()
    }

    fn strike(&mut self) -> Result<Removed> {
        self.agents = None;
        self.headquarters = None;
        (self.wires, self.changes) = (None, None);
        self.stage.strike()
    }

    /// Starts what a turn needs and sends its packets.
    fn send(&mut self, scheme: usize) -> Result<Traffic> {
        let (plan, folder) = (self.plan.clone(), self.run.dir.clone());
        self.stage.pulse()?;
        neighbour::warm(self.stage.layout()).context("cannot find all neighbours")?;
        let (stage, nursery) = (&mut self.stage, &self.nursery);
        let headquarters = match self.headquarters.take() {
            Some(headquarters) => headquarters,
            None => Headquarters::open(&plan, stage, nursery, &folder)?,
        };
        let headquarters = &*self.headquarters.insert(headquarters);
        let zero = unix_ns();
        let agents = Agents::start(&plan, scheme, zero, headquarters, stage, nursery, &folder)?;
        let agents = self.agents.insert(agents);
        let sinks = Sinks::open(&plan, stage.layout(), Clock::since(zero))?;
        let taps = Taps::open(&plan, stage.layout(), self.wires.as_mut())?;
        let mut crew = Crew::start(&plan, scheme, stage, nursery, &folder)?;
        let start = unix_ns() + nanos(LEAD_IN);
        crew.go(start);
        self.changes.iter().for_each(|c| c.go(start));
        let (sent, left) = crew.finish(stage, limit(&plan))?;
        await_quiet(stage, &sinks, || Ok(sent.values().sum::<u64>() - taps.lost()?))?;
        agents.check()?;
        for late in self.changes.as_ref().map(Changes::rest).transpose()?.into_iter().flatten() {
            tracing::info!("a change of routes was made {late:?} after its time");
        }
        let counted = taps.read(&plan)?;
        let Drained { arrived, astray, tape, .. } = sinks.close()?;
        let last = tape.last().map_or(0, |a| a.at.0);
        let seconds = Duration::from_nanos((zero + last).saturating_sub(start)).as_secs_f64();
        let delays = left.delays(&plan, &tape, Nanos(start.saturating_sub(zero)))?;
        Ok(Traffic {
            sent,
            taps: counted.flows,
            arrived,
            tape,
            leaked: counted.astray + astray,
            lost: counted.lost,
            followed: counted.followed,
            seconds,
            delays: Some(delays),
        })
    }
}

impl World for NetnsWorld {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        let sent = self.send(scheme);
        if sent.is_err() {
            self.agents = None;
        }
        sent
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        let agents = self.agents.take().context("traffic comes before reconstruction")?;
        let headquarters = self.headquarters.as_ref().context("no collector runs")?;
        let outcome =
            inquiry::inquire(&self.plan, scheme, case, &self.stage, headquarters, &agents)?;
        let program_ns = agents.end()?;
        Ok(Outcome { program_ns, ..outcome })
    }

    fn remove(&mut self) -> Result<u64> {
        let removed = self.strike()?;
        for object in &removed.left {
            tracing::error!("left: {object}");
        }
        Ok(removed.left.len() as u64)
    }
}

/// Waits until every packet that is due has arrived, or none has for a while.
fn await_quiet(stage: &Stage, sinks: &Sinks, due: impl Fn() -> Result<u64>) -> Result<()> {
    let end = Instant::now() + UNREST;
    let (mut seen, mut since) = (sinks.arrived(), Instant::now());
    while seen < due()? && since.elapsed() < QUIET && Instant::now() < end {
        stage.pulse()?;
        std::thread::sleep(Duration::from_millis(10));
        let now = sinks.arrived();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}

/// How long a plan's traffic may take on a host that is slower than the plan.
fn limit(plan: &Plan) -> Duration {
    let last = |f: &crate::plan::Flow| traffic::departure(f, f.packets.saturating_sub(1)).0;
    let planned = plan.flows.iter().map(last).max().unwrap_or(0);
    3 * Duration::from_nanos(planned) + Duration::from_secs(60)
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

fn unix_ns() -> u64 {
    nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
