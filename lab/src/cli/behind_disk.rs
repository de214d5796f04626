//! `ashiato behind-disk`: a program whose store lies on a small disk of its own, started by the lab where a
//! fault will fill that disk. Not for people.

use crate::exit::Exit;
use crate::netns::disk;
use anyhow::Result;
use std::path::PathBuf;

/// What to start, and where its disk lies.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder over which the disk lies.
    folder: PathBuf,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    program: Vec<String>,
}

/// Becomes the program.
///
/// # Errors
/// As [`disk::become_program`].
pub fn run(args: &Args) -> Result<Exit> {
    disk::become_program(&args.folder, &args.program)?;
    Ok(Exit::Internal)
}
