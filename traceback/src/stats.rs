//! What samples say: moments, quantiles, and intervals that are honest about their number.
//!
//! Nothing here draws from chance by itself: resampling is a function of its seed.

use crate::invariant::mix2;

/// A count from a float that holds a whole number; negatives and NaN give 0, the rest saturates.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub(crate) fn whole(x: f64) -> u64 {
    x as u64
}

/// A count as a float.
#[allow(clippy::cast_precision_loss, reason = "counts and sizes need 53 bits at most")]
pub(crate) fn real(n: u64) -> f64 {
    n as f64
}

/// A point estimate's range.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies inside, ends included.
    pub fn holds(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether two intervals share a point.
    pub fn meets(&self, other: &Self) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

/// What is estimated from samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// [`quantile`] at this probability.
    Quantile(f64),
}

impl Statistic {
    /// The estimate; `None` without samples.
    pub fn of(self, samples: &[f64]) -> Option<f64> {
        match self {
            Self::Mean => mean(samples),
            Self::Quantile(probability) => quantile(samples, probability),
        }
    }
}

/// Arithmetic mean; `None` without samples.
pub fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / count(samples.len()))
}

/// The sample's quantile of type 7 (linear between order statistics, `(n-1) p` counted from 0, as
/// R and NumPy do by default); `None` without samples. `probability` is clamped to 0 ..= 1.
pub fn quantile(samples: &[f64], probability: f64) -> Option<f64> {
    quantile_of(&mut samples.to_vec(), probability)
}

/// The middle sample, or the mean of the middle two; `None` without samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    quantile(samples, 0.5)
}

/// Wilson's score interval for a proportion, `level` being the probability that it covers (0.95).
/// The whole of 0 ..= 1 without trials.
///
/// Source: Wilson, JASA 22, 1927.
pub fn wilson(successes: u64, trials: u64, level: f64) -> Interval {
    if trials == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (n, z) = (real(trials), two_sided(level));
    let share = real(successes.min(trials)) / n;
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
}

/// Wilson's interval for the rate of rare events in `exposure` units, seen `events` times: the score
/// interval of a Poisson count.
pub fn poisson_rate(events: u64, exposure: f64, level: f64) -> Interval {
    let (x, z) = (real(events), two_sided(level));
    let (centre, half) = (x + z * z / 2.0, z * (x + z * z / 4.0).sqrt());
    Interval { low: (centre - half).max(0.0) / exposure, high: (centre + half) / exposure }
}

/// Percentile bootstrap of a statistic: the middle `level` of it over `resamples` resamplings with
/// replacement. A function of its arguments alone. `None` without samples or resamples.
///
/// Source: Efron, Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
pub fn bootstrap(
    samples: &[f64],
    statistic: Statistic,
    resamples: u32,
    level: f64,
    seed: u64,
) -> Option<Interval> {
    let n = u64::try_from(samples.len()).ok().filter(|n| *n > 0)?;
    let mut drawn = vec![0.0; samples.len()];
    let mut estimates = Vec::with_capacity(resamples as usize);
    for round in 0..u64::from(resamples) {
        for (i, slot) in (round * n..).zip(drawn.iter_mut()) {
            *slot = samples[below(mix2(seed, i), samples.len())];
        }
        estimates.push(match statistic {
            Statistic::Mean => mean(&drawn)?,
            Statistic::Quantile(probability) => quantile_of(&mut drawn, probability)?,
        });
    }
    let tail = (1.0 - level) / 2.0;
    let low = quantile(&estimates, tail)?;
    Some(Interval { low, high: quantile(&estimates, 1.0 - tail)? })
}

/// The largest distance between the empirical distribution functions of two samples, in 0 ..= 1; infinite
/// values are largest. `None` where one is empty.
///
/// Source: Smirnov, Bulletin of Moscow University 2(2), 1939.
pub fn distance(a: &[f64], b: &[f64]) -> Option<f64> {
    let mut all: Vec<(f64, bool)> =
        a.iter().map(|x| (*x, true)).chain(b.iter().map(|x| (*x, false))).collect();
    all.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut of_a, mut far) = (0, 0.0_f64);
    for (i, (value, is_a)) in all.iter().enumerate() {
        of_a += usize::from(*is_a);
        // Equal values are one step.
        if all.get(i + 1).is_none_or(|next| next.0.total_cmp(value).is_ne()) {
            let shares = count(of_a) / count(a.len()) - count(i + 1 - of_a) / count(b.len());
            far = far.max(shares.abs());
        }
    }
    Some(far)
}

/// The chance that two samples of one law are as far apart as these, by shuffling who is whose: exact in
/// expectation for any law, ties included. Never 0: the samples themselves are one of the shuffles. A
/// function of its arguments alone. `None` where one sample is empty.
///
/// Source: Phipson, Smyth, Statistical Applications in Genetics and Molecular Biology 9(1), 2010.
pub fn chance_of_distance(a: &[f64], b: &[f64], shuffles: u32, seed: u64) -> Option<f64> {
    let seen = distance(a, b)?;
    let mut all: Vec<f64> = a.iter().chain(b).copied().collect();
    let (n, mut as_far) = (all.len(), 1_u64);
    for round in 0..u64::from(shuffles) {
        for (i, from) in (round * n as u64..).zip((1..n).rev()) {
            all.swap(from, below(mix2(seed, i), from + 1));
        }
        let (x, y) = all.split_at(a.len());
        // Shares of unlike sizes differ in their last bits.
        as_far += u64::from(distance(x, y)? >= seen - 1e-9);
    }
    Some(real(as_far) / real(u64::from(shuffles) + 1))
}

