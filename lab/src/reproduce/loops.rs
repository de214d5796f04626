//! Loops told by PINT's bits: how often a path is taken for a loop, and how often a loop is found.
//!
//! Source: pint2020 appendix A.4: on paths of 32 hops about 0.05 % false loops with 16 bits, below 5e-7 with 15
//! and one further match, below 5e-13 with 14 and three. The last two are too rare to be sampled: their law is
//! checked where it is computed, and sampled here with fewer bits. How often loops are found the paper does not
//! say; before a TTL of 64 has run out, that is far from always.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use traceback::RouterId;
use traceback::law::{false_loop, loop_found};
use traceback::schemes::pint::loops::{Loops, Trail};

/// Hops of paths without loops.
const PATH: u8 = 32;
/// Bits of hash, further matches, what the paper says, packets.
const FALSE: [(u32, u8, Option<f64>, u64); 3] =
    [(16, 0, Some(0.000_5), 40_000_000), (8, 1, None, 4_000_000), (4, 3, None, 400_000)];
/// Bits of hash and further matches with which loops are looked for.
const FINDER: (u32, u8) = (15, 1);
/// Routers before the loop, and in it.
const CIRCLES: [(u8, u8); 2] = [(8, 2), (8, 4)];
/// Hops until a packet has spent its TTL.
const TTL: u8 = 64;

/// All oracles.
pub fn jobs() -> impl Iterator<Item = Job> {
    let wrong = FALSE.map(|(bits, more, paper, packets)| {
        let id = format!("pint-loop-false-b{bits}-t{more}");
        Job::new(vec![id.clone()], move |s| vec![false_loops(&id, (bits, more), paper, packets, s)])
    });
    let found = CIRCLES.map(|(before, length)| {
        let id = format!("pint-loop-found-l{length}");
        Job::new(vec![id.clone()], move |s| vec![loops_found(&id, before, length, s)])
    });
    wrong.into_iter().chain(found)
}

fn detector((bits, more): (u32, u8)) -> Loops {
    Loops::new(bits, more).expect("invariant: rows have 32 bits at most")
}

/// Whether some router on the way says that a packet loops.
fn says(loops: Loops, mut way: impl Iterator<Item = RouterId>, chance: &mut Chance) -> bool {
    let (digest, mut number) = (chance.word(), 0_u8);
    let mut trail = Trail { hash: chance.draw(), matches: chance.byte() };
    way.any(|me| {
        number = number.saturating_add(1);
        loops.step(me, number, digest, &mut trail)
    })
}

/// Routers that differ from each other, from a random one on.
fn routers(count: u8, chance: &mut Chance) -> impl Iterator<Item = RouterId> + Clone + use<> {
    let first = chance.draw();
    (0..u32::from(count)).map(move |n| RouterId(first.wrapping_add(n)))
}

fn share(
    id: &str,
    packets: u64,
    sampling: &Sampling,
    one: impl Fn(&mut Chance) -> bool + Sync,
) -> Measured {
    const EACH: u64 = 10_000;
    let batches = packets / EACH;
    let hits = sampling.sample(id, batches, |chance| (0..EACH).filter(|_| one(chance)).count());
    Measured::share(hits.iter().sum::<usize>() as u64, batches * EACH)
}

fn false_loops(
    id: &str,
    form: (u32, u8),
    paper: Option<f64>,
    packets: u64,
    sampling: &Sampling,
) -> Row {
    let loops = detector(form);
    let packets = sampling.runs(packets, packets / 10);
    let measured = share(id, packets, sampling, |chance| {
        let way = routers(PATH, chance);
        says(loops, way, chance)
    });
    let said = Said { paper, law: Some(false_loop(PATH.into(), form.0, form.1.into())) };
    measured.row(id, said, Gate::Law(0.05), sampling)
}

fn loops_found(id: &str, before: u8, length: u8, sampling: &Sampling) -> Row {
    let loops = detector(FINDER);
    let measured = share(id, sampling.runs(2_000_000, 100_000), sampling, |chance| {
        let all = routers(before + length, chance);
        let circle = all.clone().skip(before.into()).cycle();
        let way = all.take(before.into()).chain(circle).take(TTL.into());
        says(loops, way, chance)
    });
    let law = loop_found(before.into(), length.into(), TTL.into(), FINDER.1.into());
    measured.row(id, Said { paper: None, law: Some(law) }, Gate::Law(0.02), sampling)
}
