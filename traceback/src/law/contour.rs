//! From Poisson arrivals back to packets, exactly.
//!
//! With `G(t)` the probability of being done under Poisson arrivals, `exp(t) G(t)` is the exponential
//! generating function of `P(done by n packets)`, so Cauchy's formula on the circle of radius `n`
//! gives it back:
//!
//! ```text
//! P(n) = n! e^n / n^n * average over angles a of  exp(n (cos a - 1) + i n (sin a - a)) G(n e^(ia))
//! ```
//! The integrand is periodic and smooth, so equally spaced angles converge faster than any power.
//! The radius `n` makes it a narrow bump without cancellation. Source: Flajolet, Sedgewick, Analytic
//! Combinatorics, 2009, section VIII.

use super::coupon::{Group, binomial};
use std::ops::{Add, Mul};

/// Probability that `n` packets are enough.
pub(super) fn within(groups: &[Group], n: u32) -> f64 {
    let cells: f64 = groups.iter().map(|g| g.hops * f64::from(g.need)).sum();
    if f64::from(n) < cells {
        return 0.0;
    }
    let n = f64::from(n);
    // An angle step of 2 pi / points confuses P(n) with P(n + points), at the weight that a Poisson
    // variable of mean n gives that: beyond nine standard deviations and some for small n.
    let points = (9.0 * n.sqrt()).ceil() + 40.0;
    let mut sum = 0.0;
    let mut i = 0.0;
    while 2.0 * i <= points {
        let angle = std::f64::consts::TAU * i / points;
        // The other half of the circle is the mirror image.
        let alone = i == 0.0 || 2.0 * i >= points;
        sum += if alone { 1.0 } else { 2.0 } * at(groups, n, angle, cells);
        i += 1.0;
    }
    (ln_factorial(n) + n - n * n.ln()).exp() * sum / points
}

/// Real part of the integrand.
fn at(groups: &[Group], n: f64, angle: f64, cells: f64) -> f64 {
    let (sin, cos) = angle.sin_cos();
    // Here exp(-q t) may overflow, and the whole is below exp(cells - n).
    if cos < 0.0 && n > 700.0 + cells {
        return 0.0;
    }
    let mut ln = Complex(n * (cos - 1.0), n * (sin - angle));
    for group in groups {
        let done = group.done(Complex(n * cos, n * sin));
        ln = ln + done.ln() * Complex(group.hops, 0.0);
    }
    ln.0.exp() * ln.1.cos()
}

impl Group {
    /// `P(Binomial(cells, 1 - exp(-q t)) >= need)` as a function of complex `t`.
    fn done(&self, t: Complex) -> Complex {
        let unseen = (t * Complex(-self.q, 0.0)).exp();
        let seen = Complex(1.0 - unseen.0, -unseen.1);
        if self.need == self.cells {
            return seen.power(self.cells);
        }
        let term = |j: u32| {
            seen.power(j) * unseen.power(self.cells - j) * Complex(binomial(self.cells, j), 0.0)
        };
        (self.need..=self.cells).map(term).fold(Complex(0.0, 0.0), Add::add)
    }
}

/// Logarithm of `n!`. Source: Stirling's series, whose next term is below 1e-12 from 20 on.
fn ln_factorial(n: f64) -> f64 {
    if n < 20.0 {
        let mut product = 1.0;
        let mut i = 2.0;
        while i <= n {
            product *= i;
            i += 1.0;
        }
        return f64::ln(product);
    }
    let series = 1.0 / (12.0 * n) - 1.0 / (360.0 * n.powi(3)) + 1.0 / (1260.0 * n.powi(5));
    0.5 * (std::f64::consts::TAU * n).ln() + n * n.ln() - n + series
}

/// Real and imaginary part.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Complex(f64, f64);

impl Complex {
    fn exp(self) -> Self {
        let (sin, cos) = self.1.sin_cos();
        let size = self.0.exp();
        Self(size * cos, size * sin)
    }

    fn ln(self) -> Self {
        Self(self.0.hypot(self.1).ln(), self.1.atan2(self.0))
    }

    fn power(self, exponent: u32) -> Self {
        (0..exponent).fold(Self(1.0, 0.0), |product, _| product * self)
    }
}

impl Add for Complex {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0, self.1 + other.1)
    }
}

impl Mul for Complex {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0 - self.1 * other.1, self.0 * other.1 + self.1 * other.0)
    }
}