/// A number below `n` from 64 random bits, without division.
///
/// Source: Lemire, ACM TOMACS 29(1), 2019, without its rejection step: the bias is below n / 2^64.
pub fn below(bits: u64, n: usize) -> usize {
    usize::try_from((u128::from(bits) * n as u128) >> 64).unwrap_or(0)
}

/// The standard normal quantile that leaves `(1 - level) / 2` on each side, by bisection of its
/// distribution function.
fn two_sided(level: f64) -> f64 {
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if inside(middle) < level {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Probability that a standard normal variable lies within `z` of 0, by its series in odd powers,
/// all of whose terms are positive.
///
/// Source: Abramowitz, Stegun, 1964, 26.2.11.
fn inside(z: f64) -> f64 {
    if z > 9.0 {
        return 1.0;
    }
    let (mut term, mut sum, mut odd) = (z, z, 1.0);
    while term > sum * 1e-17 {
        odd += 2.0;
        term *= z * z / odd;
        sum += term;
    }
    2.0 * sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

fn quantile_of(samples: &mut [f64], probability: f64) -> Option<f64> {
    let last = samples.len().checked_sub(1)?;
    let at = count(last) * probability.clamp(0.0, 1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ..= last")]
    let index = (at.floor() as usize).min(last);
    let (_, value, above) = samples.select_nth_unstable_by(index, f64::total_cmp);
    let value = *value;
    let next = above.iter().copied().reduce(f64::min).unwrap_or(value);
    Some(value + (at - count(index)) * (next - value))
}

fn count(n: usize) -> f64 {
    real(n as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_type_7() {
        let samples = [4.0, 1.0, 3.0, 2.0];
        assert_eq!(median(&samples), Some(2.5));
        assert_eq!(quantile(&samples, 0.25), Some(1.75));
        assert_eq!((quantile(&samples, 0.0), quantile(&samples, 2.0)), (Some(1.0), Some(4.0)));
        assert_eq!(median(&[7.0]), Some(7.0));
        assert_eq!((mean(&[]), median(&[])), (None, None));
    }

    #[test]
    fn wilson_as_published() {
        // Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263, 0 of 20, 1 of 29.
        for (x, n, low, high) in
            [(81, 263, 0.2553, 0.3662), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let got = wilson(x, n, 0.95);
            assert!((got.low - low).abs() < 6e-5 && (got.high - high).abs() < 6e-5, "{got:?}");
        }
        assert_eq!(wilson(0, 0, 0.95), Interval { low: 0.0, high: 1.0 });
        assert!((two_sided(0.99) - 2.575_829_303_548_901).abs() < 1e-9);
    }

    #[test]
    fn distances_of_samples() {
        assert_eq!(distance(&[1.0, 2.0], &[3.0]), Some(1.0));
        assert_eq!(distance(&[1.0, 2.0, 2.0], &[2.0, 1.0, 2.0]), Some(0.0));
        let apart = distance(&[1.0, 2.0, 3.0, f64::INFINITY], &[1.0, f64::INFINITY]).unwrap();
        assert!((apart - 0.25).abs() < 1e-12, "{apart}");
        assert_eq!(distance(&[], &[1.0]), None);
    }

    #[test]
    fn samples_of_one_law_are_seldom_called_different() {
        let draws = |seed: u64, step: u64| -> Vec<f64> {
            (0..40).map(|i| real(mix2(seed, i) % 6 + step)).collect()
        };
        // Few values, many ties: at 5 %, about 10 of 200 pairs of equal dice are called different.
        let called = |step| {
            let pairs = (0..200).map(|i| (draws(2 * i, 0), draws(2 * i + 1, step)));
            pairs.filter(|(a, b)| chance_of_distance(a, b, 199, 7).unwrap() <= 0.05).count()
        };
        assert!((2..=20).contains(&called(0)), "{}", called(0));
        assert!(called(2) > 190, "{}", called(2));
    }

    #[test]
    fn the_bootstrap_covers_as_often_as_it_says() {
        // Exponential samples, mean 1, median ln 2: 95 % intervals must cover about 95 times of 100.
        let exponential = |seed: u64| -> Vec<f64> {
            let draw = |i| real((mix2(seed, i) >> 11) + 1) / 2_f64.powi(53);
            (0..400).map(|i| -f64::ln(draw(i))).collect()
        };
        for (statistic, truth) in
            [(Statistic::Mean, 1.0), (Statistic::Quantile(0.5), std::f64::consts::LN_2)]
        {
            let covers = |seed: &u64| {
                bootstrap(&exponential(*seed), statistic, 400, 0.95, *seed).unwrap().holds(truth)
            };
            let covered = (0..200_u64).filter(covers).count();
            // Three standard deviations of a binomial of 200 and 0.95 are 9.2, and the percentile
            // method is known to cover slightly less than it says.
            assert!((178..=200).contains(&covered), "{statistic:?}: {covered} of 200");
        }
    }

    #[test]
    fn resampling_depends_on_its_seed_alone() {
        let samples = [1.0, 5.0, 2.0, 8.0, 3.0];
        let draw = |seed| bootstrap(&samples, Statistic::Mean, 100, 0.9, seed);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_eq!(bootstrap(&[], Statistic::Mean, 100, 0.9, 1), None);
    }

    #[test]
    fn rates_of_rare_events() {
        let none = poisson_rate(0, 1_000.0, 0.95);
        assert!(none.low.abs() < 1e-12 && (none.high - 0.003_84).abs() < 1e-4, "{none:?}");
        assert!(poisson_rate(100, 1_000.0, 0.95).holds(0.1));
        assert!(poisson_rate(5, 1.0, 0.95).meets(&Interval { low: 9.0, high: 20.0 }));
    }
}
