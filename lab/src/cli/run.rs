//! `ashiato run`: a scenario in a world, from plan to report.

use super::load::Given;
use super::progress::Progress;
use crate::compose::{self, Asked, Compose, engine};
use crate::exit::Exit;
use crate::hosts::placement::{Placement, Tunnels};
use crate::hosts::{HostsWorld, Papers};
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
    /// Other machines, as `--hosts` places them; `ashiato host` runs there.
    Hosts,
    /// Containers on this machine, one for each node.
    Compose,
}

impl WorldName {
    /// Its word in summaries.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Netns => "netns",
            Self::Hosts => "hosts",
            Self::Compose => "compose",
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
    /// Which host stands for which nodes, in world hosts.
    #[arg(long, value_name = "FILE", env = "ASHIATO_RUN_HOSTS", required_if_eq("world", "hosts"))]
    pub hosts: Option<PathBuf>,
    /// What was agreed and signed, in world hosts: hosts refuse to send without it.
    #[arg(long, value_name = "FILE", env = "ASHIATO_RUN_MANIFEST")]
    pub manifest: Option<PathBuf>,
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
        let this = given.clone();
        given.seed = Some(scenario.spec.seed.wrapping_add(1));
        let out = match (&args.out, args.repeat) {
            (Some(out), 2..) => Some(out.join(format!("{turn:03}"))),
            (out, _) => out.clone(),
        };
        let text = std::fs::read_to_string(&args.given.file)?;
        let datapath = scenario.spec.datapath;
        if args.world == WorldName::Compose {
            let code = contained(args, &this, &plan, datapath, out.as_deref())?;
            if code != Exit::Met {
                return Ok(code);
            }
            continue;
        }
        let (hosts, manifest) = (args.hosts.as_deref(), args.manifest.as_deref());
        let ground = Ground { world: args.world, datapath, hosts, manifest };
        let (ran, folder) = one(plan, &text, ground, out.as_deref(), args.keep)?;
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

/// Where a plan is to run, and how agents meet packets there.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The world.
    pub world: WorldName,
    /// The datapath, where the world has a choice.
    pub datapath: Datapath,
    /// The placement's file, in world hosts.
    pub hosts: Option<&'a Path>,
    /// The manifest's file, there.
    pub manifest: Option<&'a Path>,
}

impl Ground<'_> {
    /// The placement, in world hosts.
    fn placement(&self) -> Result<Option<Placement>> {
        if self.world != WorldName::Hosts {
            return Ok(None);
        }
        let missing = || Exit::Usage.refuse("world hosts needs --hosts FILE: who stands for what");
        Placement::read(self.hosts.ok_or_else(missing)?).map(Some)
    }

    /// Refuses a plan that this host, or this world, cannot run.
    fn ready(&self, plan: &Plan, placement: Option<&Placement>) -> Result<()> {
        if let Some(placement) = placement {
            return HostsWorld::suits(plan, placement, self.datapath);
        }
        if self.world == WorldName::Sim {
            Sim::suits(plan)?;
            return Ok(());
        }
        if self.world == WorldName::Compose {
            let why = "plans go to containers by `ashiato run FILE --world compose` alone: take \
                       --world netns, or hosts";
            return Err(Exit::Usage.refuse(why));
        }
        NetnsWorld::suits(plan, self.datapath)?;
        if !nix::unistd::geteuid().is_root() {
            let why = "world netns makes network namespaces, which needs root: run it under sudo, \
                       or use --world sim, which needs nothing";
            return Err(Exit::HostNotReady.refuse(why));
        }
        Ok(())
    }

    /// What hosts look at: the scenario as typed, and the manifest.
    fn papers(&self, scenario: &str) -> Result<Papers> {
        let read = |path: &Path| {
            let why = |e| Exit::Usage.refuse(format!("cannot read {}: {e}", path.display()));
            std::fs::read(path).map_err(why)
        };
        let manifest = self.manifest.map(read).transpose()?.unwrap_or_default();
        Ok(Papers { scenario: scenario.into(), manifest })
    }

    /// The world, standing.
    fn raise(
        &self,
        plan: &Arc<Plan>,
        paths: RunPaths,
        placement: Option<(&Placement, Papers)>,
        keep: bool,
        say: &dyn Fn(&str),
    ) -> Result<Box<dyn World>> {
        if let Some((placement, papers)) = placement {
            let plan = plan.as_ref().clone();
            return Ok(Box::new(HostsWorld::up(plan, paths, placement, papers, say)?));
        }
        if self.world == WorldName::Sim {
            return Ok(Box::new(Sim::new(plan.clone())));
        }
        let mut world = NetnsWorld::up(plan.as_ref().clone(), paths, say)?;
        if keep {
            world.keep();
        }
        Ok(Box::new(world))
    }
}

