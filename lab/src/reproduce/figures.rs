//! Papers' figures drawn again: what was measured, the exact law, and the paper's own points, in one drawing.
//!
//! Points come from rows that were measured, laws from their formulas at every length between. A figure is
//! drawn where a row of it was measured. Beside every `NAME.svg` lies `NAME.csv` with all of its numbers.

use super::as_graph::AsGraph;
use super::chance::Sampling;
use super::{Row, deployment, fms, pint, ppm};
use crate::report::chart::{Chart, Curve, Look, Point};
use anyhow::{Context, Result};
use std::path::Path;
use traceback::law::{Coupon, Hops};

/// Draws every figure of which some row was measured.
pub fn charts(rows: &[Row], given: Option<&AsGraph>, sampling: &Sampling) -> Vec<(String, Chart)> {
    let measured = |family: &str| rows.iter().any(|row| row.id.starts_with(family));
    let mut charts = vec![];
    if measured("fms-d") {
        charts.push(("savage2000-figure-10".to_owned(), savage(rows)));
    }
    if measured("pint-k") {
        charts.push(("pint2020-figure-10".to_owned(), pint(rows)));
    }
    if measured("deployment") {
        charts.extend(deployment::charts(given, sampling));
    }
    // What was not measured this time has no name in the figure either.
    charts.iter_mut().for_each(|(_, chart)| chart.curves.retain(|c| !c.points.is_empty()));
    charts
}

/// Writes rows and figures into a folder.
///
/// # Errors
/// Where the disk refuses.
pub fn write(folder: &Path, rows: &[Row], charts: &[(String, Chart)]) -> Result<()> {
    let write = |name: String, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    write("rows.csv".into(), super::print::csv(rows))?;
    for (name, chart) in charts {
        write(format!("{name}.svg"), chart.file())?;
        write(format!("{name}.csv"), chart.csv())?;
    }
    Ok(())
}

/// Savage's figure 10: packets until a path stands, against its length.
fn savage(rows: &[Row]) -> Chart {
    let value = |law: &Coupon, word| match word {
        "p95" => law.quantile(0.95).into(),
        "median" => law.quantile(0.5).into(),
        _ => law.mean(),
    };
    let mut curves = vec![];
    for (colour, word) in ["p95", "mean", "median"].into_iter().enumerate() {
        let at = |d: u8| (f64::from(d), value(&fms::packets_law(d), word));
        curves.push(line(format!("{word} by law"), colour, (1..=31).map(at)));
        curves.push(dots(format!("{word} ours"), colour, rows, "fms-d", &format!("-{word}")));
        let paper = fms::FIGURE_10.iter();
        let which = ["mean", "median", "p95"].iter().position(|w| *w == word).unwrap_or(0);
        let points = paper.map(|(d, figures)| (f64::from(*d), figures[which]));
        curves.push(crosses(format!("{word} in the paper"), colour, points));
    }
    Chart {
        title: "packets until a path stands, FMS at p = 1/25 (Savage et al. 2000, figure 10)"
            .into(),
        across: "path length in routers".into(),
        reach: vec![0.0, 33.0],
        share: false,
        curves,
    }
}

/// PINT's figure 10(a): packets until a path stands, for PINT and for reservoir sampling.
fn pint(rows: &[Row]) -> Chart {
    let uniform = |cells, need| {
        let law = move |k: u8| Coupon::new(Hops::Uniform, k.into(), cells, need).ok();
        (2..=59).filter_map(move |k| Some((f64::from(k), law(k)?.mean())))
    };
    let paper = |figures: &[(u8, f64)]| {
        figures.iter().map(|(k, mean)| (f64::from(*k), *mean)).collect::<Vec<_>>()
    };
    let mut sampled = dots("reservoir PPM ours".into(), 0, rows, "dppm-d", "-mean");
    let longer = dots(String::new(), 0, rows, "dppm-model-k", "-mean");
    sampled.points.extend(longer.points);
    Chart {
        title: "mean packets until a path stands, 16 bits a packet (PINT 2020, figure 10a)".into(),
        across: "path length in switches".into(),
        reach: vec![0.0, 62.0],
        share: false,
        curves: vec![
            line("reservoir PPM by law".into(), 0, uniform(8, 8)),
            sampled,
            crosses("reservoir PPM in the paper".into(), 0, paper(ppm::FIGURE_10)),
            line("AMS II T = 6 by law".into(), 1, uniform(8, 6)),
            line("AMS II T = 5 by law".into(), 3, uniform(8, 5)),
            dots("PINT 2 x 8 bits ours".into(), 2, rows, "pint-k", "-mean"),
            crosses("PINT 2 x 8 bits in the paper".into(), 2, paper(pint::FIGURE_10)),
        ],
    }
}

fn line(name: String, colour: usize, points: impl Iterator<Item = (f64, f64)>) -> Curve {
    let points = points.map(|(x, y)| Point { x, y, range: None }).collect();
    Curve { name, points, look: Look::Line(colour) }
}

fn crosses(name: String, colour: usize, points: impl IntoIterator<Item = (f64, f64)>) -> Curve {
    Curve { look: Look::Crosses(colour), ..line(name, colour, points.into_iter()) }
}

/// Rows that are called `family`, a length, and `word`.
fn dots(name: String, colour: usize, rows: &[Row], family: &str, word: &str) -> Curve {
    let point = |row: &Row| {
        let length: u8 = row.id.strip_prefix(family)?.strip_suffix(word)?.parse().ok()?;
        Some(Point { x: length.into(), y: row.ours?, range: row.low.zip(row.high) })
    };
    let mut points: Vec<Point> = rows.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    Curve { name, points, look: Look::Dots(colour) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_law_paper_and_what_was_measured() {
        let row = |id: &str, ours| Row {
            id: id.into(),
            paper: None,
            law: None,
            ours,
            low: Some(1.0),
            high: Some(2.0),
            runs: 1,
            met: true,
            gate: String::new(),
            why: None,
        };
        let rows = [
            row("fms-d10-mean", Some(1_230.0)),
            row("fms-d5-unmarked", Some(0.8)),
            row("pint-k5-mean", None),
        ];
        let sampling = Sampling { seed: 1, quick: true };
        let charts = charts(&rows, None, &sampling);
        assert_eq!(charts.len(), 2);
        let csv = charts[0].1.csv();
        assert!(
            csv.contains("mean ours,10,1230,1,2") && csv.contains("p95 in the paper,32"),
            "{csv}"
        );
        assert!(charts[1].1.file().contains("reservoir PPM"));
    }
}
