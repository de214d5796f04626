//! A run: the plan's schemes take turns in a world, then the truth is opened and everything is scored.
//!
//! Order: commit to the expected paths; for each scheme traffic, commitment to what was counted,
//! reconstruction; removal; opening; scores; summary. Nothing is scored before all is sealed. A run
//! that fails or is stopped leaves out the turns that are missing, and nothing else.

mod acceptance;
pub mod case;
mod conditions;
pub mod convergence;
mod costs;
pub mod finished;
pub mod folder;
mod inquiries;
pub mod latency;
mod provenance;
mod reached;
mod rows;
mod turn;

use crate::exit::Exit;
use crate::plan::Plan;
use crate::summary::{Ending, SchemeRow, Summary};
use crate::truth::Keeper;
use crate::world::World;
use crate::{effects, report, summary};
use anyhow::{Context, Result};
use folder::Folder;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use traceback::schemes;
use turn::{Halt, Turn};

/// Share of visits by which ledgers and taps may disagree where packets cross a real kernel.
pub const TOLERANCE: f64 = 0.001;

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

/// A run that has ended, well or not.
#[derive(Debug)]
pub struct Ran {
    /// What `summary.json` says.
    pub summary: Summary,
    /// The exit code that it asks for.
    pub exit: Exit,
}

/// Runs a plan in a world and fills the folder, also where the run fails or is stopped: what had
/// finished by then is scored, and the summary's reasons say what is missing.
///
/// # Errors
/// Where the disk fails, or the plan is none; what the world made is removed first.
pub fn run(
    plan: &Plan,
    world: &mut dyn World,
    mut folder: Folder,
    options: &Options<'_>,
) -> Result<Ran> {
    let started = Instant::now();
    folder.write("scenario.toml", &options.scenario)?;
    folder.write("plan.json", plan.to_json())?;
    let mut truth = Keeper::new(plan, salt()?);
    folder.write_json("truth.sealed", truth.sealed())?;
    folder.event("sealed", json!({ "expected_sha256": truth.sealed().expected_sha256 }))?;
    let (turns, halt) = turn::take(plan, world, &mut folder, &mut truth, options);
    let (left, halt) = remove(world, halt, options);
    folder.event("removed", json!({ "left": left }))?;
    (options.progress)("opening the truth and scoring");
    folder.write_json("truth.json", truth.open())?;
    for turn in &turns {
        turn::keep(plan, &folder, turn, options)?;
    }
    let mut summary = summarise(plan, &truth, &turns, (left, halt.as_ref()), started, options)?;
    summary.permitted = world.permitted();
    folder.write_json("provenance.json", &provenance::gather(plan, options))?;
    folder.event("scored", json!({ "outcome": summary.outcome, "reasons": summary.reasons }))?;
    folder.write("summary.json", summary.to_json())?;
    let drawings: Vec<_> = turns.iter().map(|t| t.drawing(plan, &truth)).collect();
    folder.write("report.html", report::html(&summary, plan, &drawings))?;
    folder.seal()?;
    let exit = exit(&summary, halt.as_ref());
    Ok(Ran { summary, exit })
}

/// A plan's rows without a folder, for many runs in a row.
#[derive(Debug)]
pub struct Measured {
    /// One for each scheme.
    pub rows: Vec<SchemeRow>,
    /// Why they say nothing; empty where they do.
    pub void: Vec<String>,
}

/// Runs a plan in a world that needs no removal, and leaves nothing on disk.
///
/// # Errors
/// Where a turn fails or is interrupted.
pub fn measure(plan: &Plan, world: &mut dyn World) -> Result<Measured> {
    // Nobody outside learns of commitments that are opened a moment later.
    let mut truth = Keeper::new(plan, [0; 32]);
    let mut measured = Measured { rows: vec![], void: vec![] };
    for scheme in 0..plan.schemes.len() {
        let turn = turn::one(plan, world, &mut (), &mut truth, scheme, &|_| {})?;
        measured.void.extend(rows::void(plan, truth.open(), &turn, 0.0));
        measured.rows.push(rows::row(plan, truth.open(), &turn, "sim")?);
    }
    Ok(measured)
}

/// Removes what the world made unless it is to stay. Says how many objects are left, and adds to the
/// halt where that is not known.
fn remove(
    world: &mut dyn World,
    halt: Option<Halt>,
    options: &Options<'_>,
) -> (Option<u64>, Option<Halt>) {
    if options.keep {
        return (None, halt);
    }
    match world.remove() {
        Ok(left) => (Some(left), halt),
        Err(error) => {
            let mut halt = halt.unwrap_or_else(Halt::unremoved);
            halt.reasons.push(format!("removal: {error:#}; try `ashiato gc`"));
            (None, Some(halt))
        }
    }
}

fn summarise(
    plan: &Plan,
    truth: &Keeper,
    turns: &[Turn],
    (left, halt): (Option<u64>, Option<&Halt>),
    started: Instant,
    options: &Options<'_>,
) -> Result<Summary> {
    let mut rows = vec![];
    let mut packets = summary::Packets::default();
    let mut reasons = halt.map_or_else(Vec::new, |h| h.reasons.clone());
    let halted = reasons.len();
    for turn in turns {
        let row = rows::row(plan, truth.open(), turn, &options.datapath)?;
        packets.add(&row.packets);
        reasons.extend(rows::void(plan, truth.open(), turn, options.tolerance));
        rows.push(row);
    }
    rows::share_control(&mut rows);
    let effects = effects::judge(plan, &rows, options.world);
    let met = effects.iter().all(|e| e.met);
    Ok(Summary {
        schema: summary::SCHEMA.into(),
        run: options.id.clone(),
        scenario: plan.name.clone(),
        world: options.world.into(),
        seed: plan.seed,
        outcome: outcome(halt, reasons.len() > halted, met),
        reasons,
        plan_sha256: plan.sha256(),
        truth_sha256: truth.sealed().expected_sha256.clone(),
        duration_s: started.elapsed().as_secs_f64(),
        packets,
        domains: rows::domains(plan, turns),
        costs: costs::costs(plan, turns)?,
        schemes: rows,
        effects,
        links: conditions::links(plan, turns),
        faults: conditions::faults(plan, truth.open(), turns, options.world),
        clocks: conditions::clocks(plan, turns),
        permitted: BTreeMap::new(),
        left_behind: left,
    })
}

/// A stop is what somebody wanted; void rows are worse than missing ones.
fn outcome(halt: Option<&Halt>, void: bool, met: bool) -> Ending {
    match halt.map(|h| h.ending) {
        Some(Ending::Stopped) => Ending::Stopped,
        _ if void => Ending::Void,
        Some(ending) => ending,
        None if met => Ending::Met,
        None => Ending::Missed,
    }
}

fn exit(summary: &Summary, halt: Option<&Halt>) -> Exit {
    match (summary.outcome, halt) {
        (Ending::Stopped, Some(Halt { exit: Exit::Interrupted, .. })) => {
            match summary.left_behind {
                Some(0) => Exit::Interrupted,
                // Interrupted, but something stands.
                _ => Exit::Stopped,
            }
        }
        (Ending::Partial, Some(halt)) => halt.exit,
        (outcome, _) => outcome.exit(),
    }
}

/// 32 bytes of the system's randomness.
pub(crate) fn salt() -> Result<[u8; 32]> {
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
