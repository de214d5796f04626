//! Marking between autonomous systems: packets until the AS path stands, and what senders can still write.
//!
//! Sources: paruchuri2007, whose abstract says "just around 5 to 10 packets"; gao2007. Laws are exact: the
//! collector who draws several distinct items at once, and the coupon integral where the first AS always
//! marks.

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::{Convergence, Line, TTL};
use super::row::{Gate, Measured, Row, Said};
use traceback::Scheme;
use traceback::law::{Hops, distinct_draws};
use traceback::scheme::Field;
use traceback::schemes::asem::{self, Asem};
use traceback::schemes::fast::{self, Fast, MOST};
use traceback::stats::Statistic;

/// ASes of usual paths.
pub const LENGTHS: &[u8] = &[4, 5, 6];
/// ASes that FAST can count.
pub const MOST_OF_FAST: u8 = MOST;
/// Distances of 31 mean "or more", so paths end here.
pub const MOST_OF_ASEM: u8 = asem::FAR;

/// Oracles of FAST.
pub fn fast_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let pairs = lengths.iter().flat_map(|&d| [1, 2].map(|slots| (d, slots)));
    pairs.map(|(d, slots)| {
        let id = format!("fast-d{d}-s{slots}-mean");
        Job::new(vec![id.clone()], move |s| vec![sampled(&id, d, slots, s)])
    })
}

/// Oracles of ASEM.
pub fn asem_jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let mean = lengths.iter().map(|&d| {
        let id = format!("asem-d{d}-mean");
        Job::new(vec![id.clone()], move |s| vec![edges(d).mean(&id, d, None, 0.03, s)])
    });
    let forged = Job::new(vec![FORGED.into()], |s| vec![forged(s)]);
    mean.chain([forged])
}

const FORGED: &str = "asem-forged-arrived";

fn sampled(id: &str, d: u8, slots: u8, sampling: &Sampling) -> Row {
    let params = fast::Params { slots, ..fast::Params::default() };
    let path = Convergence {
        scheme: Fast::new(&params).expect("invariant: there are one or two slots"),
        cell: match slots {
            1 => |_, mark| (shown(1, mark), 0),
            _ => |_, mark| (shown(2, mark), 0),
        },
        cells: 1,
        need: 1,
        // Its own law is of sets of ASes.
        hops: Hops::Uniform,
        rebuild: true,
    };
    let samples = path.samples(id, d, sampling.runs(10_000, 2_000), 0.03, sampling);
    let said = Said { paper: None, law: Some(distinct_draws(d.into(), slots.into())) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

/// ASes in a mark, one bit for each, the victim's lowest.
fn shown(slots: u8, mark: fast::Mark) -> u64 {
    let params = fast::Params { slots, ..fast::Params::default() };
    let Ok(fast) = Fast::new(&params) else { return 0 };
    let places = fast.slots(mark).map(|(place, _)| place).filter(|place| *place > 0);
    places.fold(0, |bits, place| bits | 1 << mark.ases().saturating_sub(place))
}

/// ASEM with the probability that fits the path.
fn edges(d: u8) -> Convergence<Asem> {
    let p = f64::from(d).recip();
    Convergence {
        scheme: Asem::new(&asem::Params { p, ..asem::Params::default() })
            .expect("invariant: paths have an AS or more"),
        cell: |_, mark| (1 << mark.distance, 0),
        cells: 1,
        need: 1,
        hops: Hops::Resetting(p),
        rebuild: true,
    }
}

/// Packets that arrive with something that their sender wrote, past five ASes.
fn forged(sampling: &Sampling) -> Row {
    let Convergence { scheme, .. } = edges(5);
    let runs = sampling.runs(10_000, 1_000);
    let arrived = sampling.sample(FORGED, runs, |chance: &mut Chance| {
        let line = Line::new(&scheme, 5, chance);
        let mut again = *chance;
        let [one, other] = [0, u32::MAX].map(asem::Mark::unpack);
        let send = |chance: &mut Chance, mark| {
            let arrived = line.send_from(&scheme, TTL, mark, chance);
            (arrived.distance, arrived.edge)
        };
        send(chance, one) != send(&mut again, other)
    });
    let count = arrived.iter().filter(|a| **a).count() as u64;
    let said = Said { paper: None, law: Some(0.0) };
    Measured::count(count, runs).row(FORGED, said, Gate::Exact, sampling)
}
