//! `ashiato verify`: whether a run is what it says.

use super::form::Form;
use super::print;
use crate::exit::Exit;
use crate::run::finished::Finished;
use crate::verify::{Check, verify};
use anyhow::Result;
use comfy_table::{Table, presets};
use std::path::PathBuf;

/// Arguments of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, or its id under `runs/`.
    pub run: PathBuf,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_VERIFY_FORMAT")]
    pub format: Form,
}

/// Checks a run and says what it saw.
///
/// # Errors
/// Where the folder holds no whole run of this version (exit 2).
pub fn run(args: &Args) -> Result<Exit> {
    show(&verify(&Finished::open(&args.run)?)?, args.format)
}

/// Prints checks; the exit code is that of a void run where one does not hold.
pub(super) fn show(checks: &[Check], format: Form) -> Result<Exit> {
    let failed = checks.iter().filter(|check| !check.holds).count();
    match format {
        Form::Json => print(serde_json::to_string_pretty(checks)? + "\n")?,
        Form::Table => {
            let word = |check: &Check| if check.holds { "holds" } else { "FAILS" };
            let rows = checks.iter().map(|c| [&*c.what, word(c), &*c.seen]);
            let mut table = Table::new();
            table.load_style(presets::NOTHING).add_rows(rows);
            let held = checks.len() - failed;
            print(format!("{table}\n\n{held} of {} checks hold\n", checks.len()))?;
        }
    }
    Ok(if failed == 0 { Exit::Met } else { Exit::Void })
}
