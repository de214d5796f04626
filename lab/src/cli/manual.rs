//! `ashiato manual`: one manual page for each verb, from the same definitions as the help.

use super::Cli;
use crate::exit::Exit;
use anyhow::{Context, Result};
use clap::CommandFactory;
use std::path::PathBuf;

/// Where to write.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An existing folder; pages of the same names in it are replaced.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Writes the pages.
///
/// # Errors
/// When the folder cannot be written.
pub fn run(args: &Args) -> Result<Exit> {
    let written = clap_mangen::generate_to(Cli::command(), &args.dir);
    written.with_context(|| format!("cannot write into {}", args.dir.display()))?;
    Ok(Exit::Met)
}
