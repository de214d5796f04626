//! Namespaces and links of one run, from up to down, under a journal.

use super::build::build;
use super::heart::Heart;
use super::layout::Layout;
use super::{own, space};
use crate::exit::Exit;
use crate::interrupt;
use crate::journal::{Entry, Journal, Record, lock, state_dir};
use crate::reap::{self, Object};
use crate::tunnel::Tap;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What taking a stage down took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Namespaces removed.
    pub namespaces: usize,
    /// Links that went with them.
    pub links: usize,
    /// What is left: empty, or somebody must look.
    pub left: Vec<Object>,
}

/// A layout that stands. Dropped without [`Self::strike`], it removes itself too.
#[derive(Debug)]
pub struct Stage {
    run: String,
    layout: Layout,
    journal: Option<Journal>,
    state: PathBuf,
    heart: Heart,
    kept: bool,
    /// Outer ends of sealed tunnels, until somebody carries what comes out.
    taps: Vec<Tap>,
}

impl Stage {
    /// Makes everything of a layout.
    ///
    /// # Errors
    /// When the host does not allow it; what was made by then is removed.
    pub fn raise(layout: Layout, run: &str, folder: &Path) -> Result<Self> {
        Self::raise_under(layout, run, folder, Heart::default())
    }

    /// The same for a run that lives as long as somebody else says.
    ///
    /// # Errors
    /// As [`Self::raise`].
    pub fn raise_under(layout: Layout, run: &str, folder: &Path, heart: Heart) -> Result<Self> {
        let makes = layout.spaces.iter().any(|s| !s.own || !s.ports.is_empty());
        if makes && !nix::unistd::geteuid().is_root() {
            return Err(Exit::HostNotReady.refuse(
                "network namespaces need root: run with sudo, or take --world sim; \
                 `ashiato doctor` says what is missing",
            ));
        }
        let state = state_dir()?;
        let journal = Journal::start(&state, run, folder)?;
        let (run_id, journal, taps) = (run.into(), Some(journal), vec![]);
        let mut stage = Self { run: run_id, layout, journal, state, heart, kept: false, taps };
        stage.make().with_context(|| format!("cannot set up run {run}"))?;
        Ok(stage)
    }

    fn make(&mut self) -> Result<()> {
        let mut entries = vec![];
        for space in &self.layout.spaces {
            if space.own {
                entries.extend(own::entries(&self.layout, space)?);
                continue;
            }
            let namespace = space.name.clone();
            entries.push(Entry::Namespace { name: namespace.clone() });
            let link = |name: String| Entry::Link { namespace: namespace.clone(), name };
            entries.extend(space.ports.iter().map(|p| link(p.name.clone())));
        }
        self.journal()?.write(&entries)?;
        if self.layout.spaces.iter().any(|s| !s.own) {
            let _lock = lock(&self.state)?;
            if space::prepare_dir()? {
                fs::write(self.state.join(reap::DIR_MARK), b"")?;
            }
        }
        self.taps = build(&self.layout)?;
        let made = self.layout.spaces.iter().filter(|s| !s.own).filter_map(|s| {
            Some(Entry::Made { name: s.name.clone(), inode: space::inode(&s.name)? })
        });
        let made: Vec<Entry> = made.collect();
        self.journal()?.write(&made)
    }

    /// Where everything is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The run's id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The journal, for what is made later.
    ///
    /// # Errors
    /// When the stage is down.
    pub fn journal(&mut self) -> Result<&mut Journal> {
        self.journal.as_mut().context("the world is down already")
    }

    /// The outer ends of its sealed tunnels, once.
    pub(crate) fn take_taps(&mut self) -> Vec<Tap> {
        std::mem::take(&mut self.taps)
    }

    /// What the run's life hangs on.
    pub(super) fn heart(&self) -> &Heart {
        &self.heart
    }

    /// Fails when the run is to end: a person interrupted it or asked it to stop, or its director does.
    ///
    /// # Errors
    /// With [`Exit::Interrupted`] or [`Exit::Stopped`].
    pub fn pulse(&self) -> Result<()> {
        interrupt::check()?;
        self.heart.check()?;
        if self.journal.as_ref().is_some_and(Journal::is_stopped) {
            return Err(Exit::Stopped.refuse("stopped by `ashiato stop`"));
        }
        Ok(())
    }

    /// Takes everything away, processes first.
    ///
    /// # Errors
    /// When the kernel refuses; the journal stays for `ashiato gc`.
    pub fn strike(&mut self) -> Result<Removed> {
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

    /// Leaves everything standing when this process ends, for `ashiato down`.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(e) = self.strike() {
            tracing::error!("cannot remove run {}: {e:#}; try: ashiato gc", self.run);
        }
    }
}
