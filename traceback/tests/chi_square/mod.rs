//! Whether what arrived follows the law of its path: for tests of drawn, simulated and real packets alike.

use std::collections::BTreeMap;
use traceback::arrivals::{Arrivals, Arrived};

/// What is wrong with packets that should follow a law; a right one is blamed once in 100,000 times.
pub(crate) fn too_far(law: &Arrivals, seen: &BTreeMap<Arrived, u64>) -> Option<String> {
    let lawful = |arrived: &Arrived| law.chances().iter().any(|(other, _)| arrived == other);
    if let Some(stranger) = seen.keys().find(|arrived| !lawful(arrived)) {
        return Some(format!("{stranger:?} cannot be"));
    }
    let (chi2, freedom) = statistic(law, seen);
    let most = if freedom == 0 { 1e-9 } else { limit(freedom) };
    (chi2 > most).then(|| format!("chi-square {chi2} of {freedom} degrees"))
}

/// Pearson's statistic over cells that are expected five times or more, and its degrees of freedom.
fn statistic(law: &Arrivals, seen: &BTreeMap<Arrived, u64>) -> (f64, usize) {
    let packets = seen.values().sum::<u64>() as f64;
    let (mut chi2, mut cells, mut rest) = (0.0, 0, (0.0, 0.0));
    for (arrived, p) in law.chances() {
        let (want, have) = (p * packets, *seen.get(arrived).unwrap_or(&0) as f64);
        if want < 5.0 {
            rest = (rest.0 + want, rest.1 + have);
        } else {
            chi2 += (have - want).powi(2) / want;
            cells += 1;
        }
    }
    if rest.0 >= 5.0 {
        chi2 += (rest.1 - rest.0).powi(2) / rest.0;
        cells += 1;
    }
    (chi2, cells.max(1) - 1)
}

/// Exceeded with a chance of about 1e-5: Wilson and Hilferty's cube root.
fn limit(freedom: usize) -> f64 {
    let n = freedom as f64;
    n * (1.0 - 2.0 / (9.0 * n) + 4.265 * (2.0 / (9.0 * n)).sqrt()).powi(3)
}
