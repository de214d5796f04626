//! The convergence law: packets until the last needed mark.
//!
//! Each packet brings at most one mark. A path of `d` hops is known when every hop has shown at
//! least `need` of its `cells` equally likely marks (fragments, hash functions). With Poisson
//! arrivals of rate 1 the cells fill independently, so with `s = 1 - exp(-q t / cells)`
//!
//! ```text
//! P(done by t) = product over hops of  P(Binomial(cells, s) >= need)
//! mean packets = integral of 1 - P(done by t)          exact: the mean of the rate-1 arrivals is n
//! ```
//! and the distribution over packets themselves follows without approximation from the same product
//! at complex `t` (see [`super::contour`]).

use super::contour;
use super::quadrature::integrate;

/// Probability that a packet carries a mark of the hop `i` hops from the victim, 1 being nearest.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Hops {
    /// Every router overwrites with this probability `p`: `p (1-p)^(i-1)`. The reversed order
    /// (routers that never overwrite) has the same law.
    Overwriting(f64),
    /// Reservoir sampling, the `j`-th router overwriting with probability `1/j`: `1/d`.
    Uniform,
    /// Compensated: the same `p` from every hop; `d p` is at most 1.
    Constant(f64),
}

/// A convergence law for one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Coupon {
    groups: Vec<Group>,
}

/// Hops of equal probability.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Group {
    /// Probability of one cell.
    pub(super) q: f64,
    /// Cells of one hop.
    pub(super) cells: u32,
    /// Cells of it that must be seen.
    pub(super) need: u32,
    /// Hops.
    pub(super) hops: f64,
}

/// Parameters without a law.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadLaw {
    /// A probability out of range.
    #[error("the probability of a hop's mark must lie above 0 and sum to at most 1, not {0}")]
    Probability(f64),
    /// More cells needed than there are, or none.
    #[error("of a hop's {cells} cells, 1 to {cells} can be needed (1 to 64 cells), not {need}")]
    Cells {
        /// Cells of a hop.
        cells: u32,
        /// Cells needed.
        need: u32,
    },
}

impl Coupon {
    /// The law of a path of `d` hops, each with `cells` marks of which `need` must be seen.
    ///
    /// Edge sampling is `(1, 1)`, its compressed form `(8, 8)`, thresholds `m` of `F` are `(F, m)`.
    ///
    /// # Errors
    /// [`BadLaw`] where a probability is 0 or they sum to more than 1, or `need` is not in
    /// `1..=cells`, or `cells` exceeds 64.
    pub fn new(hops: Hops, d: u32, cells: u32, need: u32) -> Result<Self, BadLaw> {
        if need == 0 || need > cells || cells > 64 {
            return Err(BadLaw::Cells { cells, need });
        }
        let group = |q: f64, hops| Group { q: q / f64::from(cells), cells, need, hops };
        let groups: Vec<Group> = match hops {
            Hops::Overwriting(p) => (1..=d).map(|i| group(super::survives(p, i), 1.0)).collect(),
            Hops::Constant(p) => vec![group(p, f64::from(d))],
            Hops::Uniform => vec![group(f64::from(d).recip(), f64::from(d))],
        };
        let groups = if d == 0 { vec![] } else { groups };
        let sum: f64 = groups.iter().map(|g| g.q * g.hops * f64::from(g.cells)).sum();
        let lawful = |q: f64| q > f64::MIN_POSITIVE && q <= 1.0;
        match groups.iter().find(|g| !lawful(g.q)) {
            Some(bad) => Err(BadLaw::Probability(bad.q)),
            None if sum > 1.0 + 1e-9 => Err(BadLaw::Probability(sum)),
            None => Ok(Self { groups }),
        }
    }

    /// Mean number of packets, to a relative error below 1e-9.
    pub fn mean(&self) -> f64 {
        let Some(rarest) = self.rarest() else { return 0.0 };
        let (mut from, mut to, mut sum) = (0.0, rarest.recip(), 0.0);
        // Beyond the point where a term of 1e-16 is left, less than 1e-14 of the mean is.
        while self.open(from) > 1e-16 {
            sum += integrate(&|t| self.open(t), from, to, 1e-12 * to);
            (from, to) = (to, 2.0 * to);
        }
        sum
    }

    /// Probability that `n` packets are enough. Exact.
    pub fn within(&self, n: u32) -> f64 {
        if self.groups.is_empty() {
            return 1.0;
        }
        contour::within(&self.groups, n).clamp(0.0, 1.0)
    }

