//! A second opinion on what a program costs: the kernel's own statistics, which time whole runs.
//!
//! They cost some 40 ns a run of every program of the host while they are on, so they are on for the
//! first moment of each second only: the same moment for all agents, so that many cost no more than one.

use aya::sys::{Stats, enable_stats};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, SystemTime};

/// How much of each second is measured.
const SLICE: Duration = Duration::from_millis(20);

/// Switches the kernel's statistics on, now and then, until it is dropped.
#[derive(Debug)]
pub struct Meter {
    _stop: Sender<()>,
}

impl Meter {
    /// Starts on a thread of its own; where the kernel refuses, nothing is measured.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start() -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let measure = move || {
            loop {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let into = Duration::from_nanos(now.unwrap_or_default().subsec_nanos().into());
                let rest = Duration::from_secs(1).saturating_sub(into);
                if stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                match enable_stats(Stats::RunTime) {
                    Ok(_on) => std::thread::sleep(SLICE),
                    Err(e) => return tracing::debug!("the kernel keeps no statistics: {e}"),
                }
            }
        };
        std::thread::Builder::new().name("meter".into()).spawn(measure)?;
        Ok(Self { _stop: stop })
    }
}
