//! `ashiato compare`: finished runs side by side.

use crate::compare::{self, By, page, print};
use crate::exit::Exit;
use crate::run::finished::Finished;
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables.
    Table,
    /// Everything, raw numbers included.
    Json,
    /// Raw numbers, one a line.
    Csv,
    /// One page without scripts.
    Html,
}

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of finished runs, ids under `runs/`, or folders of numbered runs (`run --repeat --out`).
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// What contenders differ in.
    #[arg(long, value_enum, default_value = "scheme", env = "ASHIATO_COMPARE_BY")]
    pub by: By,
    /// What to print.
    #[arg(long, value_enum, default_value = "table", env = "ASHIATO_COMPARE_FORMAT")]
    pub format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// Compares the runs and prints the comparison; ends with [`Exit::Partial`] where turns are missing.
///
/// # Errors
/// [`Exit::Usage`] where runs may not be compared, [`Exit::Void`] where one is void.
pub fn run(args: &Args) -> Result<Exit> {
    let mut runs = vec![];
    for folder in &args.runs {
        runs.extend(Finished::open_all(folder)?);
    }
    let comparison = compare::compare(&runs, args.by)?;
    let format = if args.json { Format::Json } else { args.format };
    super::print(match format {
        Format::Table => print::table(&comparison),
        Format::Json => print::json(&comparison),
        Format::Csv => print::csv(&comparison),
        Format::Html => page::html(&comparison),
    })?;
    Ok(if comparison.missing.is_empty() { Exit::Met } else { Exit::Partial })
}
