//! Chance for many runs on many threads, the same whatever their number.

use super::row::SURE;
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
        self.those(name, 0..runs, one)
    }

    /// Samples of a number whose mean is judged to within `share` of itself: `runs` of them, and in full as many
    /// more as make that tolerance [`SURE`] standard errors wide.
    ///
    /// Source: Stein, Annals of Mathematical Statistics 16, 1945: the first samples say how many it takes, once, so
    /// that the number does not depend on how near the mean is to where it should be.
    pub fn sample_mean(
        &self,
        name: &str,
        runs: u64,
        share: f64,
        one: impl Fn(&mut Chance) -> Option<f64> + Sync,
    ) -> Vec<Option<f64>> {
        let mut samples = self.sample(name, runs, &one);
        if !self.quick {
            let enough = runs_for(&samples, share).min(MOST_TIMES * runs);
            samples.extend(self.those(name, runs..enough, &one));
        }
        samples
    }

    fn those<T: Send>(
        &self,
        name: &str,
        runs: std::ops::Range<u64>,
        one: impl Fn(&mut Chance) -> T + Sync,
    ) -> Vec<T> {
        let stream = self.stream(name);
        let run = |run: u64| one(&mut Chance(mix2(stream, run)));
        runs.into_par_iter().map(run).collect()
    }

    /// A seed of its own for a name.
    pub fn stream(&self, name: &str) -> u64 {
        name.bytes().fold(mix(self.seed), |stream, byte| mix2(stream, byte.into()))
    }
}

/// Samples that make `share` of their mean [`SURE`] standard errors wide, and a tenth more, since the spread is
/// an estimate; none where a run did not end, which no number of others would mend.
fn runs_for(samples: &[Option<f64>], share: f64) -> u64 {
    let Some(samples) = samples.iter().copied().collect::<Option<Vec<f64>>>() else { return 0 };
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (count - 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let runs = (1.1 * variance * (SURE / (share * mean)).powi(2)).ceil() as u64;
    runs
}

/// More runs than so many times the first are not worth their time: the row then says how narrow its tolerance is.
const MOST_TIMES: u64 = 64;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_added_until_the_tolerance_is_wide_enough() {
        let full = Sampling { seed: 1, quick: false };
        // An exponential: its standard deviation is its mean.
        let one =
            |chance: &mut Chance| Some(-f64::from(chance.draw()).max(1.0).ln() + 32.0 * 2_f64.ln());
        let samples = full.sample_mean("x", 2_000, 0.05, one);
        assert!((9_000..13_000).contains(&samples.len()), "{}", samples.len());
        // The first are those that fewer runs would have been.
        assert_eq!(samples[..2_000], full.sample("x", 2_000, one));
        assert_eq!(full.sample_mean("x", 2_000, 0.2, one).len(), 2_000);
        let quick = Sampling { quick: true, ..full };
        assert_eq!(quick.sample_mean("x", 200, 0.01, one).len(), 200);
        let open = |chance: &mut Chance| chance.happens(0.9).then_some(1.0);
        assert_eq!(full.sample_mean("x", 200, 0.01, open).len(), 200);
    }
}
