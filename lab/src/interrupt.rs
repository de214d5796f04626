//! Ctrl-C and its like: noted here, acted upon where the run can end cleanly.

use crate::exit::Exit;
use anyhow::{Context, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

static ASKED: AtomicBool = AtomicBool::new(false);
static WATCH: OnceLock<()> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP are noted instead of ending the process at once. Calling
/// it again changes nothing.
///
/// # Errors
/// When the process cannot have one more thread.
pub fn watch() -> Result<()> {
    if WATCH.set(()).is_err() {
        return Ok(());
    }
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || drop(ready.send(note_signals(&ready))))
        .context("cannot start a thread for signals")?;
    is_ready.recv().context("the thread for signals ended")?
}

/// Fails once the run was interrupted.
///
/// # Errors
/// With [`Exit::Interrupted`].
pub fn check() -> Result<()> {
    if ASKED.load(Ordering::Relaxed) {
        return Err(Exit::Interrupted.refuse("interrupted"));
    }
    Ok(())
}

fn note_signals(ready: &std::sync::mpsc::Sender<Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (mut int, mut term, mut hup) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        );
        let _ = ready.send(Ok(()));
        loop {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
                _ = hup.recv() => {}
            }
            ASKED.store(true, Ordering::Relaxed);
        }
    })
}
