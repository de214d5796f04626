//! From runs to observations: who competes in which group, and what was read off each turn.

use super::By;
use super::facts::Facts;
use super::lengths;
use super::measure::{self, Reading};
use super::same::{Checked, difference, settings};
use crate::exit::Exit;
use crate::plan::DrawKind;
use crate::summary::SchemeRow;
use anyhow::Result;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use traceback::scheme::Card;
use traceback::schemes;

/// One turn as a contender's.
pub(super) struct Observation {
    /// Position of the run.
    pub(super) run: usize,
    /// Block of its run.
    pub(super) block: usize,
    pub(super) group: String,
    pub(super) contender: String,
    pub(super) facts: Facts,
    readings: Readings,
    /// Packets until paths of each length stood.
    pub(super) lengths: BTreeMap<usize, Reading>,
}

impl Observation {
    pub(super) fn get(&self, id: &str) -> Reading {
        self.readings.get(id).copied().unwrap_or(Reading::Absent)
    }
}

/// Every turn of every run.
pub(super) fn observe(runs: &[Checked<'_>], by: By) -> Result<Vec<Observation>> {
    if by != By::Params {
        same_params(runs)?;
    }
    let datapaths: BTreeSet<(&str, &str)> = (runs.iter())
        .flat_map(|c| c.run.summary.schemes.iter().map(|r| (&*c.run.summary.world, &*r.datapath)))
        .collect();
    let mut observations = vec![];
    for checked in runs {
        for row in &checked.run.summary.schemes {
            let card = schemes::entry(&row.scheme)?.card();
            let facts = Facts::of(&card, &checked.plan, &row.params);
            let lengths = lengths_of(checked, row, &card, by);
            let mut add = |group: &str, contender: String, readings| {
                let (run, block, group) = (checked.number, checked.block, group.into());
                let (facts, lengths) = (facts.clone(), lengths.clone());
                let of = Observation { run, block, group, contender, facts, readings, lengths };
                observations.push(of);
            };
            match by {
                By::Scheme => add("", row.scheme.clone(), read(checked, row, &card)),
                By::World => {
                    let name = world(checked, row, &datapaths);
                    add(&row.scheme, name, read(checked, row, &card));
                }
                By::Lab => {
                    add(&row.scheme, checked.run.lab.clone(), read(checked, row, &card));
                }
                By::Params => {
                    let name = params(runs, checked, row);
                    add(&row.scheme, name, read(checked, row, &card));
                }
                By::Nation => {
                    for (nation, readings) in nations(checked, row)? {
                        add(&row.scheme, nation, readings);
                    }
                }
            }
        }
    }
    Ok(observations)
}

type Readings = BTreeMap<&'static str, Reading>;

fn read(checked: &Checked<'_>, row: &SchemeRow, card: &Card) -> Readings {
    let mut readings = measure::of_row(row, card);
    if checked.plan.draws == DrawKind::Law {
        // No router wrote anything, so nothing was counted there.
        readings.remove("packets.marked");
    }
    readings
}

/// Nations have no paths of their own.
fn lengths_of(
    checked: &Checked<'_>,
    row: &SchemeRow,
    card: &Card,
    by: By,
) -> BTreeMap<usize, Reading> {
    if by == By::Nation {
        return BTreeMap::new();
    }
    lengths::read(row, card, &checked.truth.paths(&row.scheme))
}

/// What a turn found of every nation.
fn nations(checked: &Checked<'_>, row: &SchemeRow) -> Result<BTreeMap<String, Readings>> {
    let finding = checked.run.finding(&row.scheme)?.ok();
    let (plan, truth) = (&checked.plan, checked.truth.paths(&row.scheme));
    let nations = plan.routers.iter().map(|r| r.nation.clone());
    let read = |nation: String| {
        let readings = measure::of_nation(plan, &truth, finding.as_ref(), &nation);
        (nation, readings)
    };
    Ok(nations.map(read).collect())
}

/// A world, with its datapath where several take part.
fn world(checked: &Checked<'_>, row: &SchemeRow, datapaths: &BTreeSet<(&str, &str)>) -> String {
    let world = &checked.run.summary.world;
    let several = datapaths.iter().filter(|(w, _)| w == world).count() > 1;
    if several { format!("{world}/{}", row.datapath) } else { world.clone() }
}

/// Every scheme has the same parameters wherever it takes part.
fn same_params(runs: &[Checked<'_>]) -> Result<()> {
    let mut seen: BTreeMap<&str, (&Checked<'_>, &Value)> = BTreeMap::new();
    for checked in runs {
        for row in &checked.run.summary.schemes {
            let (first, params) = *seen.entry(&row.scheme).or_insert((checked, &row.params));
            if let Some(what) = difference(params, &row.params, "") {
                let (here, there) = (first.run.path().display(), checked.run.path().display());
                let scheme = &row.scheme;
                return Err(Exit::Usage.refuse(format!(
                    "{here} and {there}: {scheme}'s {what}: --by params compares parameters"
                )));
            }
        }
    }
    Ok(())
}

/// What tells a turn from other turns of its scheme: parameters and settings that are not the same
/// in all of them.
fn params(runs: &[Checked<'_>], mine: &Checked<'_>, row: &SchemeRow) -> String {
    let mut parts = vec![];
    let turns = runs.iter().flat_map(|c| c.run.summary.schemes.iter().map(move |r| (c, r)));
    let turns: Vec<_> = turns.filter(|(_, r)| r.scheme == row.scheme).collect();
    let mut say = |key: &str, value: &Value, others: Vec<Option<Value>>| {
        if others.iter().any(|other| other.as_ref() != Some(value)) {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parts.push(format!("{key}={text}"));
        }
    };
    for (key, value) in row.params.as_object().into_iter().flatten() {
        say(key, value, turns.iter().map(|(_, r)| r.params.get(key).cloned()).collect());
    }
    for (key, value) in settings(&mine.plan).as_object().into_iter().flatten() {
        let other = |c: &Checked<'_>| settings(&c.plan).get(key).cloned();
        say(key, value, turns.iter().map(|(c, _)| other(c)).collect());
    }
    if parts.is_empty() { "as all".into() } else { parts.join(" ") }
}