/// Runs one plan, and returns how it ended and its folder.
///
/// # Errors
/// Where the host is not ready (exit 3), or the world fails.
pub fn one(
    plan: Plan,
    scenario: &str,
    ground: Ground<'_>,
    out: Option<&Path>,
    keep: bool,
) -> Result<(Ran, PathBuf)> {
    let placement = ground.placement()?;
    let placement = placement.as_ref();
    ground.ready(&plan, placement)?;
    if placement.is_some() && keep {
        return Err(Exit::Usage.refuse("--keep is for worlds on this host alone"));
    }
    interrupt::watch()?;
    let id = ulid::Ulid::new().to_string();
    let folder = run::folder(out, &id)?;
    let path = folder.path().to_path_buf();
    let progress = Progress::start();
    let say = |phase: &str| progress.say(phase);
    let (datapath, real) = (ground.datapath, ground.world != WorldName::Sim);
    let options = Options {
        id: id.clone(),
        scenario: scenario.into(),
        world: placement.map_or(ground.world.word(), |p| p.world.word()),
        datapath: if real { datapath.word().into() } else { "sim".into() },
        tolerance: if real { run::TOLERANCE } else { 0.0 },
        keep,
        progress: &say,
    };
    let plan = Arc::new(plan);
    let paths = RunPaths { id, dir: std::path::absolute(&path)?, datapath };
    let placement = placement.map(|p| anyhow::Ok((p, ground.papers(scenario)?))).transpose()?;
    let mut world = ground.raise(&plan, paths, placement, keep, &say)?;
    let ran = run::run(&plan, world.as_mut(), folder, &options);
    progress.end();
    Ok((ran?, path))
}

/// Runs one plan in containers, whose director fills the folder, and shows it.
fn contained(
    args: &Args,
    given: &Given,
    plan: &Plan,
    datapath: Datapath,
    out: Option<&Path>,
) -> Result<Exit> {
    HostsWorld::takes(plan, datapath, Tunnels::Bare)?;
    if args.keep {
        return Err(Exit::Usage.refuse("--keep is for worlds on this host alone"));
    }
    let id = ulid::Ulid::new().to_string();
    let folder =
        std::path::absolute(out.map_or_else(|| Path::new("runs").join(&id), Path::to_path_buf))?;
    std::fs::create_dir_all(&folder)?;
    let compose = Compose::of(plan, datapath, compose::SUBNET.parse()?)?;
    let options = compose::Options {
        image: super::compose::IMAGE.into(),
        scenario: std::path::absolute(&given.file)?.display().to_string(),
        given: given.words(),
        runs: folder.display().to_string(),
        one: true,
        sys_admin: !engine::knows_bpf(super::compose::IMAGE)?,
    };
    let progress = Progress::start();
    let say = |phase: &str| progress.say(phase);
    let asked = Asked { run: &id, compose, options, folder: &folder, progress: &say };
    let code = compose::run(&asked);
    progress.end();
    let (code, summary) = (code?, std::fs::read(folder.join("summary.json")));
    if let Ok(summary) = summary {
        show(&serde_json::from_slice(&summary)?, &folder, args.format)?;
    }
    Ok(Exit::from_code(code))
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
