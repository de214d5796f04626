//! `ashiato report`: a run again, as page, table or text, from its folder alone.

use crate::exit::Exit;
use crate::report::{self, Drawing};
use crate::run::finished::Finished;
use crate::summary::SchemeRow;
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// One page without scripts.
    Html,
    /// Markdown.
    Md,
    /// Comma-separated values.
    Csv,
    /// The terminal's table.
    Table,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, or its id under `runs/`.
    pub run: PathBuf,
    /// What to make; it goes to standard output.
    #[arg(long = "as", value_enum, default_value = "table", env = "ASHIATO_REPORT_AS")]
    pub form: As,
}

/// Prints the report.
///
/// # Errors
/// Where the folder holds no run of this version (exit 2).
pub fn run(args: &Args) -> Result<Exit> {
    let run = Finished::open(&args.run)?;
    let summary = &run.summary;
    let text = match args.form {
        As::Html => {
            let (plan, truth) = (run.plan()?, run.truth()?);
            let drawing = |row: &SchemeRow| {
                let (scheme, truth) = (row.scheme.clone(), truth.paths(&row.scheme));
                Ok(Drawing { finding: run.finding(&scheme)?, scheme, truth })
            };
            let drawings: Vec<_> = summary.schemes.iter().map(drawing).collect::<Result<_>>()?;
            report::html(summary, &plan, &drawings)
        }
        As::Md => report::markdown(summary),
        As::Csv => report::csv(summary),
        As::Table => report::table(summary),
    };
    super::print(text)?;
    Ok(Exit::Met)
}
