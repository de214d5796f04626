//! Histograms of the marking step and of the whole way, from agents' reports and senders' notes to the
//! summary and to `.hlog` files.

use crate::summary::Latency;
use crate::world::{Outcome, Traffic};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2Serializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use std::time::Duration;

/// Merges the histograms of all routers into one line of the summary.
///
/// # Errors
/// Where the histograms do not fit each other.
pub fn summarise(outcome: &Outcome) -> Result<Latency> {
    let mut all = Histogram::<u64>::new(3)?;
    for times in outcome.latency.values() {
        all.add(times)?;
    }
    if all.is_empty() {
        return Ok(Latency::absent("this world does not time the marking step"));
    }
    let (clock_cost, every) = (outcome.clock_cost_ns, outcome.sampled_1_in);
    Ok(Latency { clock_cost: Some(clock_cost), sampled_1_in: Some(every), ..distribution(&all) })
}

/// Times from sender to victim as a line of the summary.
pub fn end_to_end(traffic: &Traffic) -> Latency {
    match &traffic.delays {
        Some(delays) if !delays.is_empty() => distribution(delays),
        Some(_) => Latency::absent("no packet of the plan reached the victim"),
        None => Latency::absent("this world has no clock"),
    }
}

fn distribution(times: &Histogram<u64>) -> Latency {
    let at = |q: f64| Some(times.value_at_quantile(q));
    Latency {
        count: times.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        max: Some(times.max()),
        percentiles: percentiles(times),
        ..Latency::default()
    }
}

/// Quantiles in steps that look even on a tail axis, up to the last that a timed step lies above.
fn percentiles(times: &Histogram<u64>) -> Vec<(f64, u64)> {
    /// Shares above the quantile, in hundredths of the power of ten.
    const ABOVE: [u64; 10] = [100, 80, 65, 50, 40, 30, 25, 20, 15, 12];
    let powers = (2..12).map(|p| 10_u64.pow(p));
    let shares = powers.flat_map(|whole| ABOVE.map(|above| (above, whole)));
    shares
        .take_while(|(above, whole)| times.len().saturating_mul(*above) >= *whole)
        .map(|(above, whole)| {
            // Whole numbers divided once: the quantile prints as the short decimal that it is.
            let q = (whole - above) as f64 / whole as f64;
            (q, times.value_at_quantile(q))
        })
        .collect()
}

/// An HdrHistogram V2 log of the marking step with one tagged line for each router, or `None` where
/// nothing was timed.
///
/// # Errors
/// Where a histogram cannot be written.
pub fn log(outcome: &Outcome, seconds: f64) -> Result<Option<Vec<u8>>> {
    let times = outcome.latency.iter().map(|(router, times)| (router.to_string(), times));
    write("time of the marking step, in nanoseconds, by router", times.collect(), seconds)
}

/// The same of the times from sender to victim, with one line.
///
/// # Errors
/// As above.
pub fn end_to_end_log(traffic: &Traffic) -> Result<Option<Vec<u8>>> {
    let times = traffic.delays.iter().filter(|d| !d.is_empty()).map(|d| ("victim".into(), d));
    write("time from sender to victim, in nanoseconds", times.collect(), traffic.seconds)
}

fn write(
    what: &str,
    lines: Vec<(String, &Histogram<u64>)>,
    seconds: f64,
) -> Result<Option<Vec<u8>>> {
    if lines.is_empty() {
        return Ok(None);
    }
    let mut out = vec![];
    let mut serializer = V2Serializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment(&format!("Ashiato: {what}"))
        .begin_log_with(&mut out, &mut serializer)?;
    let length = Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    for (name, times) in &lines {
        let tag = Tag::new(name).context("a router's name is a lawful tag")?;
        writer
            .write_histogram(times, Duration::ZERO, length, Some(tag))
            .map_err(|e| anyhow::anyhow!("cannot write a histogram log: {e:?}"))?;
    }
    drop(writer);
    Ok(Some(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_end_where_the_count_does() {
        let mut times = Histogram::new(3).unwrap();
        assert!(percentiles(&times).is_empty());
        (1..=1000).for_each(|ns| times.record(ns).unwrap());
        let curve = percentiles(&times);
        assert_eq!(curve[..2], [(0.0, 1), (0.2, 200)]);
        assert_eq!(curve[curve.len() - 1], (0.999, 999));
        assert!(curve.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1));
    }
}
