//! What a run made on this host, written down before it is made.
//!
//! ```text
//! STATE/RUN/journal.ndjson     one line for each object; the first names the owner
//! STATE/RUN/stop               exists when somebody asked the run to stop its traffic
//! ```
//! STATE is `$ASHIATO_STATE`, else `/run/ashiato` for root and `~/.local/state/ashiato` for others.
//! Intent comes first and is synced, so that a run killed at any instant can be removed by
//! [`crate::reap`]: an object that the journal does not name is not ours.

use crate::netns::own::Thing;
use crate::process::Process;
use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// Who runs what; the first line.
    Run {
        /// The run's id.
        run: String,
        /// The run folder, which stays.
        folder: PathBuf,
        /// The process that removes everything, as long as it lives.
        owner: Process,
    },
    /// A network namespace is about to be made.
    Namespace {
        /// Its name.
        name: String,
    },
    /// It was made.
    Made {
        /// Its name.
        name: String,
        /// The kernel's number for it, so that a later one of the same name is not taken for it.
        inode: u64,
    },
    /// One end of a link is about to be made.
    Link {
        /// Where.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Something is about to be made in the host's own namespace.
    Own {
        /// The kernel's number of that namespace.
        inode: u64,
        /// What.
        thing: Thing,
    },
    /// Containers are about to be made; labels tell that they are ours.
    Containers,
    /// A process is about to start. Until its number follows, its environment tells that it is ours.
    Start {
        /// What it is for.
        role: String,
    },
    /// It started.
    Process {
        /// What it is for.
        role: String,
        /// Which.
        process: Process,
    },
}

/// A journal that this process writes.
#[derive(Debug)]
pub struct Journal {
    file: File,
    dir: PathBuf,
}

impl Journal {
    /// Starts the journal of a run that this process owns.
    ///
    /// # Errors
    /// When the id is no plain word or is taken, or the state folder cannot be written.
    pub fn start(state: &Path, run: &str, folder: &Path) -> Result<Self> {
        let plain = run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !plain || run.is_empty() || run.len() > 64 {
            bail!("the run id {run:?} is not made of 1 to 64 letters, digits and dashes");
        }
        // Made aside and moved, so that a folder with a plain name always names its owner.
        let (dir, aside) = (state.join(run), state.join(format!(".{run}")));
        let make = || -> Result<File> {
            DirBuilder::new().recursive(true).mode(0o700).create(state)?;
            DirBuilder::new().mode(0o700).create(&aside)?;
            let path = aside.join("journal.ndjson");
            let mut file = OpenOptions::new().append(true).create_new(true).open(path)?;
            let owner = Process::me();
            let run = Entry::Run { run: run.into(), folder: folder.into(), owner };
            file.write_all(&line(&run)?)?;
            file.sync_data()?;
            fs::rename(&aside, &dir)?;
            Ok(file)
        };
        let file = make().with_context(|| {
            format!(
                "cannot start the journal of run {run} in {} (set ASHIATO_STATE to a folder that \
                 can be written)",
                state.display()
            )
        })?;
        Ok(Self { file, dir })
    }

    /// Appends lines and waits until they are safe.
    ///
    /// # Errors
    /// When they cannot be written: then nothing may be made either.
    pub fn write(&mut self, entries: &[Entry]) -> Result<()> {
        let mut text = vec![];
        for entry in entries {
            text.extend(line(entry)?);
        }
        let done = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        done.with_context(|| format!("cannot write the journal in {}", self.dir.display()))
    }

    /// The journal's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether somebody asked the run to stop.
    pub fn is_stopped(&self) -> bool {
        self.dir.join(STOP).exists()
    }
}

const STOP: &str = "stop";

fn line(entry: &Entry) -> Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

/// Where journals are.
///
/// # Errors
/// When neither `$ASHIATO_STATE` nor `$HOME` says where.
pub fn state_dir() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os("ASHIATO_STATE").filter(|d| !d.is_empty()) {
        // What is written there names other files of it, and those who read it may be elsewhere.
        return std::path::absolute(dir).context("ASHIATO_STATE");
    }
    if nix::unistd::geteuid().is_root() {
        return Ok("/run/ashiato".into());
    }
    let home = std::env::var_os("HOME").filter(|h| !h.is_empty());
    let home = home.context("neither ASHIATO_STATE nor HOME is set; set one")?;
    Ok(PathBuf::from(home).join(".local/state/ashiato"))
}

