//! Medians, raw numbers on disk, and the JSON that every benchmark prints.

use anyhow::Context;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The middle value; 0 where there is none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, high) =
        (values.get(values.len().saturating_sub(1) / 2), values.get(values.len() / 2));
    low.zip(high).map_or(0.0, |(low, high)| f64::midpoint(*low, *high))
}

/// The same with so many decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let scale = 10_f64.powi(decimals);
    (value * scale).round() / scale
}

/// How steeply points rise, by least squares.
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| points.iter().map(f).sum::<f64>() / n;
    let (x, y) = (mean(|p| p.0), mean(|p| p.1));
    let (up, down) = points
        .iter()
        .fold((0.0, 0.0), |(up, down), p| (up + (p.0 - x) * (p.1 - y), down + (p.0 - x).powi(2)));
    up / down
}

/// The most memory that this process held so far, in MiB.
///
/// # Errors
/// Where the kernel does not say.
pub fn most_held_mib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

/// Keeps a run: raw numbers as CSV files, and the summary.
///
/// # Errors
/// When the folder cannot be written.
pub fn keep(out: &Path, files: &[(&str, String)], summary: &Value) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    for (name, text) in files {
        fs::write(out.join(name), text).with_context(|| format!("write {name}"))?;
    }
    fs::write(out.join("summary.json"), format!("{summary}\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_lies_between_the_middle_two() {
        assert!((median(vec![4.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median(vec![]).abs() < 1e-9);
    }
}
