//! Estimates, differences block by block, and orders that the data allow.

use super::facts::{BLOCKS_TO_RANK, RUNS_FOR_A_MEAN, RUNS_FOR_P99};
use super::measure::{Better, COMPLETE, Measure, Reading};
use serde::Serialize;
use traceback::stats::{Interval, Statistic, bootstrap, mean, quantile, wilson};

/// Probability that intervals of one measure cover, all of its differences together.
pub const LEVEL: f64 = 0.95;
/// Resamplings; more where many differences share [`LEVEL`], to reach its tails.
const RESAMPLES: f64 = 1_000.0;
const MOST_RESAMPLES: f64 = 20_000.0;

/// One measure of one contender over all blocks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The measure.
    pub measure: &'static str,
    /// Blocks where it exists.
    pub n: usize,
    /// Blocks where it had not happened when the packets ended.
    pub censored: usize,
    /// Mean; null where a block is censored.
    pub mean: Option<f64>,
    /// Its 95 % interval by bootstrap over blocks; null with fewer than two.
    pub interval: Option<Interval>,
    /// Median, censored blocks last; null where it is one of them.
    pub p50: Option<f64>,
    /// 95th percentile, likewise.
    pub p95: Option<f64>,
    /// 99th percentile, likewise; null with fewer blocks than it asks for.
    pub p99: Option<f64>,
    /// Whether there are enough runs for a mean to be published.
    pub settled: bool,
    /// Why a number is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Estimate {
    /// From readings by block; `None` where no block has one.
    pub(crate) fn of(measure: &Measure, readings: &[Reading]) -> Option<Self> {
        let present: Vec<f64> = readings.iter().filter_map(|r| last(*r)).collect();
        let n = present.len();
        let numbers: Vec<f64> = present.iter().copied().filter(|x| x.is_finite()).collect();
        let censored = n - numbers.len();
        let at = |q| quantile(&present, q).filter(|x| x.is_finite());
        let whole = censored == 0 && n > 0;
        let interval = (whole && n > 1).then(|| interval(measure, &numbers)).flatten();
        let why = [
            (censored > 0).then(|| format!("{censored} of {n} censored, so there is no mean")),
            (n < 2).then(|| "one block has no interval".to_owned()),
            (n < RUNS_FOR_P99).then(|| format!("a p99 asks for {RUNS_FOR_P99} runs")),
        ];
        let why: Vec<String> = why.into_iter().flatten().collect();
        (n > 0).then(|| Self {
            measure: measure.id,
            n,
            censored,
            mean: if whole { mean(&numbers) } else { None },
            interval,
            p50: at(0.5),
            p95: at(0.95),
            p99: if n < RUNS_FOR_P99 { None } else { at(0.99) },
            settled: n >= RUNS_FOR_A_MEAN,
            why: (!why.is_empty()).then(|| why.join("; ")),
        })
    }
}

/// A reading as a number to sort by; censored ones are last.
fn last(reading: Reading) -> Option<f64> {
    match reading {
        Reading::Is(number) => Some(number),
        Reading::Censored => Some(f64::INFINITY),
        Reading::Absent => None,
    }
}

/// Wilson's for what happens or not, whose resampling says nothing where all runs are equal; else the
/// bootstrap.
fn interval(measure: &Measure, numbers: &[f64]) -> Option<Interval> {
    if measure.id == COMPLETE && numbers.iter().all(|x| matches!(*x, 0.0 | 1.0)) {
        let ones = numbers.iter().filter(|x| **x > 0.0).count();
        return Some(wilson(ones as u64, numbers.len() as u64, LEVEL));
    }
    resampled(numbers, LEVEL)
}

/// The interval of a mean over blocks.
fn resampled(numbers: &[f64], level: f64) -> Option<Interval> {
    let resamples = (RESAMPLES * 0.1 / (1.0 - level)).clamp(RESAMPLES, MOST_RESAMPLES);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    bootstrap(numbers, Statistic::Mean, resamples as u32, level, SEED)
}

/// Resampling is no chance of the experiment, so its seed is nobody's choice.
const SEED: u64 = 1993;

