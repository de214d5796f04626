//! Laws of false positives: Bloom filters, logging's extra nodes, hash checks of combined fragments.

use super::coupon::tail;
use crate::stats::real;

/// False positives of a Bloom filter of `bits` bits with `hashes` hashes after `items` insertions:
/// `(1 - (1 - 1/m)^(kn))^k`.
pub fn bloom(bits: u64, hashes: u32, items: u64) -> f64 {
    if bits == 0 {
        return 1.0;
    }
    let clear = real(items) * f64::from(hashes) * (-real(bits).recip()).ln_1p();
    (-clear.exp_m1()).powf(f64::from(hashes))
}

/// The same for large filters, from bits per item alone: `(1 - e^(-k/c))^k`.
pub fn bloom_limit(bits_per_item: f64, hashes: u32) -> f64 {
    let hashes = f64::from(hashes);
    (-(-hashes / bits_per_item).exp_m1()).powf(hashes)
}

/// A Bloom filter's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bits of the filter.
    pub bits: u64,
    /// Hashes of an item.
    pub hashes: u32,
}

/// The smallest filter that holds `items` items with at most `false_positives` of them, and its best
/// number of hashes; `None` where the rate is not between 0 and 1 or the filter would pass 2^62 bits.
pub fn bloom_size(items: u64, false_positives: f64) -> Option<Size> {
    if !(false_positives > 0.0 && false_positives < 1.0) {
        return None;
    }
    let sized = |hashes: u32| {
        let k = f64::from(hashes);
        let fill = false_positives.powf(k.recip());
        let one = -((-fill).ln_1p() / (k * real(items.max(1)))).exp_m1();
        let bits = one.recip().ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        (bits < 2_f64.powi(62)).then_some(Size { bits: bits as u64, hashes })
    };
    (1..=MOST_HASHES).filter_map(sized).min_by_key(|s| (s.bits, s.hashes))
}

/// Nodes that a search of hash logs adds to a true path of `n` nodes, when each node has
/// `branching` false neighbours on average (neighbours to ask times a filter's false positives):
/// `n P / (1 - P)`, unbounded from `P = 1` on.
///
/// Source: snoeren2001 section 5.
pub fn extra_nodes(n: u32, branching: f64) -> f64 {
    if branching >= 1.0 {
        return f64::INFINITY;
    }
    f64::from(n) * branching / (1.0 - branching)
}

/// Probability that some wrong combination of fragments passes the hash check at one distance, with
/// `m` routers there, `k` fragments and `h` bits of hash: `1 - (1 - 2^-h)^(m^k)`.
///
/// Source: savage2000 section 5.1.
pub fn false_edge(m: u32, h: u32, k: u32) -> f64 {
    let combinations = f64::from(m).powf(f64::from(k));
    -(combinations * (-(-f64::from(h)).exp2()).ln_1p()).exp_m1()
}

/// Probability that a router that is not on a path matches at least `need` of `functions` hashes of
/// `bits` bits, with `n` true edges at its distance.
///
/// Source: song2001 section 4, as a binomial law.
pub fn false_match(n: u32, bits: u32, functions: u32, need: u32) -> f64 {
    let miss = (f64::from(n) * (-(-f64::from(bits)).exp2()).ln_1p()).exp();
    tail(functions, need..functions + 1, 1.0 - miss, miss)
}

/// Bound on the probability that of `trials` random values of `bits` bits at least `hits` are one that is
/// asked for: `exp(-trials D(hits / trials, 2^-bits))` with the relative entropy `D`.
///
/// Source: Chernoff, Annals of Mathematical Statistics 23(4), 1952, in Hoeffding's form.
pub fn chance_bound(trials: u64, hits: u64, bits: u32) -> f64 {
    let (q, share) = ((-f64::from(bits)).exp2(), real(hits) / real(trials.max(1)));
    if share <= q {
        return 1.0;
    }
    let part = |a: f64, b: f64| if a > 0.0 { a * (a / b).ln() } else { 0.0 };
    (-real(trials) * (part(share, q) + part(1.0 - share, 1.0 - q))).exp()
}

/// Share of honest packets that a filter by fingerprints of `bits` bits lets in after it learned those of
/// `attackers` paths that share no link with theirs: `(1 - 2^-bits)^attackers`. It lets no attack packet
/// in, so this is the acceptance gap as well.
pub fn disjoint_acceptance(bits: u32, attackers: u32) -> f64 {
    (f64::from(attackers) * (-(-f64::from(bits)).exp2()).ln_1p()).exp()
}

