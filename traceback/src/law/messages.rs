//! Routers that send messages of their own, each about a packet with its own probability.

use super::harmonic;

/// Mean number of packets until each of `d` routers has sent its own message, when each does so
/// with probability `q` and independently of the others: `H_d / q`.
///
/// Source: draft-ietf-itrace-04 section 4, whose probability to one end is 1/40000.
pub fn independent_messages(q: f64, d: u32) -> f64 {
    harmonic(d) / q
}

/// Mean number of packets until messages that name the links on both sides of their router show a whole
/// path of `d` routers and where it begins. Exact.
///
/// The first router must be heard, and of two routers side by side at least one. With `u = (1-q)^n` the
/// probability that a given router is still silent after `n` packets,
///
/// ```text
/// P(known after n) = sum over k of C(d-k, k) u^k (1-u)^(d-k)
/// ```
/// since so many sets of `k` routers leave out the first and hold no two neighbours.
pub fn linked_messages(q: f64, d: u32) -> f64 {
    let ways: Vec<f64> = (0..=d / 2).map(|k| choose(d - k, k)).collect();
    let (mut silent, mut mean) = (1.0, 0.0);
    loop {
        let heard: f64 = 1.0 - silent;
        let known: f64 =
            (0_u32..).zip(&ways).map(|(k, n)| n * power(silent, k) * power(heard, d - k)).sum();
        if 1.0 - known < 1e-12 {
            return mean;
        }
        mean += 1.0 - known;
        silent *= 1.0 - q;
    }
}

fn power(base: f64, exponent: u32) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

fn choose(n: u32, k: u32) -> f64 {
    (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-6 * want, "{got} is not {want}");
    }

    #[test]
    fn every_router_or_every_other() {
        let q = 1.0 / 40_000.0;
        close(independent_messages(q, 10), 117_158.73);
        // One or two routers: the first must be heard, and names the second.
        close(linked_messages(q, 1), 40_000.0);
        close(linked_messages(q, 2), 40_000.0);
        // Of three, the first and one of the others: the later of a time and of the sooner of two. Two messages
        // for one packet, which q leaves room for, are below the tolerance.
        let three = linked_messages(q, 3) * q;
        assert!((three - (1.0 + 0.5 - 1.0 / 3.0)).abs() < 1e-4, "{three}");
        assert!(linked_messages(q, 10) < independent_messages(q, 10));
    }
}
