//! What goes on while something stands: beats, agents looked after, faults that begin and end, reasons to end it all.

use super::{RECOVERY, Site};
use crate::netns::agents::Agents;
use crate::netns::faults::Scene;
use crate::netns::headquarters::Headquarters;
use crate::world::Happened;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

impl Site {
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
}