/// The difference of two contenders in one measure, over blocks that hold both.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The measure.
    pub measure: &'static str,
    /// One.
    pub a: String,
    /// The other.
    pub b: String,
    /// Blocks that hold both.
    pub n: usize,
    /// Blocks where one or both are censored: they count as wins, not in the difference.
    pub censored: usize,
    /// Mean of a minus b; null where a block is censored.
    pub difference: Option<f64>,
    /// Interval of the difference; those of one measure hold together with 95 %.
    pub interval: Option<Interval>,
    /// Blocks where a is better, b is better, and neither.
    pub a_better: usize,
    /// See above.
    pub b_better: usize,
    /// See above.
    pub ties: usize,
    /// Who is better, where the data tell; null where they do not, or nothing is better or worse.
    pub better: Option<String>,
    /// Why nobody is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

type Columns<'a> = Vec<(&'a str, &'a [Reading])>;

/// Differences of every two contenders that have the measure.
pub(super) fn pairs(measure: &Measure, columns: &Columns<'_>) -> Vec<Pair> {
    let has = |c: &&(&str, &[Reading])| c.1.iter().any(|r| *r != Reading::Absent);
    let columns: Vec<_> = columns.iter().filter(has).collect();
    let count = (columns.len() * columns.len().saturating_sub(1) / 2).max(1);
    let level = 1.0 - (1.0 - LEVEL) / count as f64;
    let mut pairs = vec![];
    for (i, a) in columns.iter().enumerate() {
        for b in &columns[i + 1..] {
            pairs.push(pair(measure, **a, **b, level));
        }
    }
    pairs
}

fn pair(measure: &Measure, a: (&str, &[Reading]), b: (&str, &[Reading]), level: f64) -> Pair {
    let both: Vec<(f64, f64)> =
        a.1.iter().zip(b.1).filter_map(|(a, b)| Some((last(*a)?, last(*b)?))).collect();
    let (n, less) = (both.len(), both.iter().filter(|(a, b)| a < b).count());
    let more = both.iter().filter(|(a, b)| a > b).count();
    let (a_better, b_better) = match measure.better {
        Better::Less => (less, more),
        Better::More | Better::Neither => (more, less),
    };
    let open = both.iter().filter(|(a, b)| a.is_infinite() || b.is_infinite()).count();
    let differences: Vec<f64> = both.iter().map(|(a, b)| a - b).collect();
    let whole = open == 0 && n > 0;
    let range = (whole && n > 1).then(|| resampled(&differences, level)).flatten();
    let told = match (measure.better, n >= BLOCKS_TO_RANK) {
        (Better::Neither, _) => Err("neither way is better".to_owned()),
        (_, false) => Err(format!("{n} blocks of the {BLOCKS_TO_RANK} that an order asks for")),
        _ if less + more == 0 => Err("equal in every block".to_owned()),
        _ => tell(measure, range, (a_better, b_better), level),
    };
    let name = |a_is: bool| if a_is { a.0.to_owned() } else { b.0.to_owned() };
    Pair {
        measure: measure.id,
        a: a.0.into(),
        b: b.0.into(),
        n,
        censored: open,
        difference: if whole { mean(&differences) } else { None },
        interval: range,
        a_better,
        b_better,
        ties: n - less - more,
        better: told.clone().ok().map(name),
        why: told.err(),
    }
}

/// Whether a is better, by the interval of the mean difference; where blocks are censored, by the
/// share of blocks that each wins.
fn tell(
    measure: &Measure,
    range: Option<Interval>,
    (a, b): (usize, usize),
    level: f64,
) -> Result<bool, String> {
    let (range, middle, a_is_above) = match range {
        Some(range) => (range, 0.0, measure.better == Better::More),
        None => (wilson(a as u64, (a + b) as u64, level), 0.5, true),
    };
    if range.low > middle {
        Ok(a_is_above)
    } else if range.high < middle {
        Ok(!a_is_above)
    } else {
        Err("cannot be told apart".into())
    }
}

/// An order by one measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranking {
    /// The measure.
    pub measure: &'static str,
    /// The best first; null where the data allow no order.
    pub order: Option<Vec<String>>,
    /// Why they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The order, where every neighbour in it is told from the next; `None` where the measure has no
