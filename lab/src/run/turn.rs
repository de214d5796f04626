//! The turns of a run, and what ends them early.

use super::folder::Folder;
use super::{Options, case, latency};
use crate::exit::Exit;
use crate::interrupt;
use crate::plan::Plan;
use crate::report::Drawing;
use crate::summary::Ending;
use crate::truth::{Keeper, Sealed};
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use traceback::case::Case;

/// Where steps are noted while they happen; `()` notes nothing.
pub(super) trait Notes {
    /// Something happened.
    fn event(&mut self, event: &str, fields: Value) -> Result<()>;
    /// The commitments so far.
    fn sealed(&mut self, sealed: &Sealed) -> Result<()>;
}

impl Notes for Folder {
    fn event(&mut self, event: &str, fields: Value) -> Result<()> {
        Self::event(self, event, fields)
    }
    fn sealed(&mut self, sealed: &Sealed) -> Result<()> {
        self.write_json("truth.sealed", sealed)
    }
}

impl Notes for () {
    fn event(&mut self, _: &str, _: Value) -> Result<()> {
        Ok(())
    }
    fn sealed(&mut self, _: &Sealed) -> Result<()> {
        Ok(())
    }
}

/// One scheme's turn, as it came out.
pub(super) struct Turn {
    /// Position of the scheme in the plan.
    pub scheme: usize,
    /// What was sent and seen.
    pub traffic: Traffic,
    /// The case that was made of it.
    pub case: Case,
    /// What the scheme made of the case.
    pub outcome: Outcome,
}

/// Why a run ends before all its turns are through.
pub(super) struct Halt {
    /// [`Ending::Stopped`] where somebody wanted it so, [`Ending::Void`] after a leak, else [`Ending::Partial`].
    pub ending: Ending,
    /// The exit code, as long as everything is removed.
    pub exit: Exit,
    /// What happened in which turn, and what is missing.
    pub reasons: Vec<String>,
}

impl Halt {
    /// An error in the turn of this scheme, which with all later ones has no row.
    fn new(plan: &Plan, scheme: usize, error: &anyhow::Error) -> Self {
        let (ending, exit) = match Exit::of(error) {
            exit @ (Exit::Interrupted | Exit::Stopped) => (Ending::Stopped, exit),
            // A packet was seen where none may be.
            Exit::Void => (Ending::Void, Exit::Void),
            Exit::Internal => (Ending::Partial, Exit::Partial),
            exit => (Ending::Partial, exit),
        };
        let ids: Vec<&str> = plan.schemes.iter().map(|s| s.id.as_str()).collect();
        let (turn, all, id) = (scheme + 1, ids.len(), ids[scheme]);
        let missing = ids[scheme..].join(", ");
        let reasons = vec![
            format!("turn {turn} of {all} ({id}): {error:#}"),
            format!("{scheme} of {all} turns are complete; there is no row of {missing}"),
        ];
        Self { ending, exit, reasons }
    }

    /// A world that could not be removed after its last turn.
    pub(super) fn unremoved() -> Self {
        Self { ending: Ending::Partial, exit: Exit::Internal, reasons: vec![] }
    }
}

/// Gives every scheme its turn, until one fails or the run is stopped.
pub(super) fn take(
    plan: &Plan,
    world: &mut dyn World,
    folder: &mut Folder,
    truth: &mut Keeper,
    options: &Options<'_>,
) -> (Vec<Turn>, Option<Halt>) {
    let mut turns = vec![];
    for scheme in 0..plan.schemes.len() {
        let turn = interrupt::check()
            .and_then(|()| one(plan, world, folder, truth, scheme, options.progress));
        match turn {
            Ok(turn) => turns.push(turn),
            Err(error) => return (turns, Some(Halt::new(plan, scheme, &error))),
        }
    }
    (turns, None)
}

/// A scheme's turn: traffic, commitment to what was counted, reconstruction.
pub(super) fn one(
    plan: &Plan,
    world: &mut dyn World,
    notes: &mut dyn Notes,
    truth: &mut Keeper,
    scheme: usize,
    progress: &dyn Fn(&str),
) -> Result<Turn> {
    let id = &plan.schemes[scheme].id;
    progress(&format!("{id}: traffic"));
    notes.event("turn", json!({ "scheme": id }))?;
    let traffic = world.traffic(scheme).context("traffic")?;
    truth.seal(plan, id, &traffic);
    notes.sealed(truth.sealed())?;
    let sent: u64 = traffic.sent.values().sum();
    tell_faults(plan, &traffic, notes)?;
    let counted = truth.sealed().counted_sha256.get(id);
    notes.event("counted", json!({ "scheme": id, "sent": sent, "sha256": counted }))?;
    progress(&format!("{id}: {sent} packets sent; rebuilding"));
    let case = case::build(plan, scheme, &traffic.tape)?;
    let outcome = world.reconstruct(scheme, &case).context("reconstruction")?;
    let gap = outcome.finding.as_ref().err().map(ToString::to_string);
    notes
        .event("rebuilt", json!({ "scheme": id, "seconds": outcome.reconstruct_s, "gap": gap }))?;
    Ok(Turn { scheme, traffic, case, outcome })
}

/// Notes what failed in a turn, in the order in which it did. Times are of the turn's own clock, as all of
/// it is noted when the traffic is over.
fn tell_faults(plan: &Plan, traffic: &Traffic, notes: &mut dyn Notes) -> Result<()> {
    let mut events = vec![];
    for (fault, happened) in plan.faults.iter().zip(&traffic.faults) {
        let what = plan.fault_in_words(fault);
        events.extend(happened.began.map(|at| (at, "fault-begin", fault, what.clone())));
        events.extend(happened.ended.map(|at| (at, "fault-end", fault, what)));
    }
    events.sort_by_key(|(at, ..)| *at);
    for (at, event, fault, what) in events {
        let at_s = at.0 as f64 / 1e9;
        notes.event(event, json!({ "fault": fault.id, "what": what, "at_s": at_s }))?;
    }
    Ok(())
}

impl Turn {
    /// Its attack graph, true and found.
    pub(super) fn drawing(&self, plan: &Plan, truth: &Keeper) -> Drawing {
        let scheme = plan.schemes[self.scheme].id.clone();
        let truth = truth.open().paths(&scheme);
        Drawing { scheme, truth, finding: self.outcome.finding.clone() }
    }
}

/// What a turn leaves besides its row: graph, histograms, reports.
///
/// # Errors
/// Where the folder cannot be written.
pub(super) fn keep(plan: &Plan, folder: &Folder, turn: &Turn, options: &Options<'_>) -> Result<()> {
    let id = &plan.schemes[turn.scheme].id;
    let graph = match &turn.outcome.finding {
        Ok(finding) => serde_json::to_value(finding)?,
        Err(gap) => serde_json::to_value(gap)?,
    };
    folder.write_json(&format!("graph/{id}.json"), &graph)?;
    folder.write(&format!("cases/{id}.json"), serde_json::to_vec(&case::Kept::of(&turn.case))?)?;
    if let Some(log) = latency::log(&turn.outcome, turn.traffic.seconds)? {
        folder.write(&format!("hdr/{id}.{}.hlog", options.datapath), log)?;
    }
    if let Some(log) = latency::end_to_end_log(&turn.traffic)? {
        folder.write(&format!("hdr/{id}.{}.e2e.hlog", options.datapath), log)?;
    }
    for (i, report) in turn.outcome.reports.iter().enumerate() {
        folder.write(&format!("reports/{id}/{i:05}.report"), report)?;
    }
    Ok(())
}
