//! A run: the plan's schemes take turns in a world, then the truth is opened and everything is scored.
//!
//! Order: commit to the expected paths; for each scheme traffic, commitment to what was counted,
//! reconstruction; removal; opening; scores; summary. Nothing is scored before all is sealed.

pub mod case;
pub mod convergence;
pub mod folder;
pub mod latency;
mod provenance;
mod rows;

use crate::plan::Plan;
use crate::summary::{Ending, Summary};
use crate::truth::Keeper;
use crate::world::{Outcome, Traffic, World};
use crate::{effects, summary};
use anyhow::{Context, Result};
use folder::Folder;
use serde_json::json;
use std::path::Path;
use std::time::Instant;
use traceback::case::Case;
use traceback::schemes;

/// What a run is told besides its plan.
pub struct Options<'a> {
    /// The run's id, a ULID.
    pub id: String,
    /// The scenario as typed.
    pub scenario: String,
    /// Name of the world.
    pub world: &'static str,
    /// How agents meet packets there.
    pub datapath: String,
    /// Share of visits by which ledgers and taps may disagree.
    pub tolerance: f64,
    /// Whether the world's objects stay for inspection.
    pub keep: bool,
    /// Told what is going on, a short line at a time.
    pub progress: &'a dyn Fn(&str),
}

/// One scheme's turn, as it came out.
struct Turn {
    scheme: usize,
    traffic: Traffic,
    case: Case,
    outcome: Outcome,
}

/// Runs a plan in a world and fills the folder.
///
/// # Errors
/// Where the world or the disk fails; what the world made is removed first.
pub fn run(
    plan: &Plan,
    world: &mut dyn World,
    mut folder: Folder,
    options: &Options<'_>,
) -> Result<Summary> {
    let started = Instant::now();
    folder.write("scenario.toml", &options.scenario)?;
    folder.write("plan.json", plan.to_json())?;
    let mut truth = Keeper::new(plan, salt()?);
    folder.write_json("truth.sealed", truth.sealed())?;
    folder.event("sealed", json!({ "expected_sha256": truth.sealed().expected_sha256 }))?;
    let mut turns = vec![];
    let mut failed = None;
    for scheme in 0..plan.schemes.len() {
        match turn(plan, world, &mut folder, &mut truth, scheme, options) {
            Ok(turn) => turns.push(turn),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let left = if options.keep { None } else { Some(world.remove()?) };
    folder.event("removed", json!({ "left": left }))?;
    if let Some(error) = failed {
        return Err(error);
    }
    (options.progress)("opening the truth and scoring");
    folder.write_json("truth.json", truth.open())?;
    let summary = summarise(plan, &truth, &turns, left, started, options)?;
    for turn in &turns {
        evidence(plan, &folder, turn, options)?;
    }
    folder.write_json("provenance.json", &provenance::gather(plan, options))?;
    folder.event("scored", json!({ "outcome": summary.outcome, "reasons": summary.reasons }))?;
    folder.write("summary.json", summary.to_json())?;
    folder.write("report.html", crate::report::html(&summary, plan))?;
    folder.seal()?;
    Ok(summary)
}

fn turn(
    plan: &Plan,
    world: &mut dyn World,
    folder: &mut Folder,
    truth: &mut Keeper,
    scheme: usize,
    options: &Options<'_>,
) -> Result<Turn> {
    let id = &plan.schemes[scheme].id;
    (options.progress)(&format!("{id}: traffic"));
    folder.event("turn", json!({ "scheme": id }))?;
    let traffic = world.traffic(scheme).with_context(|| format!("traffic of scheme {id}"))?;
    truth.seal(plan, id, &traffic);
    folder.write_json("truth.sealed", truth.sealed())?;
    let sent: u64 = traffic.sent.values().sum();
    let counted = truth.sealed().counted_sha256.get(id);
    folder.event("counted", json!({ "scheme": id, "sent": sent, "sha256": counted }))?;
    (options.progress)(&format!("{id}: {sent} packets sent; rebuilding"));
    let case = case::build(plan, &traffic.tape)?;
    let outcome = world
        .reconstruct(scheme, &case)
        .with_context(|| format!("reconstruction of scheme {id}"))?;
    let gap = outcome.finding.as_ref().err().map(ToString::to_string);
    folder
        .event("rebuilt", json!({ "scheme": id, "seconds": outcome.reconstruct_s, "gap": gap }))?;
    Ok(Turn { scheme, traffic, case, outcome })
}

/// What a turn leaves besides its row: graph, histograms, reports.
fn evidence(plan: &Plan, folder: &Folder, turn: &Turn, options: &Options<'_>) -> Result<()> {
    let id = &plan.schemes[turn.scheme].id;
    let graph = match &turn.outcome.finding {
        Ok(finding) => serde_json::to_value(finding)?,
        Err(gap) => serde_json::to_value(gap)?,
    };
    folder.write_json(&format!("graph/{id}.json"), &graph)?;
    if let Some(log) = latency::log(&turn.outcome, turn.traffic.seconds)? {
        folder.write(&format!("hdr/{id}.{}.hlog", options.datapath), log)?;
    }
    for (i, report) in turn.outcome.reports.iter().enumerate() {
        folder.write(&format!("reports/{id}/{i:05}.report"), report)?;
    }
    Ok(())
}

fn summarise(
    plan: &Plan,
    truth: &Keeper,
    turns: &[Turn],
    left: Option<u64>,
    started: Instant,
    options: &Options<'_>,
) -> Result<Summary> {
    let map = plan.map()?;
    let mut rows = vec![];
    let mut packets = summary::Packets::default();
    let mut reasons = vec![];
    for turn in turns {
        let row = rows::row(plan, truth.open(), &map, turn, options)?;
        packets.add(&row.packets);
        reasons.extend(rows::void(plan, truth.open(), turn, options.tolerance));
        rows.push(row);
    }
    rows::share_control(&mut rows);
    let effects = effects::judge(&plan.effects, &rows, options.world);
    let outcome = match (reasons.is_empty(), effects.iter().all(|e| e.met)) {
        (false, _) => Ending::Void,
        (true, true) => Ending::Met,
        (true, false) => Ending::Missed,
    };
    Ok(Summary {
        schema: summary::SCHEMA.into(),
        run: options.id.clone(),
        scenario: plan.name.clone(),
        world: options.world.into(),
        seed: plan.seed,
        outcome,
        reasons,
        plan_sha256: plan.sha256(),
        truth_sha256: truth.sealed().expected_sha256.clone(),
        duration_s: started.elapsed().as_secs_f64(),
        packets,
        domains: rows::domains(plan, turns),
        schemes: rows,
        effects,
        left_behind: left,
    })
}

/// 32 bytes of the system's randomness.
fn salt() -> Result<[u8; 32]> {
    use std::io::Read;
    let mut salt = [0; 32];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut salt))
        .context("cannot read /dev/urandom for the truth's salt")?;
    Ok(salt)
}

/// A new folder for a run: `--out`, or `runs/<id>`.
///
/// # Errors
/// As [`Folder::create`].
pub fn folder(out: Option<&Path>, id: &str) -> Result<Folder> {
    match out {
        Some(out) => Folder::create(out, id),
        None => Folder::create(&Path::new("runs").join(id), id),
    }
}

/// The scheme of a turn, ready to work.
///
/// # Errors
/// Where the plan names a scheme that this build does not have.
pub fn scheme(plan: &Plan, turn: usize) -> Result<std::sync::Arc<dyn schemes::AnyScheme>> {
    let chosen = &plan.schemes[turn];
    Ok(schemes::entry(&chosen.id)?.build(&chosen.params)?)
}
