//! What to expect: exact laws of marking and logging schemes, computed for any parameters.
//!
//! Nothing here is tabulated or asymptotic. [`Coupon`] is the convergence law that all marking
//! schemes share: how many packets until the last needed mark has been seen. The functions beside
//! it are the closed forms of single papers; [`filter`] holds those of false positives and sizes of
//! filters, [`segments`] that of addresses put together from segments. Measured counterparts of these
//! numbers come from the lab's `reproduce`.
//!
//! The bounds that papers print are here as well ([`savage_bound`]), to be shown beside the exact
//! values: on short paths they lie below the true mean, so nothing may be judged by them.

mod contour;
mod coupon;
pub mod filter;
mod loops;
mod messages;
mod quadrature;
pub mod segments;

pub use coupon::{BadLaw, Coupon, Hops};
pub use loops::{false_loop, loop_found};
pub use messages::{independent_messages, linked_messages};

/// The harmonic number `1 + 1/2 + ... + 1/n`.
pub fn harmonic(n: u32) -> f64 {
    (1..=n).rev().map(|i| f64::from(i).recip()).sum()
}

/// Probability that a packet reaches the victim past `d` routers unmarked, each marking with
/// probability `p`.
pub fn unmarked(p: f64, d: u32) -> f64 {
    (f64::from(d) * (-p).ln_1p()).exp()
}

/// Probability that a packet arrives with the mark of the router `hop` hops from the victim
/// (1 is the nearest), when every router overwrites with probability `p`.
///
/// Its inverse is the mean number of packets until that router's mark is seen.
/// Source: savage2000 section 4.2.
pub fn survives(p: f64, hop: u32) -> f64 {
    p * unmarked(p, hop.saturating_sub(1))
}

/// The bound that is printed for the mean of edge sampling (`k = 1`) and of its compressed form
/// with `k` fragments: `k ln(kd) / (p (1-p)^(d-1))`. Below the true mean on short paths.
///
/// Source: savage2000 sections 4.3 and 5.1.
pub fn savage_bound(p: f64, d: u32, k: u32) -> f64 {
    savage_packets(p, d, k, 1.0)
}

/// The packets that are printed for success with probability `1 - 1/c`:
/// `k ln(kdc) / (p (1-p)^(d-1))`.
///
/// Source: savage2000 section 5.1.
pub fn savage_packets(p: f64, d: u32, k: u32, c: f64) -> f64 {
    let k = f64::from(k);
    k * (k * f64::from(d) * c).ln() / survives(p, d)
}

/// Mean number of packets until `wanted` different ones of `of` equally likely values were drawn.
pub fn distinct_values(of: u32, wanted: u32) -> f64 {
    f64::from(of) * (harmonic(of) - harmonic(of.saturating_sub(wanted)))
}

/// Mean number of packets until each of `n` values was shown, when every packet shows `s` different ones,
/// all sets of them equally likely; `s` at least 1.
///
/// A chain over how many were seen: of a packet's values the number of new ones is hypergeometric. Source:
/// Stadje, Advances in Applied Probability 22(4), 1990, the collector who buys packets of distinct coupons.
pub fn distinct_draws(n: u32, s: u32) -> f64 {
    let s = s.min(n);
    let choose = |n: u32, k: u32| if k > n { 0.0 } else { coupon::binomial(n, k) };
    let mut left = vec![0.0; n as usize + 1];
    for open in 1..=n {
        let new = |k: u32| choose(open, k) * choose(n - open, s - k) / choose(n, s);
        let after: f64 = (1..=s.min(open)).map(|k| new(k) * left[(open - k) as usize]).sum();
        left[open as usize] = (1.0 + after) / (1.0 - new(0));
    }
    left[n as usize]
}

/// Forged paths that cannot be told from the true one when an attacker fills unmarked packets:
/// `1/p - 1`.
///
/// Source: park2001 section 4, the ratio of the unmarked packets to those of the farthest router.
pub fn park_lee(p: f64) -> f64 {
    p.recip() - 1.0
}

/// Mean number of packets that path tracing by reservoir and exclusive-or needs on two hops, with
/// digests that never collide, `tau = 1/2` and every switch in the second layer.
///
/// The first packet names a hop with probability 1/2, after which each further packet ends it with
/// probability 3/4; or it holds the sum of both, after which the next packet that names a hop ends
/// it. `1 + (4/3 + 2) / 2 = 8/3`. Source: pint2020 section 4.2.
pub fn pint_two_hops() -> f64 {
    let named = 1.0 / (0.5 + 0.5 * 0.5);
    let sum = 1.0 / 0.5;
    1.0 + 0.5 * named + 0.5 * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64, digits: i32) {
        let half = 0.5 * 10_f64.powi(-digits);
        assert!((got - want).abs() <= half * 1.000_001, "{got} is not {want}");
    }

    #[test]
    fn closed_forms_of_papers() {
        close(survives(0.51, 15).recip(), 42_627.0, 0);
        for (d, want) in
            [(5, 0.815), (10, 0.665), (15, 0.542), (20, 0.442), (25, 0.360), (30, 0.294)]
        {
            close(unmarked(0.04, d), want, 3);
        }
        close(park_lee(0.04), 24.0, 9);
        close(pint_two_hops(), 8.0 / 3.0, 12);
        close(independent_messages(1.0 / 40_000.0, 10), 117_159.0, 0);
        close(independent_messages(1.0 / 20_000.0, 10), 58_579.0, 0);
        for (d, want) in [(5, 68.5), (10, 87.9), (20, 107.9), (30, 119.8)] {
            close(independent_messages(1.0 / 30.0, d), want, 1);
        }
        close(distinct_values(4, 4), 4.0 * harmonic(4), 12);
        close(distinct_values(100, 1), 1.0, 9);
        for (n, want) in [(4, 8.3), (5, 11.4), (6, 14.7)] {
            close(distinct_draws(n, 1), want, 1);
        }
        // Two of three: the second packet shows the third with probability 2/3.
        close(distinct_draws(3, 2), 2.5, 12);
        close(distinct_draws(7, 7), 1.0, 12);
        close(distinct_draws(1, 2), 1.0, 12);
    }

    #[test]
    fn printed_bounds_lie_below_the_mean_on_short_paths() {
        close(savage_bound(0.1, 10, 1), 59.4, 1);
        close(savage_bound(0.04, 10, 1), 83.1, 1);
        close(savage_bound(0.04, 10, 8), 1_265.5, 1);
        close(savage_packets(0.04, 10, 8, 20.0), 2_130.7, 1);
        let want = [(3, 690.0, 0.875), (5, 869.0, 0.930), (10, 1_266.0, 1.030)];
        let rest = [(15, 1_696.0, 1.108), (20, 2_205.0, 1.171), (25, 2_823.0, 1.221)];
        for (d, bound, ratio) in want.into_iter().chain(rest).chain([(30, 3_581.0, 1.263)]) {
            close(savage_bound(0.04, d, 8), bound, 0);
            let mean = Coupon::new(Hops::Overwriting(0.04), d, 8, 8).unwrap().mean();
            close(savage_bound(0.04, d, 8) / mean, ratio, 3);
        }
    }
}
