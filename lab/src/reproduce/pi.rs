//! Pi and StackPi: fingerprints of paths, and what a filter by them lets in.
//!
//! Source: yaar2003 and yaar2006. Their curves need maps that are not at hand, so fingerprints are judged
//! by their laws on paths that share no link, and deployment by its order alone.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeMap;
use traceback::invariant::Invariant;
use traceback::law::filter::disjoint_acceptance;
use traceback::scheme::{Hop, Place};
use traceback::schemes::pi::{Mark, Pi};
use traceback::schemes::stackpi::StackPi;
use traceback::score::{Acceptance, acceptance};
use traceback::stats::Statistic;
use traceback::{RouterId, Scheme};

/// Routers of a path: more than the field has places.
const HOPS: u8 = 20;
/// Attackers of the rows about acceptance.
const ATTACKERS: u32 = 5_000;
/// Attackers where only half of the routers mark, each with a different start in every packet.
const FEW: u32 = 200;

/// Oracles of path identification.
pub fn jobs() -> Vec<Job> {
    let one = |id: &str, work: fn(&str, &Sampling) -> Row| {
        let id = id.to_owned();
        Job::new(vec![id.clone()], move |s| vec![work(&id, s)])
    };
    vec![
        one("pi-rotation", |id, s| same(id, s, rotated)),
        one("stackpi-ttl", |id, s| same(id, s, unturned)),
        one("pi-gap", |id, s| disjoint::<Pi>(id, s)),
        one("stackpi-gap", |id, s| disjoint::<StackPi>(id, s)),
        one("stackpi-over-pi-half", sparse),
        one("stackpi-ahead", |id, s| same(id, s, bridged)),
    ]
}

fn scheme<S: Scheme>() -> S {
    S::new(&S::Params::default()).expect("invariant: the paper's parameters are in range")
}

/// A path of routers, of which some take no part.
struct Path(Vec<(RouterId, bool)>);

impl Path {
    fn new(share: f64, chance: &mut Chance) -> Self {
        Self((0..HOPS).map(|_| (RouterId(chance.draw()), chance.happens(share))).collect())
    }

    /// One packet's mark at the victim.
    fn send<S: Scheme<Mark = Mark>>(&self, scheme: &S, ttl: u8, start: u16) -> u16 {
        let (mut from, inv) = (RouterId(0), Invariant::NONE);
        let next = self.0.iter().skip(1).map(|(to, deployed)| (*to, *deployed));
        let next = next.chain([(RouterId(0), true)]);
        let visits = self.0.iter().zip(next).zip((0..=ttl).rev());
        let mark = visits.fold(Mark(start), |mark, (((me, deployed), (to, known)), ttl)| {
            let local = scheme.local(&Place { id: *me, index: 0, degree: 2, asn: 0 });
            let hop =
                Hop { me: *me, from: std::mem::replace(&mut from, *me), ttl, ..Hop::default() };
            if *deployed { scheme.mark(&local, &hop, &inv, mark).mark } else { mark }
        });
        mark.0
    }
}

/// Paths whose mark is not what it was when sent with another start and a higher TTL.
fn same(id: &str, sampling: &Sampling, holds: fn(&Path, u8, &mut Chance) -> bool) -> Row {
    let runs = sampling.runs(100_000, 10_000);
    let wrong = sampling.sample(id, runs, |chance| {
        let (path, more) = (Path::new(1.0, chance), chance.byte() & 63);
        !holds(&path, more, chance)
    });
    let said = Said { paper: None, law: Some(0.0) };
    let count = wrong.into_iter().filter(|wrong| *wrong).count() as u64;
    Measured::count(count, runs).row(id, said, Gate::Exact, sampling)
}

fn rotated(path: &Path, more: u8, chance: &mut Chance) -> bool {
    let pi: Pi = scheme();
    let turn = u32::from(more % 8 * 2);
    path.send(&pi, 64, start(chance)).rotate_left(turn) == path.send(&pi, 64 + more, start(chance))
}

fn unturned(path: &Path, more: u8, chance: &mut Chance) -> bool {
    let stack: StackPi = scheme();
    path.send(&stack, 64, start(chance)) == path.send(&stack, 64 + more, start(chance))
}

/// Whether gaps of one router, at random places, leave no trace.
fn bridged(path: &Path, _: u8, chance: &mut Chance) -> bool {
    let stack: StackPi = scheme();
    let mut gaps = Path(path.0.clone());
    let mut last = true;
    for (_, deployed) in &mut gaps.0[1..] {
        *deployed = !(last && chance.happens(0.3));
        last = *deployed;
    }
    gaps.send(&stack, 64, start(chance)) == path.send(&stack, 64, start(chance))
}

fn start(chance: &mut Chance) -> u16 {
    (chance.word() >> 48) as u16
}

/// The acceptance gap on paths that share nothing.
fn disjoint<S>(id: &str, sampling: &Sampling) -> Row
where
    S: Scheme<Mark = Mark>,
{
    let runs = sampling.runs(200, 30);
    let samples = sampling
        .sample(id, runs, |chance| Some(filter(&scheme::<S>(), ATTACKERS, 1.0, chance)?.gap));
    let said = Said { paper: None, law: Some(disjoint_acceptance(16, ATTACKERS)) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.01), sampling)
}

/// StackPi's gap over Pi's where half of the routers mark; the paper has it above 1.
fn sparse(id: &str, sampling: &Sampling) -> Row {
    let runs = sampling.runs(2_000, 300);
    let gaps = sampling.sample(id, runs, |chance| {
        let stack = filter(&scheme::<StackPi>(), FEW, 0.5, chance)?.gap;
        Some((stack, filter(&scheme::<Pi>(), FEW, 0.5, chance)?.gap))
    });
    let ratios: Vec<_> = gaps.into_iter().map(|both| both.map(|(stack, pi)| stack / pi)).collect();
    let measured = Measured::of(&ratios, Statistic::Mean, sampling.stream(id));
    measured.row(id, Said::default(), Gate::AtLeast(1.0), sampling)
}

/// A filter that learns from ten packets of every attacker, then meets ten more of each and as many honest
/// packets of other paths. Every packet starts with bits of its sender's choice.
fn filter<S>(scheme: &S, attackers: u32, share: f64, chance: &mut Chance) -> Option<Acceptance>
where
    S: Scheme<Mark = Mark>,
{
    let [mut learned, mut honest, mut attack] = [(); 3].map(|()| BTreeMap::<u32, u64>::new());
    for _ in 0..attackers {
        let (attacker, other) = (Path::new(share, chance), Path::new(share, chance));
        for packet in 0..20 {
            let to = if packet < 10 { &mut learned } else { &mut attack };
            *to.entry(attacker.send(scheme, 64, start(chance)).into()).or_default() += 1;
        }
        *honest.entry(other.send(scheme, 64, start(chance)).into()).or_default() += 1;
    }
    acceptance(&learned, &honest, &attack)
}
