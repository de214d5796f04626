//! Histograms of the marking step, as the programs keep them: two significant digits up to a second.

use super::layout::{CELLS, HALF};
use crate::latency::Nanoseconds;

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
