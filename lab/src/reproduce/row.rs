//! One oracle's outcome, and the gate that judges it.
//!
//! A build that is right must pass some two hundred gates by chance as well. So a tolerance is worth its name only
//! where it is [`SURE`] standard errors wide: then a right number misses it once in 1.7 million, and a whole
//! reproduction once in some 8,000. In full, numbers of runs are chosen for that and the number itself must lie
//! within its tolerance; quick runs are fewer, and there the same standard errors are added to the tolerance.

use super::chance::Sampling;
use serde::Serialize;
use traceback::stats::{Interval, Statistic, bootstrap};

/// A number, as the paper has it, as the law has it, and as this build has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Name: scheme, setting, statistic.
    pub id: String,
    /// The paper's figure; null where it gives none.
    pub paper: Option<f64>,
    /// The exact law's value; null where none is known.
    pub law: Option<f64>,
    /// Measured; null where a run did not end.
    pub ours: Option<f64>,
    /// Lower end of the 95 % interval of `ours`; null where that is a count without chance.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
    /// Independent runs, trials or cases behind `ours`.
    pub runs: u64,
    /// Whether the gate was passed.
    pub met: bool,
    /// The gate in words.
    pub gate: String,
    /// Why a number is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What the measured number must be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gate {
    /// Within this share of the law.
    Law(f64),
    /// Within this share of the paper's figure.
    Paper(f64),
    /// Within these bounds.
    Between(f64, f64),
    /// At least this: a bound from information theory.
    AtLeast(f64),
    /// Equal to the law: a count in which chance plays no part.
    Exact,
}

/// What the paper and the law say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Said {
    /// The paper's figure.
    pub paper: Option<f64>,
    /// The law's value.
    pub law: Option<f64>,
}

/// A measured number.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The number, or why there is none.
    pub ours: Result<f64, String>,
    /// Its 95 % interval.
    pub interval: Option<Interval>,
    /// Independent runs.
    pub runs: u64,
}

impl Measured {
    /// A statistic of samples; `None` among them is a run that did not end, which no statistic may
    /// pass over.
    pub fn of(samples: &[Option<f64>], statistic: Statistic, seed: u64) -> Self {
        let runs = samples.len() as u64;
        let ended: Vec<f64> = samples.iter().copied().flatten().collect();
        if ended.len() < samples.len() {
            let open = samples.len() - ended.len();
            let why = format!("{open} of {runs} runs did not end with the true path");
            return Self { ours: Err(why), interval: None, runs };
        }
        Self {
            ours: statistic.of(&ended).ok_or_else(|| "no runs".to_owned()),
            interval: bootstrap(&ended, statistic, RESAMPLES, LEVEL, seed),
            runs,
        }
    }

    /// A count in which chance plays no part, over so many cases.
    pub fn count(count: u64, cases: u64) -> Self {
        Self { ours: Ok(count as f64), interval: None, runs: cases }
    }

    /// A share of trials, with Wilson's interval.
    pub fn share(hits: u64, trials: u64) -> Self {
        let interval = traceback::stats::wilson(hits, trials, LEVEL);
        let ours =
            if trials == 0 { Err("no trials".to_owned()) } else { Ok(hits as f64 / trials as f64) };
        Self { ours, interval: Some(interval), runs: trials }
    }

    /// Judges the number.
    pub fn row(self, id: &str, said: Said, gate: Gate, sampling: &Sampling) -> Row {
        let band = gate.band(said);
        let ours = self.ours.as_ref().ok().copied();
        let sure = ours.zip(self.interval).map(|(ours, interval)| surely(ours, interval));
        let reaches = sure.is_some_and(|s| band.is_some_and(|b| b.meets(&s)));
        let inside = |ours: f64| band.is_some_and(|b| b.holds(ours));
        let met = ours.is_some_and(inside) || sampling.quick && reaches;
        let widened =
            if sampling.quick && sure.is_some() { ", or five standard errors off" } else { "" };
        // Where nothing but the law will do there is no tolerance.
        let some = band.filter(|band| width(*band) > 0.0);
        let errors = some.zip(sure).map(|(band, sure)| SURE * width(band) / width(sure));
        let unsaid = [
            said.paper.is_none().then(|| "no figure of the paper at hand".to_owned()),
            said.law.is_none().then(|| "no law known".to_owned()),
            // The spread is an estimate.
            errors
                .filter(|errors| !sampling.quick && *errors < 0.9 * SURE)
                .map(|errors| format!("the tolerance is only {errors:.1} standard errors wide")),
        ];
        let reasons = unsaid.into_iter().flatten();
        let why: Vec<String> =
            self.ours.as_ref().err().cloned().into_iter().chain(reasons).collect();
        Row {
            id: id.to_owned(),
            paper: said.paper,
            law: said.law,
            ours: self.ours.ok(),
            low: self.interval.map(|i| i.low),
            high: self.interval.map(|i| i.high),
            runs: self.runs,
            met,
            gate: format!("{gate}{widened}"),
            why: (!why.is_empty()).then(|| why.join("; ")),
        }
    }
}

