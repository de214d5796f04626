//! How often a packet is said to loop that does not, and how often one that does is found.

use super::coupon::tail;

/// Probability that some router of a path without loops says that the packet loops: of the `hops - 1` routers
/// behind the first, more than `more` find their own hash of `bits` bits by chance.
///
/// Source: pint2020 appendix A.4, which bounds it by the number of such sets of routers.
pub fn false_loop(hops: u32, bits: u32, more: u32) -> f64 {
    let (behind, chance) = (hops.saturating_sub(1), (-f64::from(bits)).exp2());
    tail(behind, more + 1..behind + 1, chance, 1.0 - chance)
}

/// Probability that a packet that passes `before` routers, and then those of a circle of `length`, is said to loop
/// by its `hops`-th router at the latest, where the `n`-th router overwrites with probability `1/n` and hashes
/// never collide.
///
/// A chain over who wrote last. A match needs the router that wrote one circle ago to be the last one still; from
/// then on the hash stays, and each of `more` matches takes another circle.
pub fn loop_found(before: u32, length: u32, hops: u32, more: u32) -> f64 {
    let Some(last) = hops.checked_sub(more.saturating_mul(length)) else { return 0.0 };
    // By hop: the chance that it wrote last and nobody found its own hash yet.
    let mut wrote = vec![0.0; hops as usize + 1];
    let mut found = 0.0;
    for hop in 1..=last {
        if let Some(ago) = hop.checked_sub(length).filter(|ago| *ago > before) {
            found += std::mem::take(&mut wrote[ago as usize]);
        }
        let writes = f64::from(hop).recip();
        let open = if hop == 1 { 1.0 } else { wrote.iter().sum() };
        wrote.iter_mut().for_each(|chance| *chance *= 1.0 - writes);
        wrote[hop as usize] = open * writes;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_rates_of_false_loops() {
        // The paper: about 0.05 %, below 5e-7, below 5e-13.
        assert!((false_loop(32, 16, 0) / 0.0005 - 1.0).abs() < 0.06);
        assert!((4e-7..5e-7).contains(&false_loop(32, 15, 1)));
        assert!((4e-13..5e-13).contains(&false_loop(32, 14, 3)));
        assert!(false_loop(1, 1, 0).abs() < 1e-12);
        assert!((false_loop(2, 1, 0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn small_circles_by_hand() {
        // One router that sends to itself finds its hash at once.
        assert!((loop_found(0, 1, 2, 0) - 1.0).abs() < 1e-12);
        // Two in a circle: at hop 2 the second overwrites with 1/2, else the first matches at hop 3.
        assert!((loop_found(0, 2, 3, 0) - 0.5).abs() < 1e-12);
        // Behind one router, which is last with 1/2 after the circle's first; that one overwrote with 1/2.
        assert!((loop_found(1, 1, 3, 0) - 0.5).abs() < 1e-12);
        // Each further match takes a circle.
        assert!((loop_found(0, 2, 5, 1) - loop_found(0, 2, 3, 0)).abs() < 1e-12);
        assert!(loop_found(0, 4, 3, 1).abs() < 1e-12);
        // Who is patient finds more.
        assert!(loop_found(8, 4, 64, 0) < loop_found(8, 4, 255, 0));
    }
}
