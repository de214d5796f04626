//! `ashiato run`: a scenario in a world, from plan to report.

use super::load::Given;
use super::progress::Progress;
use crate::exit::Exit;
use crate::interrupt;
use crate::netns::{NetnsWorld, RunPaths};
use crate::plan::Plan;
use crate::report;
use crate::run::{self, Options, Ran};
use crate::scenario::spec::Datapath;
use crate::sim::Sim;
use crate::summary::Summary;
use crate::world::World;
use anyhow::Result;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a plan runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorldName {
    /// One process; needs no privilege.
    Sim,
    /// Network namespaces on this host; needs root.
    Netns,
}

impl WorldName {
    /// Its word in summaries.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Netns => "netns",
        }
    }
}

/// Output for people or programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table.
    Table,
    /// The summary.
    Json,
    /// One line of JSON for each scheme.
    Ndjson,
    /// The table as comma-separated values.
    Csv,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario.
    #[command(flatten)]
    pub given: Given,
    /// Where to run.
    #[arg(long, value_enum, default_value = "sim", env = "ASHIATO_RUN_WORLD")]
    pub world: WorldName,
    /// Runs in all, with seeds that follow each other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), env = "ASHIATO_RUN_REPEAT")]
    pub repeat: u32,
    /// Folder of the run, instead of `runs/<id>`; with --repeat, one numbered folder in it for each.
    #[arg(long, env = "ASHIATO_RUN_OUT")]
    pub out: Option<PathBuf>,
    /// Leave the world's objects on the host; `ashiato down RUN` removes them.
    #[arg(long, env = "ASHIATO_RUN_KEEP")]
    pub keep: bool,
    /// What to print.
    #[arg(long, value_enum, default_value = "table", env = "ASHIATO_RUN_FORMAT")]
    pub format: Format,
}

/// Runs it. After a run that was stopped, or refused by safety, no further one is started.
///
/// # Errors
/// Bad files exit with 2, missing privilege with 3.
pub fn run(args: &Args) -> Result<Exit> {
    let mut worst = Exit::Met;
    let mut given = args.given.clone();
    for turn in 0..args.repeat {
        interrupt::check()?;
        let (scenario, plan) = given.plan()?;
        given.seed = Some(scenario.spec.seed.wrapping_add(1));
        let out = match (&args.out, args.repeat) {
            (Some(out), 2..) => Some(out.join(format!("{turn:03}"))),
            (out, _) => out.clone(),
        };
        let text = std::fs::read_to_string(&args.given.file)?;
        let datapath = scenario.spec.datapath;
        let (ran, folder) = one(plan, &text, args.world, datapath, out.as_deref(), args.keep)?;
        show(&ran.summary, &folder, args.format)?;
        if !matches!(ran.exit, Exit::Met | Exit::Missed | Exit::Void | Exit::Partial) {
            return Ok(ran.exit);
        }
        if worst == Exit::Met || ran.exit == Exit::Void {
            worst = ran.exit;
        }
    }
    Ok(worst)
}

/// Refuses a plan that this host, or this world, cannot run.
fn ready(plan: &Plan, world: WorldName) -> Result<()> {
    if world == WorldName::Sim {
        Sim::suits(plan)?;
        return Ok(());
    }
    NetnsWorld::suits(plan)?;
    if !nix::unistd::geteuid().is_root() {
        let why = "world netns makes network namespaces, which needs root: run it under sudo, or \
                   use --world sim, which needs nothing";
        return Err(Exit::HostNotReady.refuse(why));
    }
    Ok(())
}

/// Runs one plan, and returns how it ended and its folder.
///
/// # Errors
/// Where the host is not ready (exit 3), or the world fails.
pub fn one(
    plan: Plan,
    scenario: &str,
    world: WorldName,
    datapath: Datapath,
    out: Option<&Path>,
    keep: bool,
) -> Result<(Ran, PathBuf)> {
    ready(&plan, world)?;
    interrupt::watch()?;
    let id = ulid::Ulid::new().to_string();
    let folder = run::folder(out, &id)?;
    let path = folder.path().to_path_buf();
    let progress = Progress::start();
    let say = |phase: &str| progress.say(phase);
    let netns = world == WorldName::Netns;
    let options = Options {
        id: id.clone(),
        scenario: scenario.into(),
        world: world.word(),
        datapath: if netns { datapath.word().into() } else { "sim".into() },
        tolerance: if netns { run::TOLERANCE } else { 0.0 },
        keep,
        progress: &say,
    };
    let plan = Arc::new(plan);
    let mut place: Box<dyn World> = match world {
        WorldName::Sim => Box::new(Sim::new(plan.clone())),
        WorldName::Netns => {
            let paths = RunPaths { id, dir: std::path::absolute(&path)?, datapath };
            let mut world = NetnsWorld::up(plan.as_ref().clone(), paths, &say)?;
            if keep {
                world.keep();
            }
            Box::new(world)
        }
    };
    let ran = run::run(&plan, place.as_mut(), folder, &options);
    progress.end();
    Ok((ran?, path))
}

/// Prints a summary; what went wrong goes to standard error unless the table says it.
///
/// # Errors
/// Where standard output cannot be written.
pub fn show(summary: &Summary, folder: &Path, format: Format) -> Result<()> {
    if format != Format::Table {
        let ending = report::ending(summary);
        summary.reasons.iter().for_each(|reason| eprintln!("{ending}: {reason}"));
    }
    match format {
        Format::Json => super::print(summary.to_json()),
        Format::Csv => super::print(report::csv(summary)),
        Format::Ndjson => {
            let line = |row| Ok(format!("{}\n", serde_json::to_string(row)?));
            super::print(summary.schemes.iter().map(line).collect::<Result<String>>()?)
        }
        Format::Table => {
            let page = folder.join("report.html");
            let head = format!(
                "{}  world {}  seed {}  {:.1} s\n\n",
                summary.scenario, summary.world, summary.seed, summary.duration_s
            );
            let tail = format!("{}  report {}\n", report::ending(summary), page.display());
            super::print(head + &report::table(summary) + &tail)
        }
    }
}
