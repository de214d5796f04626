//! `ashiato stop`: traffic off at once; evidence stays.

use super::down::chosen;
use super::print;
use crate::exit::Exit;
use crate::{journal, reap};
use anyhow::Result;

/// Which runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run, or its last letters; without it, every run of this host.
    #[arg(conflicts_with = "all", env = "ASHIATO_STOP_RUN")]
    run: Option<String>,
    /// Every run of this host.
    #[arg(long, env = "ASHIATO_STOP_ALL")]
    all: bool,
}

/// Ends the traffic actors of runs. Their worlds stand until `down` or their owner's end, and what
/// was recorded is written to the run folder by the owner. Never asks.
///
/// # Errors
/// When no run, or more than one, is meant, or one could not be told.
pub fn run(args: &Args) -> Result<Exit> {
    for record in chosen(&journal::state_dir()?, args.run.as_deref())? {
        let actors = reap::stop(&record)?;
        let folder = record.folder.display();
        print(format!(
            "run {}: {actors} actors stopped; evidence stays in {folder}\n",
            record.run
        ))?;
    }
    Ok(Exit::Met)
}
