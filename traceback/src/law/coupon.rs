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
    /// The same where the router farthest from the victim always writes, so that no packet is unmarked:
    /// `(1-p)^(d-1)` for it.
    Resetting(f64),
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
            Hops::Resetting(p) => {
                let last = group(super::unmarked(p, d.saturating_sub(1)), 1.0);
                let others = (1..d).map(|i| group(super::survives(p, i), 1.0));
                others.chain([last]).collect()
            }
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
mod tests;
