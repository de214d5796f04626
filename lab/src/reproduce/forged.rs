//! What a sender gains who forges marks: routers beyond the true first one, as likely as the true.
//!
//! Source: Park, Lee, INFOCOM 2001. Packets that nobody marks bring what their sender wrote. With probability
//! `(1 - p)^d` that is the case, against `p (1 - p)^(d - 1)` for the mark of the first router; so a sender can name
//! `1 / p - 1` routers upstream as often as the first router names itself, at any distance. The victim then
//! believes in the true one with probability `p`.

use super::Job;
use super::chance::Sampling;
use super::line::{Line, TTL};
use super::row::{Gate, Measured, Row, Said};
use traceback::Scheme;
use traceback::law::park_lee;
use traceback::schemes::node::{Mark, Node, Params};

/// Path lengths: the law does not depend on them.
const LENGTHS: [u8; 2] = [5, 20];
/// Packets of a run.
const PACKETS: u32 = 10_000;

/// Oracles of uncertainty.
pub fn jobs() -> impl Iterator<Item = Job> {
    LENGTHS.into_iter().map(|d| {
        let ids = ["posterior", "uncertainty"].map(|word| format!("park-lee-d{d}-{word}"));
        Job::new(ids.to_vec(), move |sampling| rows(&ids, d, sampling))
    })
}

fn rows([posterior, uncertainty]: &[String; 2], d: u8, sampling: &Sampling) -> Vec<Row> {
    let params = Params::default();
    let params = Params { p: 0.04, ..params };
    let node = Node::new(&params).expect("invariant: 1/25 is a probability");
    let runs = sampling.sample(posterior, sampling.runs(400, 60), |chance| {
        let line = Line::new(&node, d, chance);
        let (first, mut true_marks, mut forged) = (line.ids()[0].0, 0_u64, 0_u64);
        for _ in 0..PACKETS {
            // Nobody has an address in 0.0.0.0/8, so these are not the path's.
            let wanted = Mark(1 + chance.draw() % 24);
            let mark = line.send_from(&node, TTL, wanted, chance);
            true_marks += u64::from(mark.0 == first);
            forged += u64::from(mark.0 <= 24);
        }
        (true_marks, forged)
    });
    let (true_marks, forged) = runs.iter().fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1));
    let share = Measured::share(true_marks, true_marks + forged);
    let law = |law| Said { paper: None, law: Some(law) };
    // The factor's interval is that of the share, turned over.
    let mut factor = Measured { ours: share.ours.clone().map(|p| 1.0 / p - 1.0), ..share.clone() };
    if let Some(interval) = &mut factor.interval {
        (interval.low, interval.high) = (1.0 / interval.high - 1.0, 1.0 / interval.low - 1.0);
    }
    vec![
        share.row(posterior, law(params.p), Gate::Law(0.03), sampling),
        factor.row(uncertainty, law(park_lee(params.p)), Gate::Law(0.03), sampling),
    ]
}
