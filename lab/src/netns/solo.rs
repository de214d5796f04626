//! Agents that a fault will befall: each has a process of its own, so that it alone is killed, cut off or
//! put out of time.

use super::agents::{self, Agents};
use super::line::Line;
use super::stage::Stage;
use super::workers::Nursery;
use crate::plan::{Failure, Plan};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One of them.
#[derive(Debug)]
pub(crate) struct Solo {
    /// Position among the workers.
    pub(super) worker: usize,
    /// Its configuration.
    pub(super) config: PathBuf,
    /// Its line to the collector, where that will be cut.
    pub(super) line: Option<Line>,
    /// Whether it was killed and nobody took its place.
    pub(super) dead: bool,
    /// When the one that took its place was ready.
    ready: Option<Instant>,
}

impl Solo {
    pub(super) fn new(worker: usize, config: PathBuf, line: Option<Line>) -> Self {
        Self { worker, config, line, dead: false, ready: None }
    }

    /// Whether [`Agents::listen`] hears it: one that was never started again, or is not ready yet.
    pub(super) fn is_awaited(&self) -> bool {
        !self.dead && self.ready.is_none()
    }
}

/// Routers of a plan whose agents need a process of their own.
pub(super) fn alone(plan: &Plan) -> BTreeSet<usize> {
    plan.faults.iter().flat_map(|f| f.what.agents().iter().copied()).collect()
}

/// Routers of a plan whose line to the collector is cut some time.
pub(super) fn cut_off(plan: &Plan) -> BTreeSet<usize> {
    let lines = plan.faults.iter().filter(|f| matches!(f.what, Failure::Line { .. }));
    lines.flat_map(|f| f.what.agents().iter().copied()).collect()
}

impl Agents {
    fn solo(&self, router: usize) -> Result<&Solo> {
        self.solos.get(&router).context("no agent of its own works at this router")
    }

    /// Kills a router's agent at once.
    ///
    /// # Errors
    /// When it has no process of its own.
    pub(crate) fn kill(&mut self, router: usize) -> Result<()> {
        let solo = self.solos.get_mut(&router).context("no agent of its own works there")?;
        solo.dead = true;
        self.workers[solo.worker].kill();
        Ok(())
    }

    /// Starts a router's agent again; that it is ready is heard later.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn restart(
        &mut self,
        router: usize,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
    ) -> Result<()> {
        let solo = self.solos.get_mut(&router).context("no agent of its own works there")?;
        let worker = &mut self.workers[solo.worker];
        let role = format!("{}-again", worker.role);
        let command = agents::agent(&solo.config)?;
        let space = stage.layout().control().path();
        *worker = nursery.start(stage, space, folder, &role, command)?;
        (solo.dead, solo.ready) = (false, None);
        Ok(())
    }

    /// Hears what agents that were started again say.
    ///
    /// # Errors
    /// When one of them has ended.
    pub(super) fn listen(&mut self) -> Result<()> {
        for solo in self.solos.values_mut().filter(|s| s.is_awaited()) {
            let worker = &mut self.workers[solo.worker];
            while let Some(line) = worker.line(Duration::ZERO)? {
                let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                match said["event"].as_str() {
                    Some("ready") => solo.ready = Some(Instant::now()),
                    _ => bail!("{} says {}{}", worker.role, line.trim(), worker.quote()),
                }
            }
        }
        Ok(())
    }

    /// When a router's agent was ready again after it was killed.
    pub(crate) fn ready_again(&self, router: usize) -> Option<Instant> {
        self.solos.get(&router).filter(|s| !s.dead).and_then(|s| s.ready)
    }

    /// Those of some routers whose agents work here.
    pub(crate) fn here(&self, routers: &[usize]) -> Vec<usize> {
        routers.iter().copied().filter(|router| self.solos.contains_key(router)).collect()
    }

    /// A router's line to the collector.
    ///
    /// # Errors
    /// When none was laid that can be cut.
    pub(crate) fn line(&self, router: usize) -> Result<&Line> {
        self.solo(router)?.line.as_ref().context("no line that can be cut")
    }

    /// Puts the clock of a router's agent.
    ///
    /// # Errors
    /// When it has no process of its own.
    pub(crate) fn step_clock(&mut self, router: usize, by_ns: i64) -> Result<()> {
        let worker = self.solo(router)?.worker;
        self.workers[worker].say(&format!("clock {by_ns}\n"));
        Ok(())
    }

    /// Routers whose agents are dead.
    pub(crate) fn dead(&self) -> usize {
        self.solos.values().filter(|s| s.dead).count()
    }
}