    /// Smallest number of packets that is enough with at least this probability. Exact.
    pub fn quantile(&self, probability: f64) -> u32 {
        let top = 2.0 * self.poisson_quantile(probability.min(1.0 - 1e-12)) + 64.0;
        // Saturates above 2^32 packets, where nothing is measured.
        #[allow(clippy::cast_possible_truncation, reason = "`as` saturates at u32::MAX")]
        let (mut low, mut high) = (0, top.ceil() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.within(middle) >= probability {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        high
    }

    /// The time by which Poisson arrivals of rate 1 are enough with this probability (below 1): close
    /// to [`Self::quantile`] (0.5 % above 100 packets) and not an integer. Tables in papers use it.
    pub fn poisson_quantile(&self, probability: f64) -> f64 {
        let Some(rarest) = self.rarest() else { return 0.0 };
        let mut high = rarest.recip();
        while 1.0 - self.open(high) < probability {
            high *= 2.0;
        }
        let mut low = 0.0;
        for _ in 0..200 {
            let middle = f64::midpoint(low, high);
            if 1.0 - self.open(middle) < probability {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    fn rarest(&self) -> Option<f64> {
        self.groups.iter().map(|g| g.q).reduce(f64::min)
    }

    /// Probability that something is still missing at time `t`.
    fn open(&self, t: f64) -> f64 {
        let ln: f64 = self.groups.iter().map(|g| g.hops * g.ln_done(t)).sum();
        -ln.exp_m1()
    }
}

impl Group {
    /// Logarithm of the probability that one hop is done at time `t`.
    fn ln_done(&self, t: f64) -> f64 {
        let unseen = (-self.q * t).exp();
        if self.need == self.cells {
            return f64::from(self.cells) * (-unseen).ln_1p();
        }
        // Rounding may lift a sum of all terms above 1, whose logarithm does not exist.
        (-tail(self.cells, 0..self.need, 1.0 - unseen, unseen).min(1.0)).ln_1p()
    }
}

/// `sum over j of C(n, j) hit^j miss^(n-j)`.
pub(super) fn tail(n: u32, range: std::ops::Range<u32>, hit: f64, miss: f64) -> f64 {
    let power = |x: f64, e: u32| (0..e).map(|_| x).product::<f64>();
    range.map(|j| binomial(n, j) * power(hit, j) * power(miss, n - j)).sum()
}

/// The number of ways to choose `j` of `n`, as a float.
pub(super) fn binomial(n: u32, j: u32) -> f64 {
    (0..j).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

#[cfg(test)]
mod tests {
    use super::super::harmonic;
    use super::*;
    use Hops::{Overwriting, Uniform};

    fn law(hops: Hops, d: u32, cells: u32, need: u32) -> Coupon {
        Coupon::new(hops, d, cells, need).unwrap()
    }

    /// Compares with a number as printed: within half a unit of its last digit.
    fn printed(got: f64, want: f64, digits: i32) {
        let half = 0.5 * 10_f64.powi(-digits);
        assert!((got - want).abs() <= half * 1.000_001, "{got} is not {want}");
    }

    #[test]
    fn edge_sampling_and_compressed_edges() {
        let table = [
            (3, 47.8, 106.0, [788.0, 743.0, 1_285.0, 1_627.0]),
            (5, 62.2, 125.0, [934.0, 887.0, 1_459.0, 1_821.0]),
            (10, 89.6, 163.0, [1_229.0, 1_172.0, 1_842.0, 2_272.0]),
            (15, 115.4, 203.0, [1_530.0, 1_461.0, 2_268.0, 2_790.0]),
            (20, 144.0, 249.0, [1_883.0, 1_798.0, 2_783.0, 3_422.0]),
            (25, 177.6, 305.0, [2_311.0, 2_206.0, 3_413.0, 4_197.0]),
            (30, 218.2, 375.0, [2_835.0, 2_706.0, 4_186.0, 5_148.0]),
        ];
        for (d, edge, edge95, fms) in table {
            let one = law(Overwriting(0.04), d, 1, 1);
            printed(one.mean(), edge, 1);
            printed(one.poisson_quantile(0.95), edge95, 0);
            let eight = law(Overwriting(0.04), d, 8, 8);
            printed(eight.mean(), fms[0], 0);
            for (probability, want) in [0.5, 0.95, 0.99].into_iter().zip(&fms[1..]) {
                // The reference reads its curve at whole packets.
                let got = eight.poisson_quantile(probability);
                assert!((got - want).abs() <= 1.0, "{got} is not {want} at d={d}");
                let exact = f64::from(eight.quantile(probability));
                assert!((exact / want - 1.0).abs() < 0.005, "{exact} against {want} at d={d}");
            }
        }
        printed(law(Overwriting(0.1), 10, 1, 1).mean(), 52.7, 1);
        let more = [(1, 543.6, 497.8, 1_011.0), (32, 3_076.3, 2_936.0, 4_542.0)];
        for (d, mean, median, p95) in more {
            let eight = law(Overwriting(0.04), d, 8, 8);
            printed(eight.mean(), mean, 1);
            printed(eight.poisson_quantile(0.5), median, if d == 1 { 1 } else { 0 });
            printed(eight.poisson_quantile(0.95), p95, 0);
        }
    }

    #[test]
    fn uniform_draws_are_harmonic_numbers() {
        let table = [(5, 11.4, 171.1), (10, 29.3, 397.2), (15, 49.8, 644.3), (20, 72.0, 904.9)];
        for (d, edge, eight) in table.into_iter().chain([(25, 95.4, 1175.6), (30, 119.8, 1454.4)]) {
            printed(law(Uniform, d, 1, 1).mean(), edge, 1);
            printed(law(Uniform, d, 8, 8).mean(), eight, 1);
            let closed = f64::from(8 * d) * harmonic(8 * d);
            assert!((law(Uniform, d, 8, 8).mean() / closed - 1.0).abs() < 1e-10);
        }
        printed(law(Uniform, 36, 8, 8).mean(), 1_797.7, 1);
        printed(law(Uniform, 59, 8, 8).mean(), 3_179.0, 0);
    }

    #[test]
    fn thresholds() {
        let fixed = [
            (5, [305.0, 410.0, 574.0, 934.0]),
            (10, [399.0, 533.0, 747.0, 1_229.0]),
            (20, [608.0, 813.0, 1_138.0, 1_883.0]),
            (30, [915.0, 1_223.0, 1_713.0, 2_835.0]),
        ];
        for (d, row) in fixed {
            for (need, want) in (5..).zip(row) {
                printed(law(Overwriting(0.04), d, 8, need).mean(), want, 0);
            }
        }
        let uniform = [
            (8, 5, [55.9, 128.7, 375.5, 570.8, 1_001.0]),
            (8, 6, [75.1, 172.0, 499.5, 758.0, 1_327.0]),
            (7, 5, [60.8, 140.3, 410.9, 625.5, 1_099.0]),
            (7, 6, [87.2, 201.0, 588.0, 895.1, 1_573.0]),
        ];
        for (cells, need, row) in uniform {
            for (d, want) in [5, 10, 25, 36, 59].into_iter().zip(row) {
                let digits = if want > 1_000.0 { 0 } else { 1 };
                printed(law(Uniform, d, cells, need).mean(), want, digits);
            }
        }
        // Fast Internet traceback: all four fragments of every hop.
        printed(law(Overwriting(0.04), 10, 4, 4).mean(), 527.0, 0);
    }

    #[test]
    fn more_fragments_for_the_flow_label() {
        let table = [
            (26, [3_873.0, 4_971.0, 7_548.0]),
            (6, [654.0, 867.0, 1_334.0]),
            (18, [2_500.0, 3_229.0, 4_914.0]),
        ];
        for (k, row) in table {
            for (d, want) in [5, 10, 20].into_iter().zip(row) {
                printed(law(Overwriting(0.04), d, k, k).mean(), want, 0);
            }
        }
    }

    #[test]
    fn the_distribution_over_packets_is_exact() {
        // Two halves of an address: 1 - 2^(1-n).
        let halves = law(Uniform, 2, 1, 1);
        for n in 2..40 {
            let want = 1.0 - 2_f64.powi(1 - i32::try_from(n).unwrap());
            assert!((halves.within(n) - want).abs() < 1e-12, "{n}: {}", halves.within(n));
        }
        assert_eq!((halves.within(0), halves.within(1)), (0.0, halves.within(1).min(1e-12)));
        let coupon = law(Uniform, 25, 1, 1);
        assert_eq!((coupon.quantile(0.5), coupon.quantile(0.99)), (90, 192));
        // One step of a Markov chain over the number of cells seen, for each packet.
        let mut seen = vec![0.0; 473];
        seen[0] = 1.0;
        let mut n = 0;
        while seen[472] < 0.99 {
            for k in (1..=472_u32).rev() {
                let (here, below) = (f64::from(k) / 472.0, f64::from(k - 1) / 472.0);
                let k = k as usize;
                seen[k] = seen[k] * here + seen[k - 1] * (1.0 - below);
            }
            seen[0] = 0.0;
            n += 1;
        }
        assert_eq!(law(Uniform, 59, 8, 8).quantile(0.99), n);
        // The mean is the sum of what is open, for any law.
        for law in [law(Overwriting(0.2), 4, 2, 2), law(Overwriting(0.3), 3, 5, 2)] {
            let sum: f64 = (0..2_000).map(|n| 1.0 - law.within(n)).sum();
            assert!((sum / law.mean() - 1.0).abs() < 1e-9, "{sum} against {}", law.mean());
        }
    }

    #[test]
    fn lawless_parameters_are_refused() {
        assert_eq!(Coupon::new(Uniform, 5, 8, 9), Err(BadLaw::Cells { cells: 8, need: 9 }));
        assert!(matches!(Coupon::new(Overwriting(0.0), 5, 1, 1), Err(BadLaw::Probability(_))));
        assert!(Coupon::new(Overwriting(f64::NAN), 5, 1, 1).is_err());
        assert!(matches!(Coupon::new(Hops::Constant(0.3), 5, 1, 1), Err(BadLaw::Probability(_))));
        let none = law(Uniform, 0, 8, 8);
        assert_eq!((none.mean(), none.within(0), none.quantile(0.5)), (0.0, 1.0, 0));
    }
}
