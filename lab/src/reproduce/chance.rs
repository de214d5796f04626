//! Chance for many runs on many threads, the same whatever their number.

use rayon::prelude::*;
use traceback::invariant::{mix, mix2};
use traceback::stats;

/// How much is measured, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Seed of all chance.
    pub seed: u64,
    /// Fewer runs.
    pub quick: bool,
}

impl Sampling {
    /// The number of runs.
    pub fn runs(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// Does runs on all threads; results are in the order of the runs.
    pub fn sample<T: Send>(
        &self,
        name: &str,
        runs: u64,
        one: impl Fn(&mut Chance) -> T + Sync,
    ) -> Vec<T> {
        let stream = self.stream(name);
        let run = |run: u64| one(&mut Chance(mix2(stream, run)));
        (0..runs).into_par_iter().map(run).collect()
    }

    /// A seed of its own for a name.
    pub fn stream(&self, name: &str) -> u64 {
        name.bytes().fold(mix(self.seed), |stream, byte| mix2(stream, byte.into()))
    }
}

/// SplitMix64: a stream of random words.
///
/// Source: Steele, Lea, Flood, OOPSLA 2014.
#[derive(Debug, Clone, Copy)]
pub struct Chance(pub u64);

impl Chance {
    /// 64 random bits.
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 32 random bits, as a router draws them.
    pub fn draw(&mut self) -> u32 {
        (self.word() >> 32) as u32
    }

    /// 8 random bits.
    pub fn byte(&mut self) -> u8 {
        (self.word() >> 56) as u8
    }

    /// A number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        stats::below(self.word(), n)
    }

    /// Whether an event of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        f64::from(self.draw()) < probability * 2_f64.powi(32)
    }
}
