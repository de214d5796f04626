//! Removal: of one run, and of everything whose owner is gone.
//!
//! Only what a journal names is touched. What only looks like ours is reported.

use crate::compose::engine;
use crate::journal::{Record, lock, records};
use crate::netns::{names, own, space};
use crate::process::{self, Process};
use anyhow::Result;
use nix::sys::signal::Signal;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// One thing on this host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "object", rename_all = "kebab-case")]
pub enum Object {
    /// A process that a run started.
    Process {
        /// Its number.
        pid: i32,
        /// What it is for.
        role: String,
    },
    /// A network namespace.
    Namespace {
        /// Its name.
        name: String,
    },
    /// One end of a link; it goes with its namespace.
    Link {
        /// Where.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Something in the host's own namespace.
    Own {
        /// What it is.
        thing: String,
    },
    /// A container, or what containers share.
    Engine {
        /// `container`, `network` or `volume`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Somebody else's process inside a namespace of ours, which keeps the namespace alive.
    Guest {
        /// Its number.
        pid: i32,
        /// Where.
        namespace: String,
    },
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Process { pid, role } => write!(f, "process {pid} ({role})"),
            Self::Namespace { name } => write!(f, "namespace {name}"),
            Self::Link { namespace, name } => write!(f, "link {name} in {namespace}"),
            Self::Own { thing } => write!(f, "{thing} in the host's own namespace"),
            Self::Engine { kind, name } => write!(f, "{kind} {name}"),
            Self::Guest { pid, namespace } => {
                write!(f, "process {pid}, not ours, in {namespace}: end it to free the namespace")
            }
        }
    }
}

/// What of a run exists now.
pub fn left_behind(record: &Record) -> Vec<Object> {
    let ours = processes(record);
    let mut left: BTreeSet<Object> = ours
        .iter()
        .map(|(process, role)| Object::Process { pid: process.pid, role: role.clone() })
        .collect();
    let names: BTreeSet<&String> = record.namespaces.keys().filter(|n| stands(record, n)).collect();
    left.extend(names.iter().map(|n| Object::Namespace { name: (*n).clone() }));
    for (namespace, name) in record.links.iter().filter(|(n, _)| names.contains(n)) {
        left.insert(Object::Link { namespace: namespace.clone(), name: name.clone() });
    }
    if record.containers {
        let held = engine::objects(&record.run).into_iter();
        left.extend(held.map(|(kind, name)| Object::Engine { kind, name }));
    }
    match own::standing(&record.own) {
        Ok(things) => left.extend(things.iter().map(|t| Object::Own { thing: t.to_string() })),
        // What cannot be looked at may be there.
        Err(e) => _ = left.insert(Object::Own { thing: format!("cannot look ({e:#})") }),
    }
    let inodes: Vec<u64> = record.namespaces.values().filter_map(|i| *i).collect();
    for (guest, inode) in process::inside(&inodes) {
        if guest != record.owner && !ours.iter().any(|(p, _)| *p == guest) {
            let at = record.namespaces.iter().find(|(_, i)| **i == Some(inode));
            let namespace = at.map_or_else(String::new, |(name, _)| name.clone());
            left.insert(Object::Guest { pid: guest.pid, namespace });
        }
    }
    left.into_iter().collect()
}

/// Removes what a run made, and its journal when nothing is left. Returns what was removed and what
/// is left.
///
/// # Errors
/// When the kernel refuses; the journal stays, so that it can be tried again.
pub fn remove(state: &Path, record: &Record) -> Result<(Vec<Object>, Vec<Object>)> {
    let before = left_behind(record);
    for (process, _) in processes(record) {
        process.signal(Signal::SIGKILL);
    }
    for (process, _) in processes(record) {
        process.gone_within(Duration::from_secs(5));
    }
    let _lock = lock(state)?;
    for name in record.namespaces.keys().filter(|n| stands(record, n)) {
        space::remove(name)?;
    }
    own::remove(&record.own)?;
    if record.containers {
        engine::remove(&record.run)?;
    }
    let after = left_behind(record);
    if after.is_empty() {
        fs::remove_dir_all(&record.dir)?;
        release_dir(state)?;
    }
    let removed = before.into_iter().filter(|o| !after.contains(o)).collect();
    Ok((removed, after))
}

/// Notes that the folder of named namespaces was not there before us.
pub(crate) const DIR_MARK: &str = "netns-mounted";

fn release_dir(state: &Path) -> Result<()> {
    let mark = state.join(DIR_MARK);
    if mark.exists() && records(state).0.is_empty() && space::drop_dir()? {
        fs::remove_file(mark)?;
    }
    Ok(())
}

