//! `ashiato host`: the daemon of a machine or container that takes part in runs over several hosts.

use crate::exit::Exit;
use crate::hosts::{self, Config};
use anyhow::Result;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host's configuration: where the director is, and what this host lets it do.
    #[arg(
        long,
        env = "ASHIATO_HOST_CONFIG",
        value_name = "FILE",
        required_unless_present = "check"
    )]
    config: Option<PathBuf>,
    /// End after one run.
    #[arg(long, env = "ASHIATO_HOST_ONCE")]
    once: bool,
    /// Only say whether a daemon runs here and has its director on the line.
    #[arg(long)]
    check: bool,
}

/// Takes part in runs until it is interrupted.
///
/// # Errors
/// Bad files exit with 2; `--check` with 3 where the daemon is not ready.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.config {
        Some(config) if !args.check => hosts::serve(&Config::read(config)?, args.once)?,
        _ => hosts::check()?,
    }
    Ok(Exit::Met)
}
