//! Harms and limits, measured: every scheme in a calm experiment and in the same one under an adversary.
//!
//! A scenario is run as it is and without its adversaries ([`Scenario::calm`]), over the same seeds, in
//! the simulator. What truth a scheme loses and whom it falsely names is what the adversary gains; what happens to
//! honest packets is what marking costs them.

use crate::compare::measure::{self, MEASURES, Reading};
use crate::compare::pairs::Estimate;
use crate::scenario::{Report, Scenario};
use crate::sim::Sim;
use crate::{interrupt, resolve, run};
use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use traceback::schemes;

/// One scheme under one adversary.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// What the adversary, or the network, does.
    pub troubles: Vec<String>,
    /// Scheme id.
    pub scheme: String,
    /// Runs on each side.
    pub runs: u32,
    /// Without.
    pub calm: Side,
    /// With.
    pub hostile: Side,
}

/// One side of a row.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Side {
    /// By measure.
    pub estimates: Vec<Estimate>,
    /// Runs without a finding, by the reason's word.
    pub gaps: BTreeMap<String, u32>,
}

impl Side {
    /// The estimate of a measure.
    pub fn get(&self, id: &str) -> Option<&Estimate> {
        self.estimates.iter().find(|e| e.measure == id)
    }
}

/// One run's readings of one scheme.
struct Read {
    scheme: String,
    gap: Option<String>,
    readings: BTreeMap<&'static str, Reading>,
}

/// Runs every scenario on both sides with `runs` seeds each. `progress` hears how many of how many runs
/// are done.
///
/// # Errors
/// Where a scenario cannot be planned, or the work is interrupted.
pub fn measure(
    scenarios: &[Scenario],
    runs: u32,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Row>> {
    let done = AtomicUsize::new(0);
    let all: Vec<(usize, bool, u32)> = (0..scenarios.len())
        .flat_map(|s| {
            [false, true].into_iter().flat_map(move |h| (0..runs).map(move |r| (s, h, r)))
        })
        .collect();
    let one = |(s, hostile, run): &(usize, bool, u32)| -> Result<Vec<Read>> {
        interrupt::check()?;
        let reads = read(&scenarios[*s], *hostile, *run)?;
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, all.len());
        Ok(reads)
    };
    let reads: Vec<Vec<Read>> = all.par_iter().map(one).collect::<Result<_>>()?;
    let mut rows = vec![];
    for (s, scenario) in scenarios.iter().enumerate() {
        let plan = resolve::plan(scenario).map_err(|report| refuse(&report))?;
        let troubles = plan.troubles();
        for scheme in &plan.schemes {
            let side = |hostile: bool| {
                let mine =
                    all.iter().zip(&reads).filter(|((at, h, _), _)| (*at, *h) == (s, hostile));
                let reads = mine.flat_map(|(_, reads)| reads).filter(|r| r.scheme == scheme.id);
                side(&reads.collect::<Vec<_>>())
            };
            rows.push(Row {
                scenario: plan.name.clone(),
                troubles: troubles.clone(),
                scheme: scheme.id.clone(),
                runs,
                calm: side(false),
                hostile: side(true),
            });
        }
    }
    Ok(rows)
}

fn refuse(report: &Report) -> anyhow::Error {
    crate::exit::Exit::Usage.refuse(report)
}

fn read(scenario: &Scenario, hostile: bool, run: u32) -> Result<Vec<Read>> {
    let mut scenario = if hostile { scenario.clone() } else { scenario.calm() };
    scenario.spec.seed = scenario.spec.seed.wrapping_add(run.into());
    let plan = Arc::new(resolve::plan(&scenario).map_err(|report| refuse(&report))?);
    let measured = run::measure(&plan, &mut Sim::new(plan.clone()))?;
    if let Some(why) = measured.void.first() {
        anyhow::bail!("{}: a void run: {why}", plan.name);
    }
    let read = |row: &crate::summary::SchemeRow| {
        let card = schemes::entry(&row.scheme)?.card();
        Ok(Read {
            scheme: row.scheme.clone(),
            gap: row.gap.as_ref().map(|g| g.kind.clone()),
            readings: measure::repeatable(row, &card),
        })
    };
    measured.rows.iter().map(read).collect()
}

fn side(reads: &[&Read]) -> Side {
    let column = |id: &str| -> Vec<Reading> {
        reads.iter().map(|r| r.readings.get(id).copied().unwrap_or(Reading::Absent)).collect()
    };
    let estimates = MEASURES.iter().filter_map(|m| Estimate::of(m, &column(m.id)));
    let mut gaps = BTreeMap::new();
    for gap in reads.iter().filter_map(|r| r.gap.clone()) {
        *gaps.entry(gap).or_default() += 1;
    }
    Side { estimates: estimates.collect(), gaps }
}
