//! Whether runs may be compared: the same packets, the same truth, and nothing else that differs.
//!
//! Two plans send the same packets where they are equal without their schemes, effects and settings of
//! agents. They are repetitions of one experiment where they are equal without what the seed draws, too.

use super::By;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::run::finished::Finished;
use crate::summary::Ending;
use crate::truth::Opened;
use anyhow::Result;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// A run that may take part.
pub(super) struct Checked<'a> {
    pub(super) run: &'a Finished,
    /// Its position among the runs given.
    pub(super) number: usize,
    pub(super) plan: Plan,
    pub(super) truth: Opened,
    /// Runs of one block sent the same packets.
    pub(super) block: usize,
}

/// Files that a comparison rests on.
const FILES: [&str; 4] = ["summary.json", "plan.json", "truth.json", "truth.sealed"];

/// Checks all runs, each in itself and against the first, and sorts them into blocks.
pub(super) fn check<'a>(runs: &'a [Finished], by: By) -> Result<Vec<Checked<'a>>> {
    let mut checked: Vec<Checked<'a>> = vec![];
    let mut blocks: Vec<Value> = vec![];
    for (number, run) in runs.iter().enumerate() {
        let (plan, truth) = sound(run)?;
        let packets = packets(&plan);
        if let Some(first) = checked.first() {
            alike(first, run, &plan, &truth, by)?;
        }
        let block = blocks.iter().position(|b| *b == packets).unwrap_or(blocks.len());
        if block == blocks.len() {
            blocks.push(packets);
        }
        checked.push(Checked { run, number, plan, truth, block });
    }
    Ok(checked)
}

/// A run that is what it says: not void, unchanged, opened as committed to, and sent as planned.
fn sound(run: &Finished) -> Result<(Plan, Opened)> {
    let name = run.path().display();
    let refuse = |exit: Exit, why: String| Err(exit.refuse(format!("{name}: {why}")));
    if run.summary.outcome == Ending::Void {
        let why = run.summary.reasons.join("; ");
        return refuse(Exit::Void, format!("a void run says nothing about a scheme: {why}"));
    }
    run.check(&FILES)?;
    let (plan, truth, sealed) = (run.plan()?, run.truth()?, run.sealed()?);
    if plan.sha256() != run.summary.plan_sha256 {
        return refuse(Exit::Usage, "plan.json is not the plan that the summary is about".into());
    }
    if !truth.agrees(&sealed) || sealed.expected_sha256 != run.summary.truth_sha256 {
        return refuse(Exit::Usage, "the opened truth is not what was committed to".into());
    }
    for row in &run.summary.schemes {
        for flow in &plan.flows {
            let sent = truth.counted.get(&row.scheme).and_then(|c| c.sent.get(&flow.id));
            let sent = sent.copied().unwrap_or(0);
            if sent != flow.packets {
                let (scheme, id, all) = (&row.scheme, flow.id, flow.packets);
                let why = format!("in the turn of {scheme} flow {id} sent {sent} of {all} packets");
                return refuse(Exit::Usage, why);
            }
        }
    }
    Ok((plan, truth))
}

/// Refuses a run that differs from the first in more than is compared.
fn alike(first: &Checked<'_>, run: &Finished, plan: &Plan, truth: &Opened, by: By) -> Result<()> {
    let (here, there) = (first.run.path().display(), run.path().display());
    let refuse = |why: String| Err(Exit::Usage.refuse(why));
    if first.plan.room != plan.room {
        return refuse(format!(
            "{here} and {there} did not send the same packets: those of one reserve room for \
             records, which a scheme of it writes: give both runs the same schemes"
        ));
    }
    if let Some(what) = difference(&design(&first.plan), &design(plan), "") {
        return refuse(format!("{here} and {there} are about different experiments: {what}"));
    }
    if first.truth.expected != truth.expected {
        return refuse(format!("{here} and {there} have different true paths"));
    }
    if by != By::Params
        && let Some(what) = difference(&settings(&first.plan), &settings(plan), "")
    {
        return refuse(format!("{here} and {there}: {what}: --by params compares settings"));
    }
    let worlds = [&first.run.summary.world, &run.summary.world];
    if !matches!(by, By::World | By::Lab) && worlds[0] != worlds[1] {
        let [a, b] = worlds;
        return refuse(format!(
            "{here} ran in world {a} and {there} in {b}: --by world compares them"
        ));
    }
    Ok(())
}

/// What decides every packet of a run.
fn packets(plan: &Plan) -> Value {
    let mut value = json!(plan);
    if let Value::Object(keys) = &mut value {
        for key in ["schemes", "effects", "process_per_router", "draws"] {
            keys.remove(key);
        }
    }
    if let Some(case) = value["case"].as_object_mut() {
        case.remove("samples");
    }
    for router in value["routers"].as_array_mut().into_iter().flatten() {
        router.as_object_mut().map(|r| r.remove("deployed"));
    }
    value
}

/// What decides an experiment but for chance.
fn design(plan: &Plan) -> Value {
    let mut value = packets(plan);
    for key in ["seed", "key"] {
        value.as_object_mut().map(|v| v.remove(key));
    }
    for flow in value["flows"].as_array_mut().into_iter().flatten() {
        flow["source"] = flow["source"].as_object().map_or(Value::Null, |s| json!(s.keys().next()));
        flow.as_object_mut().map(|f| f.remove("source_port"));
    }
    value
}

/// How agents and victim were set, which changes no packet of a sender.
pub(super) fn settings(plan: &Plan) -> Value {
    let silent = plan.routers.iter().filter(|r| !r.deployed).map(|r| &r.name);
    let silent: Vec<_> = silent.collect();
    json!({ "draws": plan.draws, "samples": plan.case.samples, "without-agent": silent })
}

/// The first place where two values differ, and what stands there.
pub(super) fn difference(a: &Value, b: &Value, at: &str) -> Option<String> {
    let step = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            let keys: BTreeSet<_> = x.keys().chain(y.keys()).collect();
            // A key that is left out stands for what is usual.
            let at = |of: &Map<String, Value>, key: &str| of.get(key).cloned().unwrap_or_default();
            keys.into_iter().find_map(|key| difference(&at(x, key), &at(y, key), &step(key)))
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let pairs = x.iter().zip(y).enumerate();
            pairs.into_iter().find_map(|(i, (x, y))| difference(x, y, &step(&i.to_string())))
        }
        _ if a == b => None,
        _ => Some(format!("{at} is {} here and {} there", short(a), short(b))),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "as usual".into(),
        Value::Array(list) => format!("a list of {}", list.len()),
        Value::Object(table) => format!("a table of {}", table.len()),
        plain => plain.to_string(),
    }
}