/// What `gc` found and did.
#[derive(Debug, Default, Serialize)]
pub struct Swept {
    /// Runs that were removed, or would be.
    pub runs: Vec<String>,
    /// Runs with a living owner, left alone.
    pub living: Vec<String>,
    /// Objects removed, or that would be.
    pub removed: Vec<Object>,
    /// Objects of those runs that are left.
    pub left: Vec<Object>,
    /// Namespaces that look like ours but are in no journal: not touched.
    pub strangers: Vec<String>,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// Removes every run that nobody owns any more; with `all`, the living ones too.
///
/// # Errors
/// Only when nothing could be looked at; what fails at one run is in [`Swept::errors`].
pub fn sweep(state: &Path, all: bool, dry_run: bool) -> Result<Swept> {
    let (records, bad) = records(state);
    let (living, dead): (Vec<_>, Vec<_>) = records.into_iter().partition(|r| r.is_owned() && !all);
    let mut swept = if dry_run {
        let removed = dead.iter().flat_map(left_behind).collect();
        let runs = dead.iter().map(|r| r.run.clone()).collect();
        Swept { runs, removed, ..Swept::default() }
    } else {
        sweep_some(state, &dead)
    };
    swept.errors.extend(bad.iter().map(|e| format!("{e:#}")));
    let known: BTreeSet<&String> =
        living.iter().chain(&dead).flat_map(|r| r.namespaces.keys()).collect();
    let looks_ours = |n: &String| n.starts_with(names::PREFIX) && !known.contains(n);
    swept.strangers = space::names().into_iter().filter(looks_ours).collect();
    swept.living = living.into_iter().map(|r| r.run).collect();
    Ok(swept)
}

/// Removes these runs, whoever owns them.
pub fn sweep_some(state: &Path, records: &[Record]) -> Swept {
    let mut swept = Swept::default();
    for record in records {
        swept.runs.push(record.run.clone());
        let before = left_behind(record);
        end_owner(record);
        // The owner may have removed everything itself.
        let result = if record.dir.exists() { remove(state, record) } else { Ok((before, vec![])) };
        match result {
            Ok((removed, left)) => {
                swept.removed.extend(removed);
                swept.left.extend(left);
            }
            Err(e) => {
                swept.errors.push(format!("run {}: {e:#}", record.run));
                swept.left.extend(left_behind(record));
            }
        }
    }
    swept
}

/// Ends a run's traffic: asks its owner, and ends its actors without waiting for it. Returns how many
/// actors there were.
///
/// # Errors
/// When the request cannot be written.
pub fn stop(record: &Record) -> Result<usize> {
    record.ask_to_stop()?;
    let actors: Vec<Process> = processes(record)
        .into_iter()
        .filter(|(_, role)| role.starts_with(ACTOR))
        .map(|(process, _)| process)
        .collect();
    actors.iter().for_each(|p| p.signal(Signal::SIGTERM));
    for actor in &actors {
        if !actor.gone_within(Duration::from_secs(2)) {
            actor.signal(Signal::SIGKILL);
            actor.gone_within(Duration::from_secs(2));
        }
    }
    Ok(actors.len())
}

/// What the role of every process that sends traffic begins with.
pub const ACTOR: &str = "actor";

/// Lets a living owner end by itself; one that does not is killed, since its children must not run
/// on and its objects are about to go.
pub fn end_owner(record: &Record) {
    if !record.is_owned() || record.owner == Process::me() {
        return;
    }
    record.owner.signal(Signal::SIGINT);
    if !record.owner.gone_within(Duration::from_secs(10)) {
        record.owner.signal(Signal::SIGKILL);
        record.owner.gone_within(Duration::from_secs(5));
    }
}

/// Living processes of a run: those written down, and those that carry its mark.
fn processes(record: &Record) -> Vec<(Process, String)> {
    let mut found: Vec<_> =
        record.processes.iter().filter(|(p, _)| p.is_alive()).cloned().collect();
    for process in process::children_of(&record.run) {
        if process != record.owner && !found.iter().any(|(p, _)| *p == process) {
            found.push((process, "unwritten".into()));
        }
    }
    found
}

/// Whether the namespace of this name is there and is the one that the run made.
fn stands(record: &Record, name: &str) -> bool {
    let known = record.namespaces.get(name).copied().flatten();
    names::owns(&record.run, name)
        && space::inode(name).is_some_and(|i| known.is_none_or(|known| known == i))
}
