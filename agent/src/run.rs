//! `run`: serves the vantages of a configuration, each on a thread of its own, until told to stop.
//!
//! One JSON line on standard output for each vantage says that it is ready, or why it is not; a second
//! one says at the end what a run of its kernel program took, where it has one that ran.

use crate::config::{Collector, Config, Vantage};
use crate::datapath::serve::step_clock;
use crate::journal;
use crate::privilege::Held;
use crate::reporter;
use crate::station::{self, Posting, Station};
use crate::uplink::{Uplink, UplinkConfig};
use anyhow::Context;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Serves until SIGTERM, SIGINT, or, where `with_parent` is set, until the parent is gone; true where
/// every vantage did so to the end.
///
/// # Errors
/// When no thread can be started.
pub fn run(config: &Config, with_parent: bool) -> anyhow::Result<bool> {
    run_with(config, with_parent, &station::post)
}

/// The same with other vantages than the schemes' own.
///
/// # Errors
/// As above.
pub fn run_with(config: &Config, with_parent: bool, posting: Posting<'_>) -> anyhow::Result<bool> {
    let (stop, stopped) = watch::channel(false);
    let waiter = stop.clone();
    // Detached on purpose: it may sit in a read of standard input for ever.
    std::thread::Builder::new().name("stop".into()).spawn(move || {
        wait_for_the_end(with_parent);
        waiter.send_replace(true);
    })?;
    // What a killed agent left may be on the very ports that are served now.
    for line in journal::recover()? {
        tracing::warn!("{line}");
    }
    std::thread::scope(|scope| {
        let mut threads = vec![];
        for vantage in &config.vantages {
            let stopped = stopped.clone();
            let name = format!("{} reports", vantage.name());
            let thread = std::thread::Builder::new().name(name).spawn_scoped(scope, move || {
                let done = serve(&config.collector, vantage, stopped, posting);
                if let Err(e) = &done {
                    let (name, error) = (vantage.name(), format!("{e:#}"));
                    say(&json!({ "event": "error", "vantage": name, "error": error }));
                }
                done.is_ok()
            });
            threads.push(thread.context("start a thread")?);
        }
        // A panic has been printed; it counts as a failure. Every thread is waited for.
        let done: Vec<bool> = threads.into_iter().map(|t| t.join().unwrap_or(false)).collect();
        Ok(done.iter().all(|done| *done))
    })
}

fn serve(
    collector: &Collector,
    vantage: &Vantage,
    stopped: watch::Receiver<bool>,
    posting: Posting<'_>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (handle, commands) = Uplink::connect(UplinkConfig {
            collector: collector.address,
            server_name: collector.server_name.clone(),
            ca: collector.ca.clone(),
            cert: vantage.cert.clone(),
            key: vantage.key_file.clone(),
            agent: vantage.name(),
            scheme: vantage.scheme.clone(),
            role: vantage.role,
            router: vantage.router,
            epoch: epoch(),
        })?;
        let station = Station::start_with(vantage, posting).await?;
        say(&json!({
            "event": "ready", "vantage": vantage.name(), "scheme": vantage.scheme,
            "clock_cost_ns": station.costs.clock, "sampled_1_in": vantage.sample_1_in,
            "datapath": station.datapath, "why": station.why, "privilege": Held::look().says(),
        }));
        let program = station.costs.program.clone();
        reporter::report(vantage, station, handle, commands, stopped).await?;
        let program_ns = program.load(Ordering::Relaxed);
        if program_ns > 0 {
            let name = vantage.name();
            tracing::info!("{name}: {program_ns} ns for a run of its kernel program");
            say(&json!({ "event": "ended", "vantage": name, "program_ns": program_ns }));
        }
        Ok(())
    })
}

/// A number that differs between two starts.
fn epoch() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or_default() & (u64::MAX >> 1)
}

fn say(line: &Value) {
    let mut out = std::io::stdout().lock();
    // A parent that closed the pipe does not listen; the agent goes on.
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Hears the parent until its end. It may say `clock +1500000000`, which puts this process's clock by so many
/// nanoseconds; anything else means nothing.
fn hear_parent() {
    let mut said = [0; 64];
    while let Ok(n) = std::io::stdin().read(&mut said)
        && n > 0
    {
        let said = String::from_utf8_lossy(&said[..n]);
        let steps = said.lines().filter_map(|line| line.strip_prefix("clock ")?.parse().ok());
        for step in steps {
            tracing::warn!("the clock is put by {step} ns, as the parent says");
            step_clock(step);
        }
    }
}

fn wait_for_the_end(with_parent: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("invariant: a process that just started has descriptors left");
    let (gone, parent) = tokio::sync::oneshot::channel();
    if with_parent {
        std::thread::spawn(move || {
            hear_parent();
            let _ = gone.send(());
        });
    }
    runtime.block_on(async {
        let handler = |kind| signal(kind).expect("invariant: no other handler is in the way");
        let mut terminate = handler(SignalKind::terminate());
        let mut interrupt = handler(SignalKind::interrupt());
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            _ = parent, if with_parent => {}
        }
    });
}
