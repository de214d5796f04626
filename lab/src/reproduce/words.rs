//! Marks that need no distance: values of a polynomial, and words tied by a cord.
//!
//! Sources: dean2001 (as many points as coefficients, and not one fewer), goodrich2002. Laws are exact: that
//! of collecting so many different values of 257, and the coupon integral. The papers' own figures are
//! not at hand.

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::{Convergence, Line};
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeSet;
use traceback::law::{Hops, distinct_values, filter, survives};
use traceback::schemes::algebraic::{self, Algebraic, CHUNKS, POINTS, Points};
use traceback::schemes::rnl::{self, CORD, Mark, Rnl, WORDS};
use traceback::stats::Statistic;
use traceback::{RouterId, Scheme};

/// Path lengths.
pub const LENGTHS: &[u8] = &[5, 10, 20];
/// Points of a polynomial are 257, and each router takes four.
pub const MOST_HOPS: u8 = algebraic::MOST_HOPS;

/// Restarts of the random full path.
const RESTART: f64 = 0.04;
/// Routers whose words are combined.
const ROUTERS: u32 = 200;
const FALSE: &str = "rnl-false-n200";

/// Oracles of algebraic marking.
pub fn algebraic_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let both = lengths.iter().flat_map(|&d| [(d, 0.0, "mean"), (d, RESTART, "random")]);
    both.map(|(d, restart, word)| {
        let id = format!("algebraic-d{d}-{word}");
        Job::new(vec![id.clone()], move |s| vec![polynomial(&id, d, restart, s)])
    })
}

/// Oracles of randomize-and-link.
pub fn rnl_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let mean = lengths.iter().map(|&d| {
        let id = format!("rnl-d{d}-mean");
        Job::new(vec![id.clone()], move |s| vec![linked().mean(&id, d, None, 0.03, s)])
    });
    mean.chain([Job::new(vec![FALSE.into()], |s| vec![false_names(s)])])
}

/// Packets until the path stands, which is when as many different points as coefficients were seen.
fn polynomial(id: &str, d: u8, restart: f64, sampling: &Sampling) -> Row {
    let scheme = Algebraic::new(&algebraic::Params { restart, ..algebraic::Params::default() })
        .expect("invariant: restarts are probabilities");
    let samples = sampling
        .sample_mean(id, sampling.runs(2_000, 300), 0.03, |c| packets_to_path(&scheme, d, c));
    let points = distinct_values(POINTS, u32::from(d) * u32::from(CHUNKS));
    let whole = if restart > 0.0 { survives(restart, d.into()) } else { 1.0 };
    let said = Said { paper: None, law: Some(points / whole) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

fn packets_to_path(scheme: &Algebraic, d: u8, chance: &mut Chance) -> Option<f64> {
    let mut line = Line::new(scheme, d, chance);
    let (mut ledger, mut seen) = (Points::default(), BTreeSet::new());
    for packet in 1..1_000_000_u32 {
        line.inv.digest = chance.word();
        let mark = line.send(scheme, chance);
        let new = mark.routers == d && seen.insert(algebraic::point(&line.inv));
        let last = new && seen.len() == usize::from(d) * usize::from(CHUNKS);
        // One point fewer must not be enough.
        if last && line.rebuilds(scheme, ledger.clone()) {
            return None;
        }
        line.observe(scheme, mark, &mut ledger);
        if last {
            return line.rebuilds(scheme, ledger).then_some(packet.into());
        }
    }
    None
}

/// Randomize-and-link on one path.
fn linked() -> Convergence<Rnl> {
    let params = rnl::Params::default();
    Convergence {
        scheme: Rnl::new(&params).expect("invariant: the paper's parameters are in range"),
        cell: |line, mark| {
            let wrote = |id: &RouterId| {
                let word = id.0.to_be_bytes()[usize::from(mark.index)];
                rnl::cord(*id) == mark.cord && word == mark.word
            };
            // Two routers may share cord and word.
            let whose = line.ids().iter().fold(0, |bits, id| bits << 1 | u64::from(wrote(id)));
            (whose, mark.index)
        },
        cells: WORDS,
        need: WORDS,
        hops: Hops::Overwriting(params.p),
        rebuild: true,
    }
}

/// Wrong names among those that the words of [`ROUTERS`] routers make.
fn false_names(sampling: &Sampling) -> Row {
    let samples = sampling.sample(FALSE, sampling.runs(40_000, 4_000), |chance| {
        let mut routers = BTreeSet::new();
        while routers.len() < ROUTERS as usize {
            routers.insert(RouterId(chance.draw()));
        }
        let words = routers.iter().flat_map(|id| {
            let bytes = id.0.to_be_bytes();
            (0..).zip(bytes).map(|(index, word)| Mark { cord: rnl::cord(*id), index, word })
        });
        let named = rnl::link(words, u64::MAX).ok()?;
        Some(named.difference(&routers).count() as f64)
    });
    let law = filter::false_names(ROUTERS, CORD, WORDS, 8);
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(FALSE));
    measured.row(FALSE, Said { paper: None, law: Some(law) }, Gate::Law(0.1), sampling)
}
