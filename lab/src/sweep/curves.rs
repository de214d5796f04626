//! A sweep as curves: one drawing for each measure, over the first axis of numbers; and completion over
//! the packets of the case, at every point.

use super::tables::{Line, lines};
use super::{Swept, store};
use crate::compare::measure::find;
use crate::report::chart::{Chart, Curve, Look, Point};
use crate::report::document;
use anyhow::Result;
use maud::html;
use std::collections::BTreeMap;
use std::path::Path;

/// Measures that are drawn.
const DRAWN: [&str; 7] = [
    "complete",
    "packets_to_complete",
    "paths.exact",
    "paths.wrong",
    "router.recall",
    "router.wrong",
    "source.recall",
];
/// Measures that are shares.
const SHARES: [&str; 4] = ["complete", "paths.exact", "router.recall", "source.recall"];
/// With more curves than this, a drawing tells nothing.
const MOST_CURVES: usize = 16;

/// Writes `curves/<measure>.svg`, and `sweep.html` with all of them.
///
/// # Errors
/// Where the disk refuses.
pub fn write(swept: &Swept, folder: &Path) -> Result<()> {
    let charts = charts(swept);
    for (name, chart) in &charts {
        store::write(folder, &format!("curves/{name}.svg"), &chart.file())?;
    }
    let header = &swept.header;
    let title = format!("{} · sweep", header.scenario);
    let runs = swept.cells.len();
    let body = html! {
        h1 { (title) }
        p { (runs) " simulated runs from seed " (header.seed) ": " (header.vary.len()) " points, each with the same "
            "seeds. Whiskers are 95 % intervals. All packets count from the attack's first; completion is "
            "equality with the truth; medians count what never ended as larger than anything." }
        @if charts.is_empty() { p class="note" { "No axis of numbers, so nothing to draw: see summary.csv." } }
        @for (_, chart) in &charts { (chart.html()) }
    };
    store::write(folder, "sweep.html", &document(&title, &body))
}

/// All drawings by name.
pub fn charts(swept: &Swept) -> Vec<(String, Chart)> {
    let lines = lines(swept);
    let mut charts = vec![];
    let axes = &swept.header.vary.axes;
    let first = axes.iter().position(|a| a.values.len() > 1 && a.numbers().is_some());
    for id in DRAWN {
        let Some(axis) = first else { break };
        let curves = over_axis(swept, &lines, axis, id);
        if !curves.is_empty() && curves.len() <= MOST_CURVES {
            let about = find(id).map_or(id, |m| m.about);
            let how = if id == "packets_to_complete" { "median of " } else { "" };
            let title = format!("{how}{id}: {about}");
            let across = axes[axis].key.clone();
            let share = SHARES.contains(&id);
            let reach = axes[axis].numbers().unwrap_or_default();
            let chart = Chart { title, across, reach, share, curves };
            charts.push((id.replace('.', "-"), chart));
        }
    }
    let curves = over_packets(swept);
    if !curves.is_empty() && curves.len() <= MOST_CURVES {
        let title = "share of runs whose finding was the whole truth by then".to_owned();
        let across = "packets of the case, from the attack's first on".to_owned();
        let chart = Chart { title, across, reach: vec![], share: true, curves };
        charts.push(("completion".into(), chart));
    }
    charts
}

/// One curve for each scheme and each choice on the other axes.
fn over_axis(swept: &Swept, lines: &[Line], axis: usize, id: &str) -> Vec<Curve> {
    let axis = &swept.header.vary.axes[axis];
    let numbers = axis.numbers().unwrap_or_default();
    let mut curves: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for line in lines {
        let at = axis.values.iter().position(|v| line.at.get(&axis.key) == Some(v));
        let estimate = line.estimates.iter().find(|e| e.measure == id);
        let (Some(at), Some(e)) = (at, estimate) else { continue };
        let middle = if id == "packets_to_complete" { e.p50 } else { e.mean };
        let range = e.interval.map(|i| (i.low, i.high)).filter(|_| middle == e.mean);
        if let Some(y) = middle {
            let name = named(&line.scheme, &line.at, Some(&axis.key));
            curves.entry(name).or_default().push(Point { x: numbers[at], y, range });
        }
    }
    let curve = |(name, mut points): (String, Vec<Point>)| {
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        Curve { name, points, look: Look::Joined }
    };
    curves.into_iter().map(curve).collect()
}

/// The share of runs that were complete after so many packets; runs that never were keep it below 1.
fn over_packets(swept: &Swept) -> Vec<Curve> {
    let grid = &swept.header.vary;
    let mut all: BTreeMap<(usize, &str), Vec<Option<f64>>> = BTreeMap::new();
    for cell in swept.cells.iter().filter(|c| c.void.is_empty()) {
        for row in &cell.rows {
            if let Some(packets) = row.readings.get("packets_to_complete") {
                all.entry((cell.point, &row.scheme)).or_default().push(*packets);
            }
        }
    }
    let mut curves = vec![];
    for ((point, scheme), runs) in all {
        let mut ended: Vec<f64> = runs.iter().copied().flatten().collect();
        ended.sort_by(f64::total_cmp);
        let share = |i: usize| i as f64 / runs.len() as f64;
        let point_at = |x: f64, i: usize| Point { x, y: share(i), range: None };
        let step = |(i, x): (usize, &f64)| [point_at(*x, i), point_at(*x, i + 1)];
        let keys = grid.axes.iter().map(|a| a.key.clone());
        let at = keys.zip(grid.values(point).into_iter().map(String::from)).collect();
        let points: Vec<_> = ended.iter().enumerate().flat_map(step).collect();
        if !points.is_empty() {
            let name = named(scheme, &at, None);
            curves.push(Curve { name, points, look: Look::Joined });
        }
    }
    curves
}

/// A scheme with the values that tell its curve from others; the last word of each key is enough.
fn named(scheme: &str, at: &BTreeMap<String, String>, but: Option<&str>) -> String {
    let others = at.iter().filter(|(key, _)| Some(key.as_str()) != but);
    let word = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let parts = others.map(|(key, value)| format!(" {}={value}", word(key)));
    std::iter::once(scheme.to_owned()).chain(parts).collect()
}