/// Mean number of wrong names when each of `n` routers' names is cut into `words` words of `bits` bits, and
/// words are combined that share a hash of `cord` bits (1 or more) of the whole name: `2^cord` groups, of which each
/// has a binomial number of routers `r`, and one in `2^cord` of its wrong combinations passes.
///
/// Source: goodrich2002, whose law is per combination; the number of combinations is the mean over groups
/// of the product of different words, less the true ones.
pub fn false_names(n: u32, cord: u32, words: u32, bits: u32) -> f64 {
    let (p, values) = ((-f64::from(cord)).exp2(), f64::from(bits).exp2());
    let mut group = (f64::from(n) * (-p).ln_1p()).exp();
    let mut sum = 0.0;
    for r in 1..=n {
        group *= f64::from(n - r + 1) / f64::from(r) * p / (1.0 - p);
        let different = -values * (f64::from(r) * (-values.recip()).ln_1p()).exp_m1();
        sum += group * (different.powf(f64::from(words)) - f64::from(r));
    }
    sum
}

/// More hashes than this never give the smallest filter for any rate a float can hold apart from 0.
const MOST_HASHES: u32 = 1_100;

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(got: f64, want: f64, relative: f64) {
        assert!((got / want - 1.0).abs() <= relative, "{got} is not {want}");
    }

    #[test]
    fn bloom_filters() {
        let table = [(3, 5.0, 0.0918), (8, 12.0, 0.00314), (3, 4.0, 0.147), (3, 10.0, 0.0174)];
        for (hashes, bits_per_item, want) in table {
            printed(bloom_limit(bits_per_item, hashes), want, 0.004);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
            let bits = bits_per_item as u64 * 100_000;
            printed(bloom(bits, hashes, 100_000), bloom_limit(bits_per_item, hashes), 1e-4);
        }
        // One item of one hash in a filter of two bits.
        printed(bloom(2, 1, 1), 0.5, 1e-12);
        assert!((bloom(0, 3, 10), bloom(10, 3, 0)) == (1.0, 0.0));
    }

    #[test]
    fn the_size_is_the_smallest() {
        for (items, rate) in [(1, 0.5), (100, 0.01), (100_000, 1e-6), (1_000_000, 0.3), (7, 1e-12)]
        {
            let Size { bits, hashes } = bloom_size(items, rate).unwrap();
            assert!(bloom(bits, hashes, items) <= rate * (1.0 + 1e-9), "{items} {rate}");
            // One bit less is too small for every number of hashes.
            for k in 1..100 {
                assert!(bloom(bits - 1, k, items) > rate, "{items} {rate} {k}");
            }
        }
        assert_eq!(bloom_size(10, 0.0), None);
        assert_eq!(bloom_size(10, f64::NAN), None);
        assert_eq!(bloom_size(u64::MAX, 1e-300), None);
    }

    #[test]
    fn extra_nodes_and_false_edges() {
        printed(extra_nodes(32, 0.125), 4.57, 1e-3);
        assert!(extra_nodes(32, 1.0).is_infinite());
        printed(false_edge(8, 16, 4), 0.0606, 1e-3);
        for (m, want) in [(10, 0.0230), (12, 0.095), (15, 0.449), (20, 0.997)] {
            printed(false_edge(m, 32, 8), want, 0.006);
        }
        printed(1.0 - false_edge(100, 32, 4), 0.977, 1e-3);
    }

    #[test]
    fn names_linked_by_cords() {
        // One router has no wrong names; two share one of two cords half the time: 2^4 - 2 combinations.
        assert!(false_names(1, 10, 4, 8).abs() < 1e-9);
        printed(false_names(2, 1, 4, 20), 3.5, 1e-3);
        // Without equal words: fourth moment less mean, of Poisson(200/1024).
        let l = 200.0 / 1024.0_f64;
        let moments = l * (1.0 + l * (7.0 + l * (6.0 + l))) - l;
        printed(false_names(200, 10, 4, 20), moments, 0.01);
        printed(false_names(200, 10, 4, 8), 0.306, 0.01);
    }

    #[test]
    fn thresholds_of_hash_functions() {
        let table = [
            (10, [8.4e-8, 9.5e-10, 4.7e-12]),
            (50, [6.4e-4, 3.8e-5, 1.0e-6]),
            (100, [1.7e-2, 2.1e-3, 1.2e-4]),
            (200, [0.21, 5.8e-2, 7.5e-3]),
            (500, [0.91, 0.69, 0.30]),
        ];
        for (n, row) in table {
            for (need, want) in (6..).zip(row) {
                printed(false_match(n, 8, 8, need), want, 0.05);
            }
        }
        for (n, want) in [(10, 0.0049), (60, 0.029), (100, 0.048), (500, 0.217), (1000, 0.386)] {
            printed(false_match(n, 11, 1, 1), want, 0.01);
        }
    }
}
