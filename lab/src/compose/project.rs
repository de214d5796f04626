//! A run in containers, seen from outside: brought up, waited for, taken down.

use super::{Compose, DIRECTOR, Options, engine};
use crate::exit::Exit;
use crate::interrupt;
use crate::journal::{Entry, Journal, Record, state_dir};
use crate::process::CHILD_OF;
use crate::reap;
use anyhow::{Context, Result, anyhow};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long containers have to end by themselves once asked.
const GRACE: Duration = Duration::from_secs(60);
/// Lines of what compose says that an error quotes.
const QUOTED: usize = 30;
/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// What to run.
pub struct Asked<'a> {
    /// Id of the run outside; the director gives its own to what it does.
    pub run: &'a str,
    /// The containers.
    pub compose: Compose,
    /// The rest of the file.
    pub options: Options,
    /// The run folder.
    pub folder: &'a Path,
    /// Told what is going on.
    pub progress: &'a dyn Fn(&str),
}

/// Runs it to its end, removes every container, and returns the director's exit code.
///
/// # Errors
/// [`Exit::HostNotReady`] where no engine is there; what was made is removed.
pub fn run(asked: &Asked<'_>) -> Result<u8> {
    interrupt::watch()?;
    let compose = engine::compose()?;
    let state = state_dir()?;
    let mut journal = Journal::start(&state, asked.run, asked.folder)?;
    journal.write(&[Entry::Containers])?;
    let done = up(compose, &journal, asked);
    (asked.progress)("removing containers");
    let (_, left) = reap::remove(&state, &Record::read(journal.dir())?)?;
    for object in &left {
        tracing::error!("left: {object}");
    }
    let code = done?;
    if left.is_empty() { Ok(code) } else { Err(anyhow!("{} objects are left", left.len())) }
}

fn up(mut compose: Command, journal: &Journal, asked: &Asked<'_>) -> Result<u8> {
    let file = journal.dir().join("docker-compose.yml");
    fs::write(&file, asked.compose.to_yaml(&asked.options)).context("cannot write a file")?;
    let capabilities = asked.compose.capabilities(&asked.options).join(", ");
    let count = asked.compose.containers.len() + 2;
    (asked.progress)(&format!("starting {count} containers; nodes may use {capabilities}"));
    let said = journal.dir().join("compose.log");
    let log = fs::File::create(&said).context("cannot write compose's log")?;
    compose
        .env("ASHIATO_RUN", asked.run)
        .env(CHILD_OF, asked.run)
        .arg("--file")
        .arg(&file)
        .args(["--project-name", &format!("ashiato-{}", asked.run.to_lowercase())])
        .args(["up", "--no-color"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let child = compose.spawn().context("cannot start compose")?;
    let status = wait(child, journal)?;
    let code = engine::exit_code(asked.run, DIRECTOR)?;
    let said = fs::read_to_string(&said).unwrap_or_default();
    if code.is_none_or(|code| code == Exit::Internal.code()) {
        let lines: Vec<&str> = said.lines().collect();
        let last = &lines[lines.len().saturating_sub(QUOTED)..];
        return Err(anyhow!("containers ended ({status}):\n  {}", last.join("\n  ")));
    }
    code.context("the director's container did not run")
}

/// Waits for the end of all containers, and asks for it when the run is to end.
fn wait(mut child: Child, journal: &Journal) -> Result<ExitStatus> {
    let mut asked_to_end: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            interrupt::check()?;
            return Ok(status);
        }
        let stop = interrupt::check().is_err() || journal.is_stopped();
        match asked_to_end {
            None if stop => {
                ask_to_end(&child);
                asked_to_end = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => {
                child.kill()?;
                child.wait()?;
                return Err(Exit::Stopped.refuse("compose did not end when asked"));
            }
            _ => std::thread::sleep(LOOK),
        }
    }
}

fn ask_to_end(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // It may end at this very moment, which is what is wanted.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGINT);
    }
}
