//! `ashiato crooked`: routers of a scenario that do not do what their scheme says, started by the lab. Not
//! for people.

use crate::exit::Exit;
use crate::netns::crooked;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration written by the lab.
    #[arg(long, env = "ASHIATO_CROOKED_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

/// Runs the routers.
///
/// # Errors
/// As [`crooked::run`].
pub fn run(args: &Args) -> Result<Exit> {
    let text = std::fs::read(&args.config)
        .with_context(|| format!("cannot read {}", args.config.display()))?;
    let config = serde_json::from_slice(&text).with_context(|| {
        format!("{} is no configuration of such routers", args.config.display())
    })?;
    crooked::run(&config)
}
