//! `ashiato harms`: what adversaries gain against each scheme and what honest packets lose, measured.

use super::progress::Progress;
use crate::exit::Exit;
use crate::harms::{self, Row, Side};
use crate::scenario::{self, Overrides};
use crate::{csv, interrupt, report};
use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{Table, presets};
use std::path::PathBuf;

/// Arguments of `harms`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenarios with adversaries; those shipped where left out.
    pub files: Vec<PathBuf>,
    /// The schemes that take turns, instead of the files'.
    #[arg(long, value_name = "ID,ID", env = "ASHIATO_SCHEME", value_delimiter = ',')]
    pub scheme: Vec<String>,
    /// Runs on each side, with seeds that follow each other.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), env = "ASHIATO_HARMS_REPEAT")]
    pub repeat: u32,
    /// What to print.
    #[arg(long, value_enum, default_value = "table", env = "ASHIATO_HARMS_FORMAT")]
    pub format: Format,
}

/// What to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Table,
    /// Everything, with intervals.
    Json,
    /// Comma-separated values.
    Csv,
    /// Markdown.
    Md,
}

/// Runs all scenarios with and without their adversaries, and prints the table.
///
/// # Errors
/// Bad files exit with 2.
pub fn run(args: &Args) -> Result<Exit> {
    interrupt::watch()?;
    let overrides = Overrides { schemes: args.scheme.clone(), ..Overrides::default() };
    let refuse = |report: scenario::Report| Exit::Usage.refuse(report);
    let mut scenarios = vec![];
    for file in &args.files {
        scenarios.push(scenario::load(file, &overrides).map_err(refuse)?);
    }
    if args.files.is_empty() {
        for (name, text) in super::new::SHIPPED.iter().filter(|(name, _)| name.starts_with(HOSTILE))
        {
            scenarios.push(scenario::parse(name, text, &overrides).map_err(refuse)?);
        }
    }
    let progress = Progress::start();
    let rows = harms::measure(&scenarios, args.repeat, &|done, all| progress.steps(done, 0, all));
    progress.end();
    let rows = rows?;
    super::print(match args.format {
        Format::Table => table(&rows),
        Format::Json => serde_json::to_string_pretty(&rows)? + "\n",
        Format::Csv => {
            std::iter::once(head()).chain(rows.iter().map(cells)).map(csv::line).collect()
        }
        Format::Md => report::markdown_table(&head(), rows.iter().map(cells)),
    })?;
    Ok(Exit::Met)
}

/// How names of shipped scenarios with adversaries begin.
pub const HOSTILE: &str = "x-";

/// Columns that compare a calm side with a hostile one.
const SIDES: [(&str, &str); 8] = [
    ("complete", "complete"),
    ("routers found", "router.recall"),
    ("false routers", "router.wrong"),
    ("sources found", "source.recall"),
    ("false sources", "source.wrong"),
    ("origins found", "reached.origin"),
    ("packets to complete", "packets_to_complete"),
    ("filter's gap", "acceptance.gap"),
];

fn head() -> Vec<String> {
    let sides = SIDES.iter().map(|(title, _)| *title);
    let honest = ["honest rewritten", "honest lost", "no finding"];
    ["scenario", "scheme"].into_iter().chain(sides).chain(honest).map(String::from).collect()
}

fn cells(row: &Row) -> Vec<String> {
    let number = |side: &Side, id: &str| match side.get(id) {
        None => "-".to_owned(),
        Some(e) if e.censored > 0 && e.p50.is_none() => "never".to_owned(),
        Some(e) => short(e.mean.or(e.p50)),
    };
    let sides = SIDES.iter().map(|(_, id)| {
        let (calm, hostile) = (number(&row.calm, id), number(&row.hostile, id));
        if calm == hostile { calm } else { format!("{calm} > {hostile}") }
    });
    let gaps: Vec<_> = row.hostile.gaps.iter().map(|(gap, n)| format!("{gap} {n}")).collect();
    let honest = ["honest.rewritten", "honest.lost"].map(|id| number(&row.hostile, id));
    let names = [row.scenario.clone(), row.scheme.clone()];
    let ending = if gaps.is_empty() { "-".to_owned() } else { gaps.join(" ") };
    names.into_iter().chain(sides).chain(honest).chain([ending]).collect()
}

fn short(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |v| ((v * 1000.0).round() / 1000.0).to_string())
}

fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head()).add_rows(rows.iter().map(cells));
    let text: String = table.lines().map(|l| format!("{}\n", l.trim_end())).collect();
    let mut troubles: Vec<String> =
        rows.iter().map(|r| format!(" {}: {}\n", r.scenario, r.troubles.join("; "))).collect();
    troubles.dedup();
    let runs = rows.first().map_or(0, |r| r.runs);
    let legend = "calm > hostile where they differ; means, medians where runs never ended";
    format!("{text}\n{legend}; {runs} simulated runs on each side\n{}", troubles.concat())
}
