//! Where a run came from: versions, kernel, processor. Host facts live here and not in the plan.

use super::Options;
use crate::plan::Plan;
use serde_json::{Value, json};
use std::fs;

/// Gathers what another lab needs to know to repeat the run.
pub(super) fn gather(plan: &Plan, options: &Options<'_>) -> Value {
    let read = |path: &str| fs::read_to_string(path).map(|t| t.trim().to_string()).ok();
    let cpu = read("/proc/cpuinfo").and_then(|text| {
        let line = text.lines().find(|l| l.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_string())
    });
    json!({
        "ashiato": env!("CARGO_PKG_VERSION"),
        "world": options.world,
        "datapath": options.datapath,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "seed": plan.seed,
        "plan_sha256": plan.sha256(),
        "schemes": plan.schemes,
    })
}
