//! `ashiato sweep`: a scenario over a grid of values and seeds, simulated; goes on where it was killed.

use super::load::Given;
use super::progress::Progress;
use crate::exit::Exit;
use crate::interrupt;
use crate::sweep::grid::{Axis, Grid};
use crate::sweep::{self, Request, tables};
use anyhow::Result;
use clap::ValueEnum;
use std::path::PathBuf;

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Table,
    /// Estimates by point, scheme and measure.
    Json,
    /// The same, one a line.
    Csv,
}

/// Arguments of `sweep`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario.
    #[command(flatten)]
    pub given: Given,
    /// An axis: a key as in --set, and its values or a range from..to..step; may be repeated.
    #[arg(long, required = true, value_name = "KEY=V1,V2", value_parser = Axis::parse)]
    pub vary: Vec<Axis>,
    /// Runs of each point, with seeds that follow each other.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..), env = "ASHIATO_SWEEP_REPEAT")]
    pub repeat: u32,
    /// Threads; as many as there are processors where left out. Results do not depend on it.
    #[arg(long, default_value_t = 0, env = "ASHIATO_SWEEP_JOBS")]
    pub jobs: usize,
    /// Folder of the sweep, instead of `sweeps/<scenario>-<hash>`; one that holds this sweep goes on.
    #[arg(long, env = "ASHIATO_SWEEP_OUT")]
    pub out: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value = "table", env = "ASHIATO_SWEEP_FORMAT")]
    pub format: Format,
}

/// Sweeps, and prints estimates; curves are in the folder.
///
/// # Errors
/// Bad files and axes exit with 2; 130 where the same command can go on later.
pub fn run(args: &Args) -> Result<Exit> {
    let given = &args.given;
    // Refuses a bad file before anything is multiplied.
    given.plan()?;
    let request = Request {
        name: given.file.display().to_string(),
        text: std::fs::read_to_string(&given.file)?,
        set: given.set.clone(),
        schemes: given.scheme.clone(),
        seed: given.seed,
        grid: Grid { axes: args.vary.clone() },
        repeat: args.repeat,
        jobs: args.jobs,
    };
    let folder = match &args.out {
        Some(out) => out.clone(),
        None => request.header()?.folder(),
    };
    interrupt::watch()?;
    let progress = Progress::start();
    let swept =
        sweep::sweep(&request, &folder, &|done, before, all| progress.steps(done, before, all));
    progress.end();
    let swept = swept?;
    super::print(match args.format {
        Format::Table => {
            let page = folder.join("sweep.html");
            format!("{}\ncurves {}\n", tables::table(&swept), page.display())
        }
        Format::Json => tables::json(&swept),
        Format::Csv => tables::summary(&swept),
    })?;
    let void = swept.cells.iter().any(|c| !c.void.is_empty());
    Ok(if void { Exit::Void } else { Exit::Met })
}
