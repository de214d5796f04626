//! `ashiato actor`: a traffic actor, started by the lab inside a namespace. Not for people.

use crate::exit::Exit;
use crate::netns::actor;
use anyhow::{Context, Result};
use std::path::PathBuf;

/// What to do.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration written by the lab.
    #[arg(long, env = "ASHIATO_ACTOR_CONFIG", value_name = "FILE")]
    config: PathBuf,
}

/// Runs the actor.
///
/// # Errors
/// As [`actor::run`].
pub fn run(args: &Args) -> Result<Exit> {
    let text = std::fs::read(&args.config)
        .with_context(|| format!("cannot read {}", args.config.display()))?;
    let config = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no actor's configuration", args.config.display()))?;
    actor::run(&config)
}
