//! Sweeps: a scenario simulated over a grid of values and many seeds.
//!
//! A [`grid::Grid`] is the product of axes; every point of it is run with the same seeds, so that points
//! differ by their values alone. Results go into a folder ([`store`]) one line a run as they come, so
//! a killed sweep goes on where it stopped; what is written at the end ([`tables`], [`curves`]) is
//! sorted, and depends on neither threads nor kills. Times of the host are left out for that reason.

pub mod curves;
pub mod grid;
pub mod store;
pub mod tables;

use crate::compare::measure;
use crate::exit::Exit;
use crate::plan::Plan;
use crate::scenario::{self, Overrides};
use crate::sim::Sim;
use crate::{interrupt, resolve, run};
use anyhow::{Context, Result};
use grid::Grid;
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Cell, Header, Row, Store};
use traceback::schemes;

/// What is to be swept.
#[derive(Debug, Clone)]
pub struct Request {
    /// Name of the scenario file, for messages.
    pub name: String,
    /// The scenario as typed.
    pub text: String,
    /// Values put over it, the same at all points.
    pub set: Vec<String>,
    /// Schemes instead of the file's.
    pub schemes: Vec<String>,
    /// First seed; the file's where left out.
    pub seed: Option<u64>,
    /// Axes.
    pub grid: Grid,
    /// Runs of each point, with seeds that follow each other.
    pub repeat: u32,
    /// Threads; as many as the host has processors where 0.
    pub jobs: usize,
}

/// A finished sweep.
#[derive(Debug)]
pub struct Swept {
    /// What was swept.
    pub header: Header,
    /// Every run, by point and repetition.
    pub cells: Vec<Cell>,
}

impl Request {
    fn overrides(&self, point: usize, seed: Option<u64>) -> Overrides {
        let set = self.set.iter().cloned().chain(self.grid.sets(point)).collect();
        Overrides { set, seed, schemes: self.schemes.clone() }
    }

    /// The plan of one point.
    fn plan(&self, point: usize, seed: Option<u64>) -> Result<Plan> {
        let planned = scenario::parse(&self.name, &self.text, &self.overrides(point, seed))
            .and_then(|scenario| resolve::plan(&scenario));
        planned.map_err(|report| {
            let place = self.grid.label(point);
            Exit::Usage.refuse(format!("at {place}:\n{report}"))
        })
    }

    /// What the folder is about.
    ///
    /// # Errors
    /// [`Exit::Usage`] where a point is no sound scenario.
    pub fn header(&self) -> Result<Header> {
        let plans: Vec<Plan> =
            (0..self.grid.len()).map(|p| self.plan(p, self.seed)).collect::<Result<_>>()?;
        let first = plans.first().context("a grid has a point")?;
        Ok(Header::new(self, first.name.clone(), first.seed))
    }
}

/// Runs what is missing in a folder, then writes tables and curves. `progress` hears how many runs
/// are done, how many had been before, and how many there are.
///
/// # Errors
/// [`Exit::Usage`] where a point is no sound scenario, or the folder is another sweep's;
/// [`Exit::Interrupted`] where the same command can go on later.
pub fn sweep(
    request: &Request,
    folder: &Path,
    progress: &(dyn Fn(usize, usize, usize) + Sync),
) -> Result<Swept> {
    let header = request.header()?;
    let store = Store::open(folder, &header, &request.text)?;
    let points = request.grid.len();
    let wanted = |c: &(usize, u32)| !store.has(c.0, c.1);
    let all = (0..request.repeat).flat_map(|r| (0..points).map(move |p| (p, r)));
    let missing: Vec<(usize, u32)> = all.filter(wanted).collect();
    let total = points * request.repeat as usize;
    let before = total - missing.len();
    let done = AtomicUsize::new(before);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(request.jobs).build()?;
    let ran = pool.install(|| {
        missing.par_iter().try_for_each(|(point, repeat)| -> Result<()> {
            interrupt::check()?;
            store.add(&cell(request, *point, *repeat, header.seed)?)?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, before, total);
            Ok(())
        })
    });
    ran.map_err(|e| if Exit::of(&e) == Exit::Interrupted { later(folder) } else { e })?;
    let cells = store.close(request.repeat)?;
    let swept = Swept { header, cells };
    store::write(folder, "raw.csv", &tables::raw(&swept))?;
    store::write(folder, "summary.csv", &tables::summary(&swept))?;
    curves::write(&swept, folder)?;
    Ok(swept)
}

fn later(folder: &Path) -> anyhow::Error {
    let folder = folder.display();
    Exit::Interrupted.refuse(format!("interrupted: the same command goes on from {folder}"))
}

/// One run.
fn cell(request: &Request, point: usize, repeat: u32, first: u64) -> Result<Cell> {
    let seed = first.wrapping_add(repeat.into());
    let plan = Arc::new(request.plan(point, Some(seed))?);
    let measured = run::measure(&plan, &mut Sim::new(plan.clone()))?;
    let mut rows = vec![];
    for row in &measured.rows {
        let card = schemes::entry(&row.scheme)?.card();
        let readings = measure::repeatable(row, &card).into_iter();
        let kept = readings.filter(|(_, reading)| *reading != measure::Reading::Absent);
        let readings = kept.map(|(id, reading)| (id.to_owned(), reading.number()));
        rows.push(Row {
            scheme: row.scheme.clone(),
            packets: row.packets.attack + row.packets.legit,
            gap: row.gap.as_ref().map(|g| g.kind.clone()),
            readings: readings.collect(),
        });
    }
    Ok(Cell { point, repeat, seed, void: measured.void, rows })
}