/// Holds off other runs of this host while something that all share is changed.
///
/// # Errors
/// When the state folder cannot be opened.
pub fn lock(state: &Path) -> Result<Flock<File>> {
    let open = || -> Result<Flock<File>> {
        DirBuilder::new().recursive(true).mode(0o700).create(state)?;
        Flock::lock(File::open(state)?, FlockArg::LockExclusive).map_err(|(_, e)| e.into())
    };
    open().with_context(|| format!("cannot lock {}", state.display()))
}

/// A journal read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The run's id.
    pub run: String,
    /// The run folder.
    pub folder: PathBuf,
    /// Who owns the objects.
    pub owner: Process,
    /// Namespaces, with the kernel's number where it is known.
    pub namespaces: BTreeMap<String, Option<u64>>,
    /// Ends of links, as namespace and name.
    pub links: Vec<(String, String)>,
    /// Things in the host's own namespace, with the number of that.
    pub own: Vec<(u64, Thing)>,
    /// Whether there may be containers.
    pub containers: bool,
    /// Processes with what they are for.
    pub processes: Vec<(Process, String)>,
    /// The journal's folder.
    pub dir: PathBuf,
}

impl Record {
    /// Reads the journal in a folder. A last line that was cut off is what its writer did not get to
    /// act upon.
    ///
    /// # Errors
    /// When there is no journal, or it does not begin with its owner.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("journal.ndjson");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read journal {}", path.display()))?;
        let mut entries = text.lines().map_while(|l| serde_json::from_str(l).ok());
        let Some(Entry::Run { run, folder, owner }) = entries.next() else {
            bail!("journal {} does not name its owner; look at it and remove it", path.display());
        };
        if dir.file_name().is_none_or(|n| n != run.as_str()) {
            bail!("journal {} is of run {run}, not of its folder's", path.display());
        }
        let (namespaces, links, own, processes) = (BTreeMap::new(), vec![], vec![], vec![]);
        let (containers, dir) = (false, dir.into());
        let mut record =
            Self { run, folder, owner, namespaces, links, own, containers, processes, dir };
        entries.for_each(|e| record.add(e));
        Ok(record)
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Namespace { name } => _ = self.namespaces.entry(name).or_default(),
            Entry::Made { name, inode } => _ = self.namespaces.insert(name, Some(inode)),
            Entry::Link { namespace, name } => self.links.push((namespace, name)),
            Entry::Own { inode, thing } => self.own.push((inode, thing)),
            Entry::Containers => self.containers = true,
            Entry::Process { role, process } => self.processes.push((process, role)),
            // The first line was read already; a start without its number is found by its mark.
            Entry::Run { .. } | Entry::Start { .. } => {}
        }
    }

    /// Whether the process that owns the objects lives.
    pub fn is_owned(&self) -> bool {
        self.owner.is_alive()
    }

    /// Asks the run to stop its traffic.
    ///
    /// # Errors
    /// When the request cannot be written.
    pub fn ask_to_stop(&self) -> Result<()> {
        let path = self.dir.join(STOP);
        fs::write(&path, b"").with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Every run with a journal, oldest id first, and the journals that cannot be read.
pub fn records(state: &Path) -> (Vec<Record>, Vec<anyhow::Error>) {
    let mut dirs: Vec<PathBuf> =
        fs::read_dir(state).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    dirs.sort_unstable();
    let (mut good, mut bad) = (vec![], vec![]);
    for dir in dirs.iter().filter(|d| d.is_dir()) {
        let hidden = dir.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if hidden {
            // A start that was killed before it made anything.
            let age = fs::metadata(dir).and_then(|m| m.modified()).map(|t| t.elapsed());
            if age.is_ok_and(|a| a.is_ok_and(|a| a > Duration::from_secs(60))) {
                let _ = fs::remove_dir_all(dir);
            }
            continue;
        }
        match Record::read(dir) {
            Ok(record) => good.push(record),
            Err(e) => bad.push(e),
        }
    }
    (good, bad)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
