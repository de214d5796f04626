//! `ashiato replay`: a finished run's plan once more, here.

use super::form::Form;
use super::run::{Ground, WorldName};
use super::verify;
use crate::exit::Exit;
use crate::plan::DrawKind;
use crate::run::finished::Finished;
use crate::scenario::spec::Datapath;
use crate::verify::Check;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, or its id under `runs/`.
    pub run: PathBuf,
    /// Where to run, instead of the world of the first time.
    #[arg(long, value_enum, env = "ASHIATO_REPLAY_WORLD")]
    pub world: Option<WorldName>,
    /// How agents meet packets, instead of the datapath of the first time.
    #[arg(long, value_name = "NAME", env = "ASHIATO_REPLAY_DATAPATH")]
    pub datapath: Option<String>,
    /// Who stands for what, in world hosts.
    #[arg(long, value_name = "FILE", env = "ASHIATO_REPLAY_HOSTS")]
    pub hosts: Option<PathBuf>,
    /// What was agreed and signed for the new run, there.
    #[arg(long, value_name = "FILE", env = "ASHIATO_REPLAY_MANIFEST")]
    pub manifest: Option<PathBuf>,
    /// Folder of the new run, instead of `runs/<id>`.
    #[arg(long, env = "ASHIATO_REPLAY_OUT")]
    pub out: Option<PathBuf>,
    /// Form of the answer.
    #[arg(long, value_enum, default_value_t, env = "ASHIATO_REPLAY_FORMAT")]
    pub format: Form,
}

/// Runs the plan again and says what is equal.
///
/// # Errors
/// Where the run is not whole (exit 2), its world cannot be had here (exit 3), or the new run fails.
pub fn run(args: &Args) -> Result<Exit> {
    let first = Finished::open(&args.run)?;
    first.check(&["plan.json", "scenario.toml", "provenance.json"])?;
    let plan = first.plan()?;
    let keyed = plan.draws == DrawKind::Keyed;
    let world = args.world.map_or_else(|| world(&first.summary.world), Ok)?;
    let datapath = datapath(args, &first)?;
    let (hosts, manifest) = (args.hosts.as_deref(), args.manifest.as_deref());
    let ground = Ground { world, datapath, hosts, manifest };
    let scenario = first.scenario()?;
    let (ran, folder) = super::run::one(plan, &scenario, ground, args.out.as_deref(), false)?;
    eprintln!("ran again: {}", folder.display());
    let second = Finished::open(&folder)?;
    for line in differences(&first, &second)? {
        eprintln!("differs: {line}");
    }
    if !keyed {
        eprintln!(
            "marks were drawn by chance: expect equal laws, not equal marks (ashiato compare)"
        );
    }
    let shown = verify::show(&compare(&first, &second)?, args.format)?;
    Ok(match (shown, ran.exit) {
        (Exit::Met, _) => Exit::Met,
        (_, Exit::Met | Exit::Missed) => Exit::Missed,
        (_, exit) => exit,
    })
}

fn world(word: &str) -> Result<WorldName> {
    let known = WorldName::value_variants().iter().find(|w| w.word() == word);
    known.copied().ok_or_else(|| {
        Exit::Usage.refuse(format!("this build knows no world {word}: name one with --world"))
    })
}

/// The first time's, where it was a real one.
fn datapath(args: &Args, first: &Finished) -> Result<Datapath> {
    let told = first.provenance()?.get("datapath").and_then(|v| v.as_str()).map(String::from);
    let word = args.datapath.clone().or(told.filter(|word| word != "sim"));
    let Some(word) = word else { return Ok(Datapath::default()) };
    serde_json::from_value(word.clone().into())
        .map_err(|_| Exit::Usage.refuse(format!("there is no datapath {word}")))
}

/// What is not the same about two runs' making.
fn differences(first: &Finished, second: &Finished) -> Result<Vec<String>> {
    let (first, second) = (first.provenance()?, second.provenance()?);
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let differ = keys.into_iter().filter(|key| first.get(*key) != second.get(*key));
    let show = |value: Option<&serde_json::Value>| value.map_or("-".into(), ToString::to_string);
    Ok(differ
        .map(|key| format!("{key} {} then, {} now", show(first.get(key)), show(second.get(key))))
        .collect())
}

/// Scheme by scheme: packets, findings, scores.
fn compare(first: &Finished, second: &Finished) -> Result<Vec<Check>> {
    let (before, now) = (first.truth()?, second.truth()?);
    let mut checks = vec![];
    let mut add =
        |what: String, holds: bool, seen: String| checks.push(Check { what, holds, seen });
    for old in &first.summary.schemes {
        let id = &old.scheme;
        let new = second.summary.schemes.iter().find(|row| row.scheme == *id);
        let Some(new) = new else {
            add(format!("{id}: turn"), false, "had no complete turn this time".into());
            continue;
        };
        let sent = |truth: &crate::truth::Opened| truth.counted.get(id).map(|c| c.sent.clone());
        let packets = before.expected == now.expected && sent(&before) == sent(&now);
        add(
            format!("{id}: packets"),
            packets,
            format!("{} sent now", new.packets.attack + new.packets.legit),
        );
        let same =
            first.finding(id).context("first run")? == second.finding(id).context("second run")?;
        add(format!("{id}: finding"), same, "the graph, or the reason why there is none".into());
        let scores = old.levels == new.levels && old.paths == new.paths;
        let exact =
            |row: &crate::summary::SchemeRow| format!("{} of {}", row.paths.exact, row.paths.truth);
        add(
            format!("{id}: scores"),
            scores,
            format!("{} paths exact then, {} now", exact(old), exact(new)),
        );
    }
    Ok(checks)
}
