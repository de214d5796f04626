//! A plan's namespaces, from up to down.

use super::build::build;
use super::layout::Layout;
use super::space;
use crate::journal::{Entry, Journal, Record, lock, state_dir};
use crate::plan::Plan;
use crate::reap::{self, Object};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Who a run is, and where its folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPaths {
    /// The run's id.
    pub id: String,
    /// The run folder.
    pub dir: PathBuf,
}

/// What [`NetnsWorld::down`] took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Namespaces removed.
    pub namespaces: usize,
    /// Links that went with them.
    pub links: usize,
    /// What is left: empty, or somebody must look.
    pub left: Vec<Object>,
}

/// A plan standing in network namespaces. Dropped without [`Self::down`], it removes itself too.
#[derive(Debug)]
pub struct NetnsWorld {
    plan: Plan,
    layout: Layout,
    run: RunPaths,
    journal: Option<Journal>,
    state: PathBuf,
}

impl NetnsWorld {
    /// Makes namespaces, links, addresses and routes of a plan.
    ///
    /// # Errors
    /// When the host does not allow it; what was made by then is removed.
    pub fn up(plan: Plan, run: RunPaths, progress: &dyn Fn(&str)) -> Result<Self> {
        let state = state_dir()?;
        let layout = Layout::of(&plan, &run.id)?;
        progress(&format!(
            "making {} namespaces and {} links",
            layout.spaces.len(),
            layout.wires.len()
        ));
        let journal = Journal::start(&state, &run.id, &run.dir)?;
        let mut world = Self { plan, layout, run, journal: Some(journal), state };
        world.make().with_context(|| format!("cannot set up run {}", world.run.id))?;
        Ok(world)
    }

    fn make(&mut self) -> Result<()> {
        let journal = self.journal.as_mut().expect("invariant: up has just started the journal");
        let mut entries = vec![];
        for space in &self.layout.spaces {
            let namespace = space.name.clone();
            entries.push(Entry::Namespace { name: namespace.clone() });
            let link = |name: String| Entry::Link { namespace: namespace.clone(), name };
            entries.extend(space.ports.iter().map(|p| link(p.name.clone())));
        }
        journal.write(&entries)?;
        {
            let _lock = lock(&self.state)?;
            if space::prepare_dir()? {
                fs::write(self.state.join(reap::DIR_MARK), b"")?;
            }
        }
        build(&self.layout)?;
        let made = self.layout.spaces.iter().filter_map(|s| {
            Some(Entry::Made { name: s.name.clone(), inode: space::inode(&s.name)? })
        });
        journal.write(&made.collect::<Vec<_>>())
    }

    /// The plan that stands here.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
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
        self.remove()
    }

    fn remove(&mut self) -> Result<Removed> {
        let Some(journal) = self.journal.take() else {
            return Ok(Removed { namespaces: 0, links: 0, left: vec![] });
        };
        let record = Record::read(journal.dir())?;
        let (removed, left) = reap::remove(&self.state, &record)?;
        let count = |wanted: fn(&Object) -> bool| removed.iter().filter(|o| wanted(o)).count();
        Ok(Removed {
            namespaces: count(|o| matches!(o, Object::Namespace { .. })),
            // Two ends make a link.
            links: count(|o| matches!(o, Object::Link { .. })) / 2,
            left,
        })
    }
}

impl Drop for NetnsWorld {
    fn drop(&mut self) {
        if let Err(e) = self.remove() {
            tracing::error!("cannot remove run {}: {e:#}; try: ashiato gc", self.run.id);
        }
    }
}
