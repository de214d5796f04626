//! Processes of a run: started inside namespaces, heard line by line, ended with their run.

use super::space;
use super::stage::Stage;
use crate::journal::Entry;
use crate::process::{CHILD_OF, Process};
use anyhow::{Context, Result, anyhow, bail};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Longest line that a process may say.
const LINE: u64 = 16 << 20;
/// Lines of a log that an error quotes.
const QUOTED: usize = 8;

/// Starts processes. It has a thread of its own that lives as long as it does: the kernel ends a
/// child when the *thread* that started it ends, and that thread moves between namespaces.
#[derive(Debug)]
pub(crate) struct Nursery {
    orders: Sender<Order>,
}

struct Order {
    space: PathBuf,
    command: Command,
    reply: Sender<Result<Child>>,
}

impl Nursery {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the process cannot have one more.
    pub(crate) fn open() -> Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        let serve = move || {
            for mut order in inbox {
                let child = space::enter(&order.space).and_then(|()| {
                    let program = order.command.get_program().to_string_lossy().into_owned();
                    order.command.spawn().with_context(|| format!("cannot start {program}"))
                });
                let _ = order.reply.send(child);
            }
        };
        thread::Builder::new().name("nursery".into()).spawn(serve).context("no thread")?;
        Ok(Self { orders })
    }

    /// Starts a process in a namespace, under the run's journal; what it says on standard error goes
    /// to `logs/ROLE.log` in the run folder.
    ///
    /// # Errors
    /// Names the program that does not start.
    pub(crate) fn start(
        &self,
        stage: &mut Stage,
        space: PathBuf,
        folder: &Path,
        role: &str,
        mut command: Command,
    ) -> Result<Worker> {
        let log = folder.join("logs").join(format!("{role}.log"));
        fs::create_dir_all(folder.join("logs")).context("cannot make the folder for logs")?;
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command
            .env(CHILD_OF, stage.run())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            // Ctrl-C at a terminal is for the lab alone, which ends its processes in order.
            .process_group(0);
        stage.journal()?.write(&[Entry::Start { role: role.into() }])?;
        let (reply, child) = mpsc::channel();
        let order = Order { space, command, reply };
        self.orders.send(order).map_err(|_| anyhow!("the nursery's thread is gone"))?;
        let child = child.recv().context("the nursery's thread broke off")??;
        let worker = Worker::new(role, child, log)?;
        let entry = Entry::Process { role: role.into(), process: worker.process };
        stage.journal()?.write(&[entry])?;
        Ok(worker)
    }
}

/// A process that was started. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Worker {
    /// What it is for.
    pub role: String,
    process: Process,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    log: PathBuf,
}

impl Worker {
    fn new(role: &str, mut child: Child, log: PathBuf) -> Result<Self> {
        let pid = i32::try_from(child.id()).context("pid")?;
        // One that has ended already is not reaped yet, so its number is still its own.
        let process = Process::of(pid).unwrap_or(Process { pid, start: 0 });
        let input = child.stdin.take();
        let output = child.stdout.take().context("a process without output")?;
        let (say, lines) = mpsc::channel();
        let listen = move || {
            let mut output = BufReader::new(output);
            let mut line = String::new();
            while (&mut output).take(LINE).read_line(&mut line).is_ok_and(|n| n > 0) {
                if say.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name(format!("hears {role}")).spawn(listen).context("no thread")?;
        Ok(Self { role: role.into(), process, child, input, lines, log })
    }

    /// The next line it says; `None` where it says none within the time.
    ///
    /// # Errors
    /// When it has ended: with what its log says last.
    pub(crate) fn line(&mut self, patience: Duration) -> Result<Option<String>> {
        match self.lines.recv_timeout(patience) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait().context("cannot wait for a process")?;
                bail!("{} ended ({status}){}", self.role, self.quote());
            }
        }
    }

    /// Its processor time so far; `None` once it has ended.
    pub(crate) fn busy(&self) -> Option<Duration> {
        self.process.busy()
    }

    /// Says a line to it; one that has ended hears nothing.
    pub(crate) fn say(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            // Its end shows when it is next listened to.
            let _ = input.write_all(line.as_bytes()).and_then(|()| input.flush());
        }
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it does not end in time; it is killed then.
    pub(crate) fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for a process")? {
                return Ok(status);
            }
            if Instant::now() > end {
                self.child.kill().ok();
                self.child.wait().ok();
                bail!("{} did not end within {limit:?} and was killed{}", self.role, self.quote());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Kills it at once and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // Both fail only for a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its number.
    pub(crate) fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Asks it to end: SIGTERM, and the end of its input.
    pub(crate) fn ask_to_end(&mut self) {
        self.process.signal(Signal::SIGTERM);
        self.input = None;
    }

    /// The last lines of its log, for an error.
    pub(crate) fn quote(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(QUOTED)..];
        let log = self.log.display();
        match last {
            [] => format!("; it wrote nothing to {log}"),
            last => format!("; the end of {log}:\n  {}", last.join("\n  ")),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}
