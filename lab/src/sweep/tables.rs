//! A sweep as tables: every number, and estimates by point and scheme.

use super::Swept;
use crate::compare::measure::{MEASURES, Measure, Reading};
use crate::compare::pairs::Estimate;
use crate::compare::print::said;
use crate::csv;
use comfy_table::{Table, presets};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Estimates of one scheme at one point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line {
    /// Position in the grid.
    pub point: usize,
    /// The point's values by key.
    pub at: BTreeMap<String, String>,
    /// Scheme id.
    pub scheme: String,
    /// Runs by gap, where there were gaps.
    pub gaps: BTreeMap<String, usize>,
    /// By measure.
    pub estimates: Vec<Estimate>,
}

/// Estimates of every scheme at every point; void runs are left out.
pub fn lines(swept: &Swept) -> Vec<Line> {
    let grid = &swept.header.vary;
    let mut lines = vec![];
    for point in 0..grid.len() {
        let sound = swept.cells.iter().filter(|c| c.point == point && c.void.is_empty());
        let rows: Vec<_> = sound.flat_map(|c| &c.rows).collect();
        let mut schemes: Vec<&str> = vec![];
        for row in &rows {
            if !schemes.contains(&row.scheme.as_str()) {
                schemes.push(&row.scheme);
            }
        }
        for scheme in schemes {
            let mine: Vec<_> = rows.iter().filter(|r| r.scheme == scheme).collect();
            let readings = |m: &Measure| -> Vec<Reading> {
                let read = |r: Option<&Option<f64>>| match r {
                    Some(Some(number)) => Reading::Is(*number),
                    Some(None) => Reading::Censored,
                    None => Reading::Absent,
                };
                mine.iter().map(|r| read(r.readings.get(m.id))).collect()
            };
            let estimate = |m: &Measure| Estimate::of(m, &readings(m));
            let mut gaps = BTreeMap::new();
            for gap in mine.iter().filter_map(|r| r.gap.clone()) {
                *gaps.entry(gap).or_default() += 1;
            }
            let keys = grid.axes.iter().map(|a| a.key.clone());
            lines.push(Line {
                point,
                at: keys.zip(grid.values(point).into_iter().map(String::from)).collect(),
                scheme: scheme.into(),
                gaps,
                estimates: MEASURES.iter().filter_map(estimate).collect(),
            });
        }
    }
    lines
}

/// Every number that was measured.
pub fn raw(swept: &Swept) -> String {
    let grid = &swept.header.vary;
    let keys = grid.axes.iter().map(|a| a.key.as_str());
    let own =
        ["repeat", "seed", "scheme", "packets", "gap", "measure", "value", "censored", "void"];
    let mut out = csv::line(keys.chain(own));
    for cell in &swept.cells {
        for row in &cell.rows {
            for (measure, value) in &row.readings {
                let values = grid.values(cell.point).into_iter().map(String::from);
                let fields = [
                    cell.repeat.to_string(),
                    cell.seed.to_string(),
                    row.scheme.clone(),
                    row.packets.to_string(),
                    row.gap.clone().unwrap_or_default(),
                    measure.clone(),
                    csv::number(*value),
                    value.is_none().to_string(),
                    (!cell.void.is_empty()).to_string(),
                ];
                out += &csv::line(values.chain(fields));
            }
        }
    }
    out
}

/// Estimates, one a line.
pub fn summary(swept: &Swept) -> String {
    let keys = swept.header.vary.axes.iter().map(|a| a.key.as_str());
    let own = ["scheme", "measure", "n", "censored", "mean", "low", "high", "p50", "p95"];
    let mut out = csv::line(keys.chain(own));
    for line in lines(swept) {
        for e in &line.estimates {
            let values = swept.header.vary.values(line.point).into_iter().map(String::from);
            let ends =
                [e.mean, e.interval.map(|i| i.low), e.interval.map(|i| i.high), e.p50, e.p95];
            let names = [line.scheme.clone(), e.measure.into(), e.n.to_string()];
            let fields =
                names.into_iter().chain([e.censored.to_string()]).chain(ends.map(csv::number));
            out += &csv::line(values.chain(fields));
        }
    }
    out
}

/// The measures that people see first.
const SHOWN: [&str; 5] =
    ["complete", "packets_to_complete", "router.recall", "router.wrong", "source.recall"];

/// A table for people.
pub fn table(swept: &Swept) -> String {
    let lines = lines(swept);
    let has = |id: &&&str| lines.iter().any(|l| l.estimates.iter().any(|e| e.measure == **id));
    let shown: BTreeSet<_> = SHOWN.iter().filter(has).copied().collect();
    let shown: Vec<&str> = SHOWN.into_iter().filter(|id| shown.contains(id)).collect();
    let mut table = Table::new();
    let keys = swept.header.vary.axes.iter().map(|a| a.key.as_str());
    table.load_style(presets::NOTHING).set_header(keys.chain(["scheme"]).chain(shown.clone()));
    for line in &lines {
        let cell = |id: &&str| {
            line.estimates.iter().find(|e| e.measure == *id).map_or_else(|| "-".into(), said)
        };
        let values = swept.header.vary.values(line.point).into_iter().map(String::from);
        table.add_row(values.chain([line.scheme.clone()]).chain(shown.iter().map(cell)));
    }
    let text: String = table.lines().map(|l| format!("{}\n", l.trim_end())).collect();
    text + &voids(swept)
}

/// What is said about void runs.
fn voids(swept: &Swept) -> String {
    let void: Vec<_> = swept.cells.iter().filter(|c| !c.void.is_empty()).collect();
    let first = void.first().map(|c| format!("void runs left out: {}; {:?}\n", void.len(), c.void));
    first.unwrap_or_default()
}

/// Everything but raw numbers, as JSON.
///
/// # Panics
/// Never: all of it is plain data.
pub fn json(swept: &Swept) -> String {
    let all = serde_json::json!({ "header": swept.header, "lines": lines(swept) });
    serde_json::to_string_pretty(&all).expect("invariant: plain data") + "\n"
}
