//! DPM and its descendants: packets until an ingress is known, and false addresses among many sources.
//!
//! Source: belenky2003, belenky2007 and xiang2009. Packets follow the coupon law of `f k` equal marks.
//!
//! Trap: rules of thumb put the mean number of sources of an area into `E^k`; the mean of `E^k` is far
//! more, so that 1 % of false addresses is reached at 74 sources instead of 1,450 (`a = 4`, `d = 10`). The law
//! here takes the mean where it belongs: see [`traceback::law::segments`].

use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use super::{Job, packets};
use std::collections::BTreeSet;
use traceback::case::{Budget, Evidence, Step};
use traceback::graph::Finding;
use traceback::invariant::Invariant;
use traceback::law::{Coupon, Hops, segments::Segments};
use traceback::marks::Marks;
use traceback::scheme::{Hop, Place};
use traceback::schemes::segments::Layout;
use traceback::schemes::{dpm, hdpm};
use traceback::stats::Statistic;
use traceback::{Ledger, RouterId, Scheme};

/// A run that takes longer has failed.
const MOST_PACKETS: u32 = 100_000;
/// Sources of the row that counts false addresses with 17 bits.
const SOURCES: u32 = 200;
/// The same with the 24 bits of FDPM, whose paper speaks of 110,000.
const MANY: u32 = 100_000;

/// Oracles of deterministic marking.
pub fn jobs() -> Vec<Job> {
    let layouts = [("hdpm-k8", 4, 1), ("hdpm-k16", 2, 1), ("hdpm-k32", 1, 1), ("hdpm-f4-k8", 4, 4)];
    let digests = layouts.map(|(name, a, f)| {
        let id = format!("{name}-mean");
        Job::new(vec![id.clone()], move |s| vec![with_digest(&id, a, f, s)])
    });
    let mut jobs = vec![Job::new(vec!["dpm-mean".into(), "dpm-n10".into()], plain)];
    jobs.extend(digests);
    let (narrow, wide) = ("hdpm-false-addresses", "fdpm-100k-false-addresses");
    let narrow = Job::new(vec![narrow.into()], move |s| {
        vec![false_addresses(narrow, 17, SOURCES, s.runs(20_000, 4_000), s)]
    });
    let wide = Job::new(vec![wide.into()], move |s| {
        vec![false_addresses(wide, 24, MANY, s.runs(20, 2), s)]
    });
    jobs.extend([narrow, wide]);
    jobs
}

fn plain(sampling: &Sampling) -> Vec<Row> {
    let dpm = dpm::Dpm::new(&dpm::Params::default()).expect("invariant: defaults are in range");
    let runs = sampling.runs(20_000, 20_000);
    let samples = sampling.sample("dpm", runs, |chance| packets_to_ingress(&dpm, chance));
    let law = Coupon::new(Hops::Uniform, 1, 2, 2).expect("invariant: two halves of one hop");
    let said = Said { paper: Some(3.0), law: Some(law.mean()) };
    let mean = Measured::of(&samples, Statistic::Mean, sampling.stream("dpm"));
    let soon = samples.iter().flatten().filter(|n| **n <= 10.0).count() as u64;
    let within = Said { paper: Some(0.998), law: Some(law.within(10)) };
    vec![
        mean.row("dpm-mean", said, Gate::Law(0.02), sampling),
        Measured::share(soon, runs).row("dpm-n10", within, Gate::Law(0.02), sampling),
    ]
}

fn with_digest(id: &str, a: u32, f: u32, sampling: &Sampling) -> Row {
    let hdpm = hdpm::Hdpm::new(&hdpm::Params { a, f }).expect("invariant: a lawful layout");
    let runs = sampling.runs(10_000, 3_000);
    let samples = sampling.sample_mean(id, runs, 0.02, |chance| packets_to_ingress(&hdpm, chance));
    let law = Coupon::new(Hops::Uniform, 1, f * 32 / a, f * 32 / a)
        .expect("invariant: at most 64 marks of one hop");
    let said = Said { paper: None, law: Some(law.mean()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.02), sampling)
}

/// Packets until reconstruction names exactly the one ingress router.
fn packets_to_ingress<S: Scheme>(scheme: &S, chance: &mut Chance) -> Option<f64>
where
    S::Ledger: Ledger,
{
    let me = RouterId(chance.draw());
    let local = scheme.local(&Place { id: me, index: 0, degree: 2, asn: 0 });
    let (case, inv) = (packets::case(me), Invariant { digest: 0, flow: 7 });
    let mut evidence = Evidence::<S::Ledger>::default();
    for packet in 1..=MOST_PACKETS {
        let hop = Hop { me, edge: 1, draw: chance.draw(), ..Hop::default() };
        let before = traceback::scheme::Field::unpack(chance.draw());
        let mark = scheme.mark(&local, &hop, &inv, before).mark;
        let ledger = evidence.ledgers.entry(me).or_default();
        scheme.observe(&hop, &inv, mark, &[], ledger);
        match scheme.reconstruct(&case, &evidence) {
            Ok(Step::Done(Finding::Ingress { routers })) => {
                return (routers == BTreeSet::from([me])).then_some(packet.into());
            }
            Ok(_) => return None,
            Err(_) => {}
        }
    }
    None
}

/// Addresses that are no source's, when all marks of many sources are in.
fn false_addresses(id: &str, bits: u32, n: u32, runs: u64, sampling: &Sampling) -> Row {
    let layout = Layout::new(bits, 4, 1).expect("invariant: four bits of address leave a digest");
    let samples = sampling.sample(id, runs, |c| Some(f64::from(extra(&layout, n, c)?)));
    let law = Segments { n, a: layout.a, d: layout.d, f: layout.f }.false_addresses();
    let said = Said { paper: None, law: Some(law) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.1), sampling)
}

/// False addresses of one run; `None` where a true one is missing or the budget ends.
fn extra(layout: &Layout, sources: u32, chance: &mut Chance) -> Option<u32> {
    let mut truth = BTreeSet::new();
    while truth.len() < sources as usize {
        truth.insert(RouterId(chance.draw()));
    }
    let mut marks = Marks::default();
    for address in &truth {
        for function in 0..layout.f {
            let each = |index| layout.mark(address.0, function, index);
            (0..layout.segments()).for_each(|index| marks.add(each(index), usize::MAX));
        }
    }
    let budget = Budget { candidates: 1 << 36, ..Budget::default() };
    let found = layout.addresses(&marks, &budget).ok()?;
    let all = truth.iter().all(|address| found.contains(address));
    all.then(|| u32::try_from(found.len() - truth.len()).unwrap_or(u32::MAX))
}
