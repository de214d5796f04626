//! What stands on the director's own machine: the collector with its keys, and the faults that befall it.

use super::director::Director;
use crate::clock::{nanos, unix_ns};
use crate::netns::RunPaths;
use crate::netns::faults::{Faults, Scene};
use crate::netns::headquarters::{Ground, Headquarters};
use crate::netns::layout::Layout;
use crate::netns::workers::Nursery;
use crate::netns::{Heart, Stage};
use crate::plan::{Failure, Plan};
use crate::world::Happened;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All of it. Dropped, it goes.
#[derive(Debug)]
pub(super) struct Home {
    pub(super) headquarters: Headquarters,
    faults: Faults,
    nursery: Nursery,
    folder: PathBuf,
    pub(super) stage: Stage,
}

impl Home {
    /// Starts the collectors that run here.
    ///
    /// # Errors
    /// When it does not start, or its keys cannot be made.
    pub(super) fn open(plan: &Arc<Plan>, run: &RunPaths, grounds: &[Ground]) -> Result<Self> {
        let nursery = Nursery::open()?;
        let (nowhere, heart) = (Layout::nowhere(), Heart::default());
        let mut stage = Stage::raise_under(nowhere, &run.id, &run.dir, heart)?;
        let headquarters =
            Headquarters::open(plan, &mut stage, &nursery, &run.dir, grounds, unix_ns())?;
        let faults = Faults::of(plan, |what| *what == Failure::DiskFull);
        Ok(Self { headquarters, faults, nursery, folder: run.dir.clone(), stage })
    }

    /// The plan's time 0 is so far ahead.
    pub(super) fn go(&mut self, lead: Duration) {
        self.faults.go(unix_ns() + nanos(lead));
    }

    /// Begins and ends what befalls the collector, and fails when the run is to end.
    ///
    /// # Errors
    /// When something does not fail as it should, or with the reason why all is to end.
    pub(super) fn pulse(&mut self) -> Result<()> {
        self.stage.pulse()?;
        let Self { headquarters, faults, nursery, folder, stage } = self;
        faults.tend(&mut scene(headquarters, stage, nursery, folder))
    }

    /// Waits until every fault of the collector's that is to end has ended, and says what happened.
    ///
    /// # Errors
    /// As [`Self::pulse`], and when a host is gone.
    pub(super) fn outlast(&mut self, director: &mut Director) -> Result<Vec<Happened>> {
        while !self.faults.are_over() {
            director.flown(self)?;
            std::thread::sleep(Duration::from_millis(5));
        }
        let Self { headquarters, faults, nursery, folder, stage } = self;
        faults.rest(&mut scene(headquarters, stage, nursery, folder))
    }
}

fn scene<'s>(
    headquarters: &'s Headquarters,
    stage: &'s mut Stage,
    nursery: &'s Nursery,
    folder: &'s std::path::Path,
) -> Scene<'s> {
    Scene { agents: None, wires: None, headquarters: Some(headquarters), stage, nursery, folder }
}
