//! The world itself: a plan, its stage, and the turns of its schemes.

use super::layout::Layout;
use super::stage::{Removed, Stage};
use crate::interrupt;
use crate::plan::Plan;
use crate::scope::Gate;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Who a run is, and where its folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    /// The run's id.
    pub id: String,
    /// The run folder.
    pub dir: PathBuf,
}

/// A plan standing in network namespaces. Dropped without [`Self::down`], it removes itself too.
#[derive(Debug)]
pub struct NetnsWorld {
    plan: Plan,
    stage: Stage,
    run: RunPaths,
}

impl NetnsWorld {
    /// Makes namespaces, links, addresses and routes of a plan.
    ///
    /// # Errors
    /// When the plan is out of bounds or the host does not allow it; what was made by then is removed.
    pub fn up(plan: Plan, run: RunPaths, progress: &dyn Fn(&str)) -> Result<Self> {
        interrupt::watch()?;
        Gate::new(&plan).map_err(|e| crate::exit::Exit::Safety.refuse(e))?;
        let layout = Layout::of(&plan, &run.id)?;
        let (spaces, wires) = (layout.spaces.len(), layout.wires.len());
        progress(&format!("making {spaces} namespaces and {wires} links"));
        let stage = Stage::raise(layout, &run.id, &run.dir)?;
        Ok(Self { plan, stage, run })
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

    /// Takes everything away.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for `ashiato gc`.
    pub fn down(mut self) -> Result<Removed> {
        self.stage.strike()
    }
}
