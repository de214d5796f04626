//! `ashiato down`: removes a run from this host, without its scenario.

use super::form::Form;
use super::gc::{show, verdict};
use super::print;
use crate::exit::Exit;
use crate::journal::{self, Record};
use crate::reap::sweep_some;
use anyhow::Result;

/// Which runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id of the run, or its last letters.
    #[arg(required_unless_present = "all", conflicts_with = "all", env = "ASHIATO_DOWN_RUN")]
    run: Option<String>,
    /// Every run of this host.
    #[arg(long, env = "ASHIATO_DOWN_ALL")]
    all: bool,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_DOWN_FORMAT")]
    format: Form,
}

/// Interrupts the run's owner if it lives, and removes what is still there.
///
/// # Errors
/// When no run, or more than one, is meant.
pub fn run(args: &Args) -> Result<Exit> {
    let state = journal::state_dir()?;
    let records = chosen(&state, args.run.as_deref())?;
    let swept = sweep_some(&state, &records);
    print(show(&swept, args.format, false)?)?;
    Ok(verdict(&swept))
}

/// The runs meant: the one with this id or these last letters, or all.
pub(super) fn chosen(state: &std::path::Path, run: Option<&str>) -> Result<Vec<Record>> {
    let (records, _) = journal::records(state);
    let Some(word) = run else { return Ok(records) };
    let word = word.to_ascii_uppercase();
    let meant = |r: &Record| !word.is_empty() && r.run.to_ascii_uppercase().ends_with(&word);
    let known = records.iter().map(|r| r.run.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<Record> = records.iter().filter(|r| meant(r)).cloned().collect();
    match found.len() {
        1 => Ok(found),
        0 if records.is_empty() => {
            Err(Exit::Usage.refuse(format!("no run {word}: nothing of ours is on this host")))
        }
        0 => Err(Exit::Usage.refuse(format!("no run {word} on this host; there is: {known}"))),
        _ => Err(Exit::Usage.refuse(format!("{word} is the end of several runs' ids: {known}"))),
    }
}
