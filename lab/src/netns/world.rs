//! The world itself: a plan on one host, and the turns of its schemes.

use super::agents::mean;
use super::faults::count_dead;
use super::followed;
use super::guard::{Guard, Limits};
use super::headquarters::{Ground, Headquarters};
use super::heart::Heart;
use super::inquiry::{self, Watch};
use super::layout::Layout;
use super::site::{Played, Seen, Site, await_quiet};
use super::stage::Removed;
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::interrupt;
use crate::plan::{DrawKind, Plan};
use crate::scenario::spec::Datapath;
use crate::scope::Gate;
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use traceback::case::Case;
use traceback::router::Spread;

/// Time between everybody's readiness and the first packet.
const LEAD_IN: Duration = Duration::from_millis(100);

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
    headquarters: Option<Headquarters>,
    site: Site,
    /// The run's zero of the turn, in nanoseconds since the Unix epoch.
    zero: Option<u64>,
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

    /// Refuses a plan that may not run in a real kernel, here or elsewhere.
    ///
    /// # Errors
    /// As [`Self::suits`], and [`Exit::Safety`] for a plan out of bounds.
    pub fn allows(plan: &Plan, datapath: Datapath) -> Result<()> {
        Self::suits(plan, datapath)?;
        Gate::new(plan).map_err(|e| Exit::Safety.refuse(e))?;
        let schemes: BTreeSet<&String> = plan.schemes.iter().map(|s| &s.id).collect();
        if schemes.len() < plan.schemes.len() {
            bail!("the plan gives one scheme two turns; make them two runs");
        }
        Ok(())
    }

    /// Makes namespaces, links, addresses and routes of a plan.
    ///
    /// # Errors
    /// When the plan is out of bounds or the host does not allow it; what was made by then is removed.
    pub fn up(plan: Plan, run: RunPaths, progress: &dyn Fn(&str)) -> Result<Self> {
        interrupt::watch()?;
        Self::allows(&plan, run.datapath)?;
        let layout = Layout::of(&plan, &run.id, run.datapath)?;
        let (spaces, wires) = (layout.spaces.len(), layout.wires.len());
        progress(&format!("making {spaces} namespaces and {wires} links"));
        let plan = Arc::new(plan);
        let site = Site::up(plan.clone(), layout, &run, Heart::default(), Limits::default())?;
        Ok(Self { plan, run, headquarters: None, site, zero: None })
    }

    /// The plan that stands here.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        self.site.stage.layout()
    }

    /// The gate at senders' links, once a turn has begun.
    pub fn guard(&self) -> Option<&Guard> {
        self.site.guard()
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.run.dir
    }

    /// Leaves namespaces and links standing when this is dropped, for `ashiato down`. Processes end
    /// all the same.
    pub fn keep(&mut self) {
        self.site.stage.keep();
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for `ashiato gc`.
    pub fn down(mut self) -> Result<Removed> {
        self.strike()
    }

    fn strike(&mut self) -> Result<Removed> {
        self.headquarters = None;
        self.site.strike()
    }

    /// Starts the collectors, to which the run's zero is now.
    fn found(&mut self, now: u64) -> Result<Headquarters> {
        let (stage, nursery) = (&mut self.site.stage, &self.site.nursery);
        let grounds = Ground::control(&self.plan)?;
        Headquarters::open(&self.plan, stage, nursery, &self.run.dir, &grounds, now)
    }

    /// Starts what a turn needs and sends its packets.
    fn send(&mut self, scheme: usize) -> Result<Traffic> {
        let now = unix_ns();
        let headquarters = match self.headquarters.take() {
            Some(headquarters) => headquarters,
            None => self.found(now)?,
        };
        // Domains that ask each other count all times from when their collectors began.
        let zero = if self.plan.exchange.is_some() { headquarters.zero } else { now };
        let headquarters = &*self.headquarters.insert(headquarters);
        let site = &mut self.site;
        site.prepare(scheme, &headquarters.seats, false, zero)?;
        let headquarters = Some(headquarters);
        let Played { sent, left, start } = site.play(LEAD_IN, headquarters)?;
        await_quiet(&self.plan, sent.values().sum(), || {
            site.pulse(headquarters)?;
            // What links lose on purpose will not arrive.
            Ok(site.arrived() + site.lost()?)
        })?;
        self.zero = site.zero();
        let mut faults = site.outlast(headquarters)?;
        let Seen { taps, arrived, astray: leaked, tape, lost, ways, carried } = site.close()?;
        let followed = ways.map(|numbers| followed::read(&self.plan, &[numbers])).transpose()?;
        let lost = lost + count_dead(&self.plan, &sent, &arrived, lost, &mut faults);
        let last = tape.last().map_or(0, |at| at.0);
        let seconds = Duration::from_nanos(last.saturating_sub(start.0)).as_secs_f64();
        let delays = Some(left.delays(&self.plan, &tape, start)?);
        Ok(Traffic {
            sent,
            taps,
            arrived,
            tape,
            leaked,
            lost,
            followed,
            seconds,
            delays,
            carried,
            faults,
            zero: start,
        })
    }
}

impl World for NetnsWorld {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        let sent = self.send(scheme);
        if sent.is_err() {
            self.site.abandon();
        }
        sent
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        let posted = self.site.posted().context("traffic comes before reconstruction")?;
        let headquarters = self.headquarters.as_ref().context("no collector runs")?;
        let zeros = self.zero.map(|zero| self.plan.routers.iter().map(move |r| (r.id, zero)));
        let zeros = zeros.into_iter().flatten().collect();
        let (stage, watch) = (&self.site.stage, Watch { zeros, dead: self.site.dead() });
        let outcome =
            inquiry::inquire(&self.plan, scheme, case, stage, headquarters, posted, watch)?;
        let spent = headquarters.spent(|desk| self.site.busy(desk));
        Ok(Outcome { program_ns: mean(&self.site.dismiss()?), spent, ..outcome })
    }

    fn remove(&mut self) -> Result<u64> {
        let removed = self.strike()?;
        for object in &removed.left {
            tracing::error!("left: {object}");
        }
        Ok(removed.left.len() as u64)
    }
}
