//! The world itself: a plan over hosts, and the turns of its schemes.

mod papers;
mod raise;
mod ramp;
mod traffic;

pub use papers::Papers;

use super::director::Director;
use super::home::Home;
use super::placement::Placement;
use super::seen::Aftermath;
use super::wire::{self, from_host, to_host};
use crate::exit::Exit;
use crate::interrupt;
use crate::netns::agents::{Posted, mean};
use crate::netns::layout::Share;
use crate::netns::{NetnsWorld, RunPaths, inquiry};
use crate::plan::Plan;
use crate::safety::evidence::{EVIDENCE, Evidence};
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use traceback::case::Case;

/// How long hosts may take to stand, and to take away.
const RAISE: Duration = Duration::from_secs(120);
/// How long they may take to hand over what they saw, and to end their agents.
const HAND_OVER: Duration = Duration::from_secs(60);

/// A plan standing on other hosts. Dropped without removal, it hangs up, and they remove it.
#[derive(Debug)]
pub struct HostsWorld {
    plan: Arc<Plan>,
    run: RunPaths,
    /// What of the plan stands on each host.
    shares: Vec<Share>,
    posted: Option<Posted>,
    /// What is known of the last turn's traffic besides.
    after: Aftermath,
    director: Director,
    papers: Papers,
    /// Whether the run began slowly already.
    ramped: bool,
    evidence: Evidence,
    /// What each host permits.
    bounds: BTreeMap<String, Value>,
    home: Home,
}

impl HostsWorld {
    /// Starts the collector here, waits for the hosts, and has each make its share of the plan.
    ///
    /// # Errors
    /// Names what is out of bounds, missing or late; hosts remove what they made.
    pub fn up(
        plan: Plan,
        run: RunPaths,
        placement: &Placement,
        papers: Papers,
        progress: &dyn Fn(&str),
    ) -> Result<Self> {
        interrupt::watch()?;
        Self::takes(&plan, run.datapath, placement.tunnels)?;
        papers.check(&plan)?;
        let evidence = Evidence::open(&run.dir.join(EVIDENCE))?;
        evidence.add("begun", papers.facts(&run.id))?;
        let shares = placement.shares(&plan, &run.id)?;
        NetnsWorld::allows(&plan, run.datapath)?;
        let grounds = placement.grounds(&plan, &shares)?;
        let plan = Arc::new(plan);
        let home = Home::open(&plan, &run, &grounds)?;
        let director = Director::listen(placement)?;
        let (posted, after, bounds) = (None, Aftermath::default(), BTreeMap::new());
        let mut world = Self {
            plan,
            run,
            shares,
            posted,
            after,
            director,
            papers,
            ramped: false,
            evidence,
            bounds,
            home,
        };
        let hosts = world.shares.len();
        progress(&format!("waiting for {hosts} hosts to call {}", placement.listen));
        world.director.await_all(&mut world.home)?;
        progress(&format!("making {} links between hosts", crossing(&world.shares)));
        let raised = world.raise(placement);
        world.noted(raised)?;
        Ok(world)
    }

    /// Adds a failure to the evidence.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let (code, why) = (Exit::of(error).code(), format!("{error:#}"));
            self.evidence.add("failed", json!({ "code": code, "why": why }))?;
        }
        result
    }
}

impl World for HostsWorld {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        self.evidence.add("turn", json!({ "scheme": self.plan.schemes[scheme].id }))?;
        let sent = self.send(scheme);
        self.noted(sent)
    }

    fn permitted(&self) -> BTreeMap<String, Value> {
        self.bounds.clone()
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        let posted = self.posted.take().context("traffic comes before reconstruction")?;
        let (stage, headquarters) = (&self.home.stage, &self.home.headquarters);
        let Aftermath { zeros, dead } = std::mem::take(&mut self.after);
        let watch = inquiry::Watch { zeros, dead };
        let outcome =
            inquiry::inquire(&self.plan, scheme, case, stage, headquarters, posted, watch)?;
        self.director.tell_all(&to_host::Kind::Dismiss(wire::Dismiss {}));
        let ended = |_, kind| match kind {
            from_host::Kind::Ended(ended) => Ok(Some(ended.program_ns)),
            _ => Ok(None),
        };
        let runs = self.director.gather(&mut self.home, "agents to end", HAND_OVER, ended)?;
        // What agents spend elsewhere, nobody here knows.
        let spent = self.home.headquarters.spent(|_| None);
        Ok(Outcome { program_ns: mean(&runs.concat()), spent, ..outcome })
    }

    fn remove(&mut self) -> Result<u64> {
        let (left, logs) = self.director.strike(RAISE);
        self.evidence.add("ended", json!({ "left": left, "evidence_of_hosts": logs }))?;
        let here = self.home.stage.strike()?.left;
        let all = left.into_iter().chain(here.iter().map(ToString::to_string));
        let all: Vec<String> = all.inspect(|object| tracing::error!("left: {object}")).collect();
        if let Some(unknown) = all.iter().find(|o| o.contains("does not say")) {
            bail!("{unknown}");
        }
        Ok(all.len() as u64)
    }
}

/// Links that leave a host.
fn crossing(shares: &[Share]) -> usize {
    shares.iter().map(|s| s.tunnels.len()).sum::<usize>() / 2
}
