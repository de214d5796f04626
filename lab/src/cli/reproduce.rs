//! `ashiato reproduce`: papers' figures and exact laws against this build.

use super::progress::Progress;
use crate::exit::Exit;
use crate::reproduce::as_graph::AsGraph;
use crate::reproduce::{self, Request, figures, print};
use clap::ValueEnum;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// Arguments of `ashiato reproduce`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Schemes (fms), rows (fms-d10-mean), or beginnings of rows (fms-d10); all where left out.
    #[arg(value_name = "ID", value_delimiter = ',', env = "ASHIATO_REPRODUCE_ONLY")]
    only: Vec<String>,
    /// Fewer runs, under two minutes on two cores: a row is met as well where the interval of its
    /// runs reaches into the gate.
    #[arg(long, env = "ASHIATO_REPRODUCE_QUICK")]
    quick: bool,
    /// Path lengths instead of the papers', such as 4,9,17.
    #[arg(long, value_name = "N", value_delimiter = ',', env = "ASHIATO_REPRODUCE_HOPS")]
    hops: Vec<u8>,
    /// How to print.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_REPRODUCE_FORMAT")]
    format: Format,
    /// A folder for figures beside the papers' points, as SVG and CSV, and for all rows.
    #[arg(long, value_name = "DIR", env = "ASHIATO_REPRODUCE_OUT")]
    out: Option<PathBuf>,
    /// Relationships of autonomous systems in CAIDA's format (2497|4713|0) for the rows "deployment", in place of
    /// graphs that are grown.
    #[arg(long, value_name = "FILE", env = "ASHIATO_REPRODUCE_AS_GRAPH")]
    as_graph: Option<PathBuf>,
    /// Seed of all chance: equal seeds give equal numbers on any machine.
    #[arg(long, default_value_t = SEED, env = "ASHIATO_REPRODUCE_SEED")]
    seed: u64,
}

/// The day the first of these papers was given, so that nobody could choose it by its results.
const SEED: u64 = 20_000_828;

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

/// Runs the verb.
///
/// # Errors
/// [`Exit::Usage`] where a name or a path length is unknown, or a graph is none.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let graph = args.as_graph.as_deref().map(AsGraph::read).transpose();
    let graph = graph.map_err(|why| Exit::Usage.refuse(format!("{why:#}")))?;
    let request = Request {
        only: args.only.clone(),
        quick: args.quick,
        hops: args.hops.clone(),
        seed: args.seed,
        as_graph: graph.map(Arc::new),
    };
    let progress = Progress::start();
    let rows = reproduce::run(&request, &mut |done, of, id| {
        progress.say(&format!("{}/{of} {id}", done + 1));
    });
    progress.end();
    let rows = rows?;
    if let Some(out) = &args.out {
        let charts = figures::charts(&rows, request.as_graph.as_deref(), &request.sampling());
        figures::write(out, &rows, &charts)?;
        say(&format!("{} figures in {}", charts.len(), out.display()));
    }
    super::print(match args.format {
        Format::Table => print::table(&rows),
        Format::Json => print::json(&rows),
        Format::Csv => print::csv(&rows),
    })?;
    let missed: Vec<&str> = rows.iter().filter(|r| !r.met).map(|r| r.id.as_str()).collect();
    if missed.is_empty() {
        say(&format!("all {} rows met", rows.len()));
        return Ok(Exit::Met);
    }
    say(&format!("{} of {} rows missed: {}", missed.len(), rows.len(), missed.join(", ")));
    Ok(Exit::Missed)
}

fn say(line: &str) {
    // Nobody reads a closed standard error.
    let _ = writeln!(std::io::stderr(), "{line}");
}
