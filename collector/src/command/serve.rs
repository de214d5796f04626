//! `serve`: run until a signal, then end clean.

use super::{Failure, HOST, INTERNAL, INTERRUPTED, OK, USAGE};
use anyhow::Context;
use ashiato_collector::server::{Collector, Config, ServeError};
use clap::Args;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// Flags of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration, TOML or JSON (by the file's ending): listen, tls = {ca, cert, key}, store,
    /// map, store_limit_bytes, ask_timeout_ms, cut_timeout_ms, exchange.
    #[arg(long, env = "ASHIATO_COLLECTOR_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// Listen here, whatever the configuration says (port 0: any).
    #[arg(long, env = "ASHIATO_COLLECTOR_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// End when the thread that started this process ends.
    #[arg(long, env = "ASHIATO_COLLECTOR_DIE_WITH_PARENT")]
    die_with_parent: bool,
}

impl Serve {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        if self.die_with_parent {
            prctl::set_pdeathsig(Signal::SIGTERM)
                .context("cannot tie this process to its parent")
                .map_err(Failure::of(INTERNAL))?;
        }
        let mut config = Config::read(&self.config).map_err(failure)?;
        config.listen = self.listen.unwrap_or(config.listen);
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("cannot start threads")
            .map_err(Failure::of(INTERNAL))?
            .block_on(serve(&config))
    }
}

async fn serve(config: &Config) -> Result<u8, Failure> {
    let waits = |kind| signal(kind).context("cannot wait for signals");
    let mut term = waits(SignalKind::terminate()).map_err(Failure::of(INTERNAL))?;
    let mut interrupt = waits(SignalKind::interrupt()).map_err(Failure::of(INTERNAL))?;
    let mut collector = Collector::start(config).await.map_err(failure)?;
    let mut ready =
        serde_json::json!({ "event": "ready", "listen": collector.listen().to_string() });
    if let Some(exchange) = collector.exchange() {
        ready["exchange"] = exchange.to_string().into();
    }
    let mut out = std::io::stdout();
    // Whoever started us may not care to read; that is no reason to stop.
    let _ = writeln!(out, "{ready}").and_then(|()| out.flush());
    let code = tokio::select! {
        _ = term.recv() => OK,
        _ = interrupt.recv() => INTERRUPTED,
        broken = collector.broken() => {
            broken.map_err(failure)?;
            return Ok(INTERNAL);
        }
    };
    collector.stop().await.map_err(failure)?;
    Ok(code)
}

fn failure(error: ServeError) -> Failure {
    let code = match &error {
        ServeError::Read { .. } | ServeError::File { .. } => USAGE,
        ServeError::Listen { .. } | ServeError::Store(_) => HOST,
        _ => INTERNAL,
    };
    Failure { code, error: error.into() }
}
