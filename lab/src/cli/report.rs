//! `ashiato report`: a run again, as page, table or text, from its folder alone.

use crate::exit::Exit;
use crate::plan::Plan;
use crate::report::{self, Drawing};
use crate::summary::{self, SchemeRow, Summary};
use crate::truth::Opened;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Deserialize;
use std::path::PathBuf;
use traceback::case::Gap;
use traceback::graph::Finding;

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

/// A file under `graph/`: a finding, or why there is none.
#[derive(Deserialize)]
#[serde(untagged)]
enum Graph {
    Found(Finding),
    Missed(Gap),
}

impl From<Graph> for Result<Finding, Gap> {
    fn from(graph: Graph) -> Self {
        match graph {
            Graph::Found(finding) => Ok(finding),
            Graph::Missed(gap) => Err(gap),
        }
    }
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
            let truth: Opened = serde_json::from_str(&read("truth.json")?).context("truth.json")?;
            let drawing = |row: &SchemeRow| {
                let file = format!("graph/{}.json", row.scheme);
                let graph: Graph = serde_json::from_str(&read(&file)?).context(file)?;
                let (scheme, truth) = (row.scheme.clone(), truth.paths(&row.scheme));
                Ok(Drawing { scheme, truth, finding: graph.into() })
            };
            let drawings: Vec<_> = summary.schemes.iter().map(drawing).collect::<Result<_>>()?;
            report::html(&summary, &plan, &drawings)
        }
        As::Md => report::markdown(&summary),
        As::Csv => report::csv(&summary),
        As::Table => report::table(&summary),
    };
    super::print(text)?;
    Ok(Exit::Met)
}