/// better and worse, or fewer than two contenders have it.
pub(super) fn rank(measure: &Measure, columns: &Columns<'_>, pairs: &[Pair]) -> Option<Ranking> {
    let mut order: Vec<(&str, Estimate)> =
        columns.iter().filter_map(|(name, r)| Some((*name, Estimate::of(measure, r)?))).collect();
    if measure.better == Better::Neither || order.len() < 2 {
        return None;
    }
    let sign = if measure.better == Better::More { -1.0 } else { 1.0 };
    let place = |e: &Estimate| {
        let middle = if e.censored == 0 { e.mean } else { e.p50 };
        middle.map_or(f64::INFINITY, |m| sign * m)
    };
    order.sort_by(|(_, a), (_, b)| place(a).total_cmp(&place(b)).then(a.censored.cmp(&b.censored)));
    let untold = order.windows(2).find_map(|two| {
        let (a, b) = (two[0].0, two[1].0);
        let is = |p: &&Pair| (p.a == a && p.b == b) || (p.a == b && p.b == a);
        let pair = pairs.iter().find(is)?;
        let told = pair.better.as_deref() == Some(a);
        (!told).then(|| format!("{a} and {b}: {}", pair.why.as_deref().unwrap_or("not in order")))
    });
    let names = || order.iter().map(|(name, _)| (*name).to_owned()).collect();
    let order_or_none = untold.is_none().then(names);
    Some(Ranking { measure: measure.id, order: order_or_none, why: untold })
}

#[cfg(test)]
mod tests {
    use super::super::measure::find;
    use super::*;

    fn column(of: impl Fn(usize) -> Reading) -> Vec<Reading> {
        (0..30).map(of).collect()
    }

    fn ranking(measure: &str, columns: &[(&str, Vec<Reading>)]) -> Ranking {
        let measure = find(measure).unwrap();
        let columns: Columns<'_> = columns.iter().map(|(n, r)| (*n, r.as_slice())).collect();
        rank(measure, &columns, &pairs(measure, &columns)).unwrap()
    }

    #[test]
    fn pairing_sees_what_spread_hides() {
        // Blocks differ by hundreds, contenders by ten in every block.
        let base = |i: usize| (i * 97 % 30) as f64 * 100.0;
        let slow = column(|i| Reading::Is(base(i) + 10.0 + (i % 3) as f64));
        let fast = column(|i| Reading::Is(base(i)));
        let order = ranking("packets_to_complete", &[("slow", slow), ("fast", fast)]);
        assert_eq!(order.order.unwrap(), ["fast", "slow"]);
    }

    #[test]
    fn noise_is_not_ranked_and_few_blocks_are_not_either() {
        let a = column(|i| Reading::Is((i * 7 % 5) as f64));
        let b = column(|i| Reading::Is((i * 11 % 5) as f64));
        let order = ranking("paths.wrong", &[("a", a.clone()), ("b", b)]);
        assert!(order.order.is_none() && order.why.unwrap().contains("told apart"));
        let few = [("a", a[..5].to_vec()), ("b", vec![Reading::Is(99.0); 5])];
        assert!(ranking("paths.wrong", &few).why.unwrap().contains("5 blocks of the 20"));
    }

    #[test]
    fn failures_are_censored_and_lose() {
        // The one that never ends would win if a failure were 0, or if failures were left out.
        let fails = column(|i| if i < 25 { Reading::Censored } else { Reading::Is(1.0) });
        let ends = column(|_| Reading::Is(500.0));
        let measure = find("packets_to_complete").unwrap();
        let estimate = Estimate::of(measure, &fails).unwrap();
        assert_eq!((estimate.censored, estimate.mean, estimate.p50), (25, None, None));
        let order = ranking("packets_to_complete", &[("fails", fails), ("ends", ends)]);
        assert_eq!(order.order.unwrap(), ["ends", "fails"]);
    }

    #[test]
    fn shares_have_intervals_even_where_all_are_equal() {
        let all = vec![Reading::Is(1.0); 20];
        let estimate = Estimate::of(find("complete").unwrap(), &all).unwrap();
        assert!(estimate.interval.unwrap().low < 0.9 && !estimate.settled);
        assert!(estimate.p99.is_none() && estimate.why.unwrap().contains("p99"));
    }
}
