//! `ashiato report`: a run again, as page, table or text, from its summary alone.

use crate::exit::Exit;
use crate::plan::Plan;
use crate::report;
use crate::summary::{self, Summary};
use anyhow::{Context, Result};
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
    let folder =
        if args.run.is_dir() { args.run.clone() } else { PathBuf::from("runs").join(&args.run) };
    let read = |name: &str| -> Result<String> {
        let file = folder.join(name);
        std::fs::read_to_string(&file).map_err(|e| {
            Exit::Usage
                .refuse(format!("{}: {e}: give the folder of a finished run", file.display()))
        })
    };
    let summary: Summary = serde_json::from_str(&read("summary.json")?).context("summary.json")?;
    if summary.schema != summary::SCHEMA {
        let why = format!("summary is {}, this build reads {}", summary.schema, summary::SCHEMA);
        return Err(Exit::Usage.refuse(why));
    }
    let text = match args.form {
        As::Html => {
            let plan: Plan = serde_json::from_str(&read("plan.json")?).context("plan.json")?;
            report::html(&summary, &plan)
        }
        As::Md => report::markdown(&summary),
        As::Csv => report::csv(&summary),
        As::Table => report::table(&summary),
    };
    super::print(text)?;
    Ok(Exit::Met)
}
