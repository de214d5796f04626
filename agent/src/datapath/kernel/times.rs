//! Histograms of the marking step, as the programs keep them: two significant digits up to a second; and what
//! timing it costs.

use super::layout::{CELLS, HALF, PortEntry, Setting};
use super::program::{Hook, Program};
use crate::latency::{self, Nanoseconds};
use anyhow::Context;
use aya::{TestRun, TestRunOptions};
use std::sync::OnceLock;
use traceback::{Place, RouterId, schemes};

/// The smallest value that a cell counts, in nanoseconds.
pub fn value_of(cell: usize) -> u64 {
    // Cells 0..256 count single nanoseconds; then every HALF cells the width doubles.
    let shift = (cell / HALF).saturating_sub(1);
    ((cell - shift * HALF) as u64) << shift
}

/// Adds what a histogram's cells counted since they had the values in `before`, which become current.
///
/// `counts` are the cells summed over processors, [`CELLS`] of them.
pub fn add_new(counts: &[u64], before: &mut [u64], to: &mut Nanoseconds) {
    debug_assert_eq!(counts.len(), CELLS);
    for ((cell, now), before) in (0..).zip(counts).zip(before) {
        let grown = now.saturating_sub(*before);
        if grown > 0 {
            // Zero is below what the histogram tells apart; it counts as one nanosecond.
            to.saturating_record_n(value_of(cell).max(1), grown);
        }
        *before = *now;
    }
}

/// What two looks at the kernel's clock cost, in nanoseconds; at this process's own where the kernel
/// takes no trial. Measured once for all vantages of this process.
pub fn clock_cost(who: &str, setting: &Setting) -> u64 {
    static COST: OnceLock<u64> = OnceLock::new();
    *COST.get_or_init(|| {
        trial_of_clock(setting).unwrap_or_else(|e| {
            tracing::warn!("{who}: the clock's cost in the kernel is unknown: {e:#}");
            latency::clock_cost()
        })
    })
}

/// What two looks at the kernel's clock with nothing between read as: the median of many, taken by the
/// program that marks nothing over packets that go nowhere.
fn trial_of_clock(setting: &Setting) -> anyhow::Result<u64> {
    // The kernel runs trials as if packets came in by the loopback, whose address is all zeros.
    let loopback = 1;
    let scheme = schemes::entry("none")?.build(&serde_json::json!({}))?;
    let place = Place { id: RouterId(setting.me), index: 0, degree: 0, asn: 0 };
    let setting = Setting { every: 1, forwards: 0, quiet: 0, ahead: 0, ..*setting };
    let mut program = Program::load(Hook::Xdp, &*scheme, &place, &setting, &[loopback])?;
    program.set_port(loopback, PortEntry { known: 1, ..PortEntry::default() })?;
    let mut frame = vec![0; 12];
    frame.extend([8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0]);
    frame.extend([198, 18, 1, 2, 198, 18, 2, 2]);
    let check = traceback::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame.extend([0, 9, 0, 9, 0, 8, 0, 0]);
    let trial = TestRunOptions { data_in: Some(&frame), repeat: 4000, ..TestRunOptions::new() };
    program.xdp()?.test_run(trial).context("run a program in the kernel")?;
    let cells = program.times().context("read the clock's histogram")?;
    let mut histogram = latency::empty();
    add_new(&cells, &mut vec![0; cells.len()], &mut histogram);
    Ok(histogram.value_at_quantile(0.5))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's own rule, `record_time` of `state.h`.
    fn cell_of(value: u64) -> usize {
        let shift = (64 - value.leading_zeros() as usize).saturating_sub(8);
        shift * HALF + usize::try_from(value >> shift).unwrap()
    }

    #[test]
    fn cells_keep_two_digits() {
        for value in (0..5000).chain([65_535, 1_000_000, 123_456_789, (1 << 30) - 1]) {
            let cell = cell_of(value);
            assert!(cell < CELLS, "{value}");
            let low = value_of(cell);
            assert!(low <= value && value - low <= value / 128, "{value} counts as {low}");
        }
    }
}
