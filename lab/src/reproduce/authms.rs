//! Authenticated marking: packets until a path stands, and what a forger achieves.
//!
//! Source: song2001 section 5. A path stands after as many packets as that of advanced marking II, and a
//! forger who knows everything but keys guesses one mark of 8 bits. The paper's own figures are not at hand.

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::Convergence;
use super::row::{Gate, Measured, Row, Said};
use traceback::law::Hops;
use traceback::schemes::ams2::FUNCTIONS;
use traceback::schemes::authms::chain::{Chain, INTERVALS, Role};
use traceback::schemes::authms::{AuthMs, Params};
use traceback::{Nanos, RouterId, Scheme};

/// Path lengths of the laws' table.
pub const LENGTHS: &[u8] = &[5, 10, 20];
/// Distances of 31 mean "or more", so paths end here.
pub const MOST_HOPS: u8 = 31;

/// Marks of so many functions that a forger guesses together, and trials that give a thousand hits or more.
const GUESSES: [(u32, u64); 2] = [(1, 1_000_000), (2, 100_000_000)];
const LATE: &str = "authms-late-believed";

/// All oracles.
pub fn jobs(lengths: &[u8]) -> Vec<Job> {
    let mean = lengths.iter().map(|&d| {
        let id = format!("authms-d{d}-mean");
        Job::new(vec![id.clone()], move |s| vec![path().mean(&id, d, None, 0.03, s)])
    });
    let guesses = GUESSES.map(|(functions, trials)| {
        let id = format!("authms-forged-f{functions}");
        Job::new(vec![id.clone()], move |s| vec![forged(&id, functions, trials, s)])
    });
    mean.chain(guesses).chain([Job::new(vec![LATE.into()], |s| vec![late(s)])]).collect()
}

fn scheme(params: &Params) -> AuthMs {
    AuthMs::new(params).expect("invariant: the defaults are in range")
}

fn path() -> Convergence<AuthMs> {
    let params = Params::default();
    Convergence {
        scheme: scheme(&params),
        cell: |_, mark| (1 << mark.distance, mark.function),
        cells: FUNCTIONS.into(),
        need: FUNCTIONS.into(),
        hops: Hops::Overwriting(params.p),
        rebuild: true,
    }
}

/// How often guessed marks of so many functions are all those of a router.
fn forged(id: &str, functions: u32, trials: u64, sampling: &Sampling) -> Row {
    const EACH: u64 = 10_000;
    let batches = sampling.runs(trials, trials / 20) / EACH;
    let hits = sampling.sample(id, batches, |chance: &mut Chance| {
        let router = RouterId(chance.draw());
        let key = Chain::of(chance.word(), router).keys[0];
        let digest = chance.word();
        let right = |chance: &mut Chance, function: u8| {
            // Every mark is of a packet of its own.
            let digest = digest ^ chance.word();
            key.hash(digest, Role::Writes, function, router) == chance.byte()
        };
        let all = |_: &u64| (0..functions).all(|f| right(chance, (f & 7) as u8));
        (0..EACH).filter(all).count() as u64
    });
    let law = (-f64::from(8 * functions)).exp2();
    let measured = Measured::share(hits.iter().sum(), batches * EACH);
    measured.row(id, Said { paper: None, law: Some(law) }, Gate::Law(0.15), sampling)
}

/// Packets whose key was public when they arrived, and for which that key is tried nevertheless.
fn late(sampling: &Sampling) -> Row {
    let params = Params::default();
    let ams = scheme(&params);
    let [interval, disclosure] =
        [params.interval_ms, params.disclosure_ms].map(|ms| ms * 1_000_000);
    let (runs, intervals) = (sampling.runs(100_000, 10_000), INTERVALS as u64);
    let tried = sampling.sample(LATE, runs, |chance| {
        let key = chance.below(INTERVALS);
        let out = (key as u64 + 1) * interval + disclosure;
        let after = chance.word() % (intervals * interval);
        ams.keys(Nanos(out + after)).any(|tried| tried <= key)
    });
    let count = tried.iter().filter(|tried| **tried).count() as u64;
    let said = Said { paper: None, law: Some(0.0) };
    Measured::count(count, runs).row(LATE, said, Gate::Exact, sampling)
}
