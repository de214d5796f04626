//! PINT's code alone: packets until every hop's block is known, with blocks that never collide.
//!
//! Source: pint2020 section 4.2 and figure 5. A model of the code with unlimited digests, as the
//! paper's figure has it; the scheme itself, with its 8-bit digests, is measured in [`super::pint`].
//!
//! ```text
//! with probability tau   a packet holds one hop's block, every hop being equally likely
//! otherwise              the sum of the blocks of the hops that took part, each with probability p
//! ```
//! The paper's asymptotic claims (`k ln k`, `k log log* k`) are no targets.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use traceback::law::{self, Coupon, Hops};
use traceback::stats::Statistic;

/// A code over `hops` blocks, at most 64.
#[derive(Debug, Clone, Copy)]
struct Code {
    hops: usize,
    tau: f64,
    p: f64,
}

/// Oracles of the code.
pub fn jobs() -> Vec<Job> {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
    vec![
        Job::new(ids(&["pint-code-k2-mean"]), two_hops),
        Job::new(ids(&["pint-baseline-k25-median", "pint-baseline-k25-p99"]), baseline),
        Job::new(ids(&["pint-hybrid-k25-median", "pint-hybrid-k25-p99"]), hybrid),
    ]
}

fn two_hops(sampling: &Sampling) -> Vec<Row> {
    let id = "pint-code-k2-mean";
    let code = Code { hops: 2, tau: 0.5, p: 1.0 };
    let samples = sampling.sample(id, sampling.runs(400_000, 100_000), |c| code.packets(c));
    // Below a tenth of a percent of error without resampling so many runs.
    let said = Said { paper: Some(8.0 / 3.0), law: Some(law::pint_two_hops()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    vec![measured.row(id, said, Gate::Law(0.01), sampling)]
}

/// One hop's block in every packet: the coupon collector.
fn baseline(sampling: &Sampling) -> Vec<Row> {
    let law = Coupon::new(Hops::Uniform, 25, 1, 1).expect("invariant: 25 equal shares of 1");
    let code = Code { hops: 25, tau: 1.0, p: 0.0 };
    let said = |paper, law: u32| Said { paper: Some(paper), law: Some(law.into()) };
    let said = [said(89.0, law.quantile(0.5)), said(189.0, law.quantile(0.99))];
    quantiles("pint-baseline-k25", code, said, Gate::Law(0.02), sampling)
}

/// `tau = 3/4`, `p = ln ln 25 / ln 25`. The law of the mixture is not known.
fn hybrid(sampling: &Sampling) -> Vec<Row> {
    let ln = 25_f64.ln();
    let code = Code { hops: 25, tau: 0.75, p: ln.ln() / ln };
    let said = |paper| Said { paper: Some(paper), law: None };
    quantiles("pint-hybrid-k25", code, [said(41.0), said(68.0)], Gate::Paper(0.08), sampling)
}

fn quantiles(name: &str, code: Code, said: [Said; 2], gate: Gate, sampling: &Sampling) -> Vec<Row> {
    let samples = sampling.sample(name, sampling.runs(200_000, 50_000), |c| code.packets(c));
    let row = |((word, probability), said): ((&str, f64), Said)| {
        let id = format!("{name}-{word}");
        let statistic = Statistic::Quantile(probability);
        let measured = Measured::of(&samples, statistic, sampling.stream(&id));
        measured.row(&id, said, gate, sampling)
    };
    [("median", 0.5), ("p99", 0.99)].into_iter().zip(said).map(row).collect()
}

impl Code {
    /// Packets until every block is known.
    fn packets(&self, chance: &mut Chance) -> Option<f64> {
        let all = u64::MAX >> (64 - self.hops);
        let (mut known, mut pending) = (0_u64, vec![]);
        for packet in 1..=MOST_PACKETS {
            let set = if chance.happens(self.tau) {
                1 << chance.below(self.hops)
            } else {
                (0..self.hops).filter(|_| chance.happens(self.p)).fold(0, |set, hop| set | 1 << hop)
            };
            pending.push(set);
            peel(&mut known, &mut pending);
            if known == all {
                return Some(packet.into());
            }
        }
        None
    }
}

/// Takes known blocks out of sums until no sum of one block is left.
fn peel(known: &mut u64, pending: &mut Vec<u64>) {
    let mut before = 0;
    while before != known.count_ones() + 1 {
        before = known.count_ones() + 1;
        pending.retain(|set| {
            let left = set & !*known;
            if left.count_ones() == 1 {
                *known |= left;
            }
            left.count_ones() > 1
        });
    }
}

/// A run that takes longer has failed.
const MOST_PACKETS: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_peeled_to_the_end() {
        let (mut known, mut pending) = (0b0001, vec![0b1110, 0b0110, 0b0011, 0b1100_0000]);
        peel(&mut known, &mut pending);
        assert_eq!((known, pending), (0b1111, vec![0b1100_0000]));
    }
}
