//! The law against tables of papers, of the reference, and a Markov chain.

use super::*;
use crate::law::harmonic;
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