impl Gate {
    fn band(self, said: Said) -> Option<Interval> {
        let around = |target: f64, share: f64| Interval {
            low: target * (1.0 - share),
            high: target * (1.0 + share),
        };
        Some(match self {
            Self::Law(share) => around(said.law?, share),
            Self::Paper(share) => around(said.paper?, share),
            Self::Between(low, high) => Interval { low, high },
            Self::AtLeast(low) => Interval { low, high: f64::INFINITY },
            Self::Exact => around(said.law?, 0.0),
        })
    }
}

impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Law(share) => write!(f, "within {} % of the law", round(100.0 * share)),
            Self::Paper(share) => write!(f, "within {} % of the paper", round(100.0 * share)),
            Self::Between(low, high) => write!(f, "from {} to {}", round(*low), round(*high)),
            Self::AtLeast(low) => write!(f, "at least {}", round(*low)),
            Self::Exact => write!(f, "exactly the law"),
        }
    }
}

/// A number to five significant digits, without an exponent where it has a usual size.
pub fn round(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    #[allow(clippy::cast_possible_truncation, reason = "a float's magnitude is below 400")]
    let digits = 4 - value.abs().log10().floor() as i32;
    let Ok(places @ 0..=15) = usize::try_from(digits.max(0)) else { return format!("{value:.4e}") };
    let text = format!("{value:.places$}");
    if places == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Where a number surely lies: [`SURE`] standard errors to either side, as its interval has them.
fn surely(ours: f64, interval: Interval) -> Interval {
    let stretch = SURE / ERRORS;
    Interval {
        low: ours - stretch * (ours - interval.low),
        high: ours + stretch * (interval.high - ours),
    }
}

fn width(interval: Interval) -> f64 {
    interval.high - interval.low
}

/// What a share of so many trials may surely be off by chance.
pub fn slack(share: f64, trials: u64) -> f64 {
    SURE * (share * (1.0 - share) / trials as f64).sqrt()
}

/// Standard errors that a tolerance must be wide: two-sided, chance exceeds them once in 1.7 million.
pub const SURE: f64 = 5.0;
/// Probability that intervals cover.
const LEVEL: f64 = 0.95;
/// Standard errors that such an interval reaches to either side.
const ERRORS: f64 = 1.96;
/// Enough that the ends of an interval move by a fiftieth of its width between seeds.
const RESAMPLES: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Sampling = Sampling { seed: 1, quick: false };
    const QUICK: Sampling = Sampling { seed: 1, quick: true };

    fn said(law: f64) -> Said {
        Said { paper: None, law: Some(law) }
    }

    #[test]
    fn few_runs_are_judged_by_their_interval_and_many_by_their_number() {
        let few: Vec<_> = (0..50).map(|i| Some(90.0 + f64::from(i))).collect();
        let judge = |law, sampling| {
            let measured = Measured::of(&few, Statistic::Mean, 7);
            measured.row("x", said(law), Gate::Law(0.03), sampling).met
        };
        // The mean is 114.5, its standard error 2.06.
        assert!(judge(112.0, &FULL) && judge(112.0, &QUICK));
        assert!(!judge(104.0, &FULL) && judge(104.0, &QUICK));
        assert!(!judge(90.0, &FULL) && !judge(90.0, &QUICK));
    }

    #[test]
    fn a_tolerance_too_narrow_for_its_runs_is_named() {
        let few: Vec<_> = (0..50).map(|i| Some(90.0 + f64::from(i))).collect();
        let why = |share| {
            let measured = Measured::of(&few, Statistic::Mean, 7);
            measured.row("x", said(114.5), Gate::Law(share), &FULL).why.unwrap()
        };
        assert!(why(0.03).contains("1.7 standard errors wide"), "{}", why(0.03));
        assert!(!why(0.12).contains("standard errors"), "{}", why(0.12));
    }

    #[test]
    fn a_run_without_an_end_is_never_passed_over() {
        let samples = [Some(1.0), None, Some(2.0)];
        let row =
            Measured::of(&samples, Statistic::Mean, 7).row("x", said(1.5), Gate::Law(1.0), &QUICK);
        assert_eq!((row.ours, row.met), (None, false));
        assert!(row.why.unwrap().contains("1 of 3 runs"));
    }

    #[test]
    fn counts_must_be_equal() {
        let judge = |n| Measured::count(n, 10).row("x", said(0.0), Gate::Exact, &QUICK).met;
        assert!(judge(0) && !judge(1));
    }

    #[test]
    fn numbers_keep_five_digits() {
        let texts = [1228.5, 0.003_137_42, 2.666_666_7, 1e-9, 0.0, 42627.0].map(round);
        assert_eq!(texts, ["1228.5", "0.0031374", "2.6667", "0.000000001", "0", "42627"]);
    }
}
