//! `ashiato gc`: removes what has no living owner.

use super::form::Form;
use super::print;
use crate::exit::Exit;
use crate::journal;
use crate::reap::{Swept, sweep};
use anyhow::Result;
use std::fmt::Write;

/// What to sweep.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Removes runs whose owner lives, too; the owner is interrupted first.
    #[arg(long, env = "ASHIATO_GC_ALL")]
    all: bool,
    /// Says what would be removed and removes nothing.
    #[arg(long, env = "ASHIATO_GC_DRY_RUN")]
    dry_run: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_GC_FORMAT")]
    format: Form,
}

/// Sweeps and says what is left. Never asks.
///
/// # Errors
/// When the state folder is unknown.
pub fn run(args: &Args) -> Result<Exit> {
    let swept = sweep(&journal::state_dir()?, args.all, args.dry_run)?;
    print(show(&swept, args.format, args.dry_run)?)?;
    Ok(verdict(&swept))
}

/// The exit code: something left, or something that could not be done, is a fault.
pub(super) fn verdict(swept: &Swept) -> Exit {
    if swept.left.is_empty() && swept.errors.is_empty() { Exit::Met } else { Exit::Internal }
}

/// The answer as text.
pub(super) fn show(swept: &Swept, format: Form, dry_run: bool) -> Result<String> {
    if format == Form::Json {
        return Ok(serde_json::to_string(swept)? + "\n");
    }
    let mut out = String::new();
    let done = if dry_run { "would remove" } else { "removed" };
    for object in &swept.removed {
        writeln!(out, "{done} {object}")?;
    }
    for name in &swept.strangers {
        writeln!(out, "not ours, not touched: namespace {name} is in no journal")?;
    }
    for run in &swept.living {
        writeln!(out, "run {run} has a living owner, not touched (--all would)")?;
    }
    for object in &swept.left {
        writeln!(out, "left: {object}")?;
    }
    for error in &swept.errors {
        writeln!(out, "error: {error}")?;
    }
    let (runs, objects) = (swept.runs.len(), swept.removed.len());
    writeln!(out, "{done} {objects} objects of {runs} runs; left {}", swept.left.len())?;
    Ok(out)
}
