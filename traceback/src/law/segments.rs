//! Laws of addresses in segments under a digest (hash-based DPM, FDPM): false addresses.
//!
//! `n` sources fall into `2^d` areas by their digests, so the number in one area is binomial. Of `r`
//! addresses in an area, each of the `k` segments shows `E = A - A (1 - 1/A)^r` of its `A = 2^a` values
//! on average; segments are independent, so `E^k` combinations stand, of which `r` are true. A false
//! one passes the digest once in `2^d`:
//!
//! ```text
//! false addresses = 2^d * mean over r of (E(r)^k - r) * 2^-d = mean of E(r)^k - n / 2^d
//! ```
//! The mean must be taken over `r`: `E^k` is so convex that areas with twice their share of sources
//! make nearly all false addresses. `E` at the mean `r`, as rules of thumb have it, gives a small part of
//! them: for `a = 4`, `d = 10` it allows 1,450 sources at 1 % where 74 are the truth.

use crate::stats::real;

/// Sources, bits of a segment and of the digest, digest functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    /// Simultaneous sources.
    pub n: u32,
    /// Bits of a segment: 1, 2, 4, 8.
    pub a: u32,
    /// Bits of the digest.
    pub d: u32,
    /// Digest functions; above 1 the law takes areas of different functions for independent.
    pub f: u32,
}

impl Segments {
    /// Mean number of false addresses.
    ///
    /// Marks of all functions share the areas. A candidate comes from the first function's area and must
    /// find its segments in those of the others.
    pub fn false_addresses(&self) -> f64 {
        let (k, values) = (f64::from(32 / self.a), f64::from(self.a).exp2());
        let area = (-f64::from(self.d)).exp2();
        let marked = u64::from(self.n) * u64::from(self.f);
        let distinct = |r: f64| values - values * (r * (-values.recip()).ln_1p()).exp();
        let combinations = mean_binomial(marked, area, &|r| distinct(r).powf(k));
        let seen = mean_binomial(marked, area, &|r| (distinct(r) / values).powf(k));
        (combinations - real(marked) * area).max(0.0) * seen.powf(f64::from(self.f - 1))
    }

    /// Mean number of combinations that the victim tries.
    pub fn candidates(&self) -> f64 {
        let one = Self { f: 1, n: self.n.saturating_mul(self.f), ..*self };
        let area = f64::from(self.d).exp2();
        (one.false_addresses() + f64::from(one.n) / area) * area
    }
}

/// The mean of a function of a binomial number, summed from its mode outwards until nothing is left.
fn mean_binomial(n: u64, p: f64, value: &dyn Fn(f64) -> f64) -> f64 {
    let odds = p / (1.0 - p);
    let mut weight = (real(n) * (-p).ln_1p()).exp();
    if weight == 0.0 {
        // So many in every area that spread plays no part in what the law can say.
        return value(real(n) * p);
    }
    let (mut r, mut sum) = (0.0, 0.0);
    while r <= real(n) {
        let term = weight * value(r);
        sum += term;
        if r > 4.0 * real(n) * p + 40.0 && term <= 1e-15 * sum {
            break;
        }
        weight *= (real(n) - r) / (r + 1.0) * odds;
        r += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        // One source, one area of two: nothing to confuse it with.
        let alone = Segments { n: 1, a: 4, d: 10, f: 1 };
        assert!(alone.false_addresses() < 1e-9);
        // One area holds both of two sources with probability 2^-2d; then there are 1.9375^8 - 2 false
        // combinations. That there are 2^d areas, and that one in 2^d combinations passes, cancels out.
        let two = Segments { n: 2, a: 4, d: 10, f: 1 };
        let want = (1.9375_f64.powi(8) - 2.0) / 1024.0 / 1024.0;
        assert!((two.false_addresses() / want - 1.0).abs() < 1e-6);
    }

    #[test]
    fn more_functions_mean_fewer_false_addresses() {
        let of = |f| Segments { n: 200, a: 4, d: 10, f }.false_addresses();
        assert!(of(1) > 1.0 && of(4) < of(1) / 10.0, "{} {}", of(1), of(4));
    }

    #[test]
    fn a_hundred_thousand_sources_fit_24_bits_and_not_17() {
        let wide = Segments { n: 100_000, a: 4, d: 17, f: 1 };
        assert!((300.0..1_000.0).contains(&wide.false_addresses()), "{}", wide.false_addresses());
        // One false address in a hundred: where the paper of FDPM speaks of 110,000 sources.
        let share = |n, d| Segments { n, d, ..wide }.false_addresses() / f64::from(n);
        assert!(share(122_428, 17) < 0.01 && share(122_429, 17) > 0.009_999);
        assert!(share(74, 10) < 0.01 && share(75, 10) > 0.01);
        let narrow = Segments { d: 10, ..wide };
        assert!(narrow.candidates() > 1e12);
    }
}
