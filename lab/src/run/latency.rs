//! Histograms of the marking step, from agents' reports to the summary and to `.hlog` files.

use crate::summary::Latency;
use crate::world::Outcome;
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
    let at = |q: f64| Some(all.value_at_quantile(q));
    Ok(Latency {
        count: all.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p99_9: at(0.999),
        max: Some(all.max()),
        clock_cost: Some(outcome.clock_cost_ns),
        sampled_1_in: Some(outcome.sampled_1_in),
        why: None,
    })
}

/// An HdrHistogram V2 log with one tagged line for each router, or `None` where nothing was timed.
///
/// # Errors
/// Where a histogram cannot be written.
pub fn log(outcome: &Outcome, seconds: f64) -> Result<Option<Vec<u8>>> {
    if outcome.latency.is_empty() {
        return Ok(None);
    }
    let mut out = vec![];
    let mut serializer = V2Serializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("Ashiato: time of the marking step, in nanoseconds, by router")
        .begin_log_with(&mut out, &mut serializer)?;
    let length = Duration::from_secs_f64(seconds.clamp(0.0, 1e9));
    for (router, times) in &outcome.latency {
        let name = router.to_string();
        let tag = Tag::new(&name).context("a router's name is a lawful tag")?;
        writer
            .write_histogram(times, Duration::ZERO, length, Some(tag))
            .map_err(|e| anyhow::anyhow!("cannot write a histogram log: {e:?}"))?;
    }
    drop(writer);
    Ok(Some(out))
}
