//! The lease under which an actor sends: renewed by lines on standard input, ended by silence.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tokio::signal::unix::{SignalKind, signal};

/// How long one beat lasts.
pub const TERM: Duration = Duration::from_secs(2);
/// How often the lab renews.
pub const BEAT: Duration = Duration::from_millis(500);

/// Why an actor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Everything was sent.
    Done,
    /// Nobody renewed the lease in time.
    LeaseLost,
    /// The other end of the lease is gone.
    Closed,
    /// Somebody sent SIGTERM or SIGINT.
    Terminated,
    /// A packet was out of scope, or the kernel would not take it.
    Refused,
}

/// A running lease.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    /// When the last line came, in milliseconds since `started`.
    beat: AtomicU64,
    /// When slow packets begin, in nanoseconds since the Unix epoch; 0 until `ramp`.
    ramp: AtomicU64,
    /// The plan's time 0, in nanoseconds since the Unix epoch; 0 until `go`.
    zero: AtomicU64,
    closed: AtomicBool,
    terminated: AtomicBool,
}

impl Lease {
    /// Starts to listen to standard input and to signals.
    ///
    /// # Errors
    /// When the process cannot have two more threads.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            beat: AtomicU64::new(0),
            ramp: AtomicU64::new(0),
            zero: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
        });
        let (listener, watcher) = (shared.clone(), shared.clone());
        thread::Builder::new()
            .spawn(move || listener.listen())
            .context("no thread for the lease")?;
        thread::Builder::new().spawn(move || watcher.watch()).context("no thread for signals")?;
        Ok(Self { shared })
    }

    /// Waits for `go`, and returns the plan's time 0 on this process's clock.
    ///
    /// # Errors
    /// Why it will not come.
    pub fn wait_for_go(&self) -> Result<Instant, End> {
        self.wait_for(&self.shared.zero)
    }

    /// Waits for `ramp`, and returns when slow packets begin on this process's clock.
    ///
    /// # Errors
    /// Why it will not come.
    pub fn wait_for_ramp(&self) -> Result<Instant, End> {
        self.wait_for(&self.shared.ramp)
    }

    fn wait_for(&self, zero: &AtomicU64) -> Result<Instant, End> {
        loop {
            self.check()?;
            let zero = zero.load(Ordering::Acquire);
            if zero > 0 {
                let zero = SystemTime::UNIX_EPOCH + Duration::from_nanos(zero);
                let now = Instant::now();
                return Ok(match zero.duration_since(SystemTime::now()) {
                    Ok(ahead) => now + ahead,
                    Err(e) => now.checked_sub(e.duration()).unwrap_or(now),
                });
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sleeps until an instant, unless the lease ends before.
    ///
    /// # Errors
    /// Why it ended.
    pub fn sleep_until(&self, due: Instant) -> Result<(), End> {
        loop {
            self.check()?;
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(20)));
        }
    }

    fn check(&self) -> Result<(), End> {
        let shared = &self.shared;
        if shared.terminated.load(Ordering::Relaxed) {
            return Err(End::Terminated);
        }
        if shared.closed.load(Ordering::Relaxed) {
            return Err(End::Closed);
        }
        let age = millis(shared.started).saturating_sub(shared.beat.load(Ordering::Relaxed));
        if Duration::from_millis(age) > TERM {
            return Err(End::LeaseLost);
        }
        Ok(())
    }
}

impl Shared {
    fn listen(&self) {
        // A line is short; what is longer is no line of ours.
        let mut input = std::io::stdin().lock();
        let mut line = String::new();
        while (&mut input).take(64).read_line(&mut line).is_ok_and(|n| n > 0) {
            match line.trim_end().split_once(' ') {
                Some(("go", zero)) => {
                    self.zero.store(zero.parse().unwrap_or(0), Ordering::Release);
                }
                Some(("ramp", start)) => {
                    self.ramp.store(start.parse().unwrap_or(0), Ordering::Release);
                }
                None if line.trim_end() == "beat" => {}
                _ => break,
            }
            self.beat.store(millis(self.started), Ordering::Relaxed);
            line.clear();
        }
        self.closed.store(true, Ordering::Relaxed);
    }

    fn watch(&self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            // Without a watch on signals they end the process at once, which is safe.
            return;
        };
        runtime.block_on(async {
            let term = signal(SignalKind::terminate());
            let interrupt = signal(SignalKind::interrupt());
            let (Ok(mut term), Ok(mut interrupt)) = (term, interrupt) else { return };
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            self.terminated.store(true, Ordering::Relaxed);
        });
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
