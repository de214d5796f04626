//! FMS over the flow label: packets until a path stands, in both layouts.
//!
//! Source: savage2000 section 7 proposes the field; the layouts are ours, so the exact law alone judges.

use super::Job;
use super::chance::Sampling;
use super::line::Convergence;
use super::packets;
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeSet;
use traceback::checksum;
use traceback::invariant::Key;
use traceback::law::Hops;
use traceback::packet::Packet;
use traceback::scheme::{Hop, Place};
use traceback::schemes::fms6::{Fms6, Fragments, Layout, Params};
use traceback::schemes::fragments::decode::{self, Seen};
use traceback::schemes::fragments::{Code, FAR};
use traceback::vantage::{At, Draws, Setting, Vantage};
use traceback::{RouterId, Scheme};

/// Path lengths of the laws' table.
pub const LENGTHS: &[u8] = &[5, 10, 20];
/// Distances of [`FAR`] mean "or more", so paths end here.
pub const MOST_HOPS: u8 = FAR;

const LAYOUTS: [(Layout, &str); 2] = [(Layout::Short, "short"), (Layout::Long, "long")];
/// Routers at one distance whose short names are combined.
const ROUTERS: u32 = 20;
const FALSE: &str = "fms6-false-edge-m20";
const CHECKSUM: &str = "fms6-checksum-valid";

/// All oracles.
pub fn jobs(lengths: &[u8]) -> Vec<Job> {
    let pairs = lengths.iter().flat_map(|&d| LAYOUTS.map(|(layout, word)| (d, layout, word)));
    let mean = pairs.map(|(d, layout, word)| {
        let id = format!("fms6-d{d}-{word}");
        Job::new(vec![id.clone()], move |s| vec![path(layout).mean(&id, d, None, 0.03, s)])
    });
    let rest = [
        Job::new(vec![CHECKSUM.into()], |s| vec![checksums(s)]),
        Job::new(vec![FALSE.into()], |s| vec![false_edges(s)]),
    ];
    mean.chain(rest).collect()
}

fn scheme(layout: Layout, p: f64) -> Fms6 {
    Fms6::new(&Params { p, layout, ..Params::default() })
        .expect("invariant: the paper's parameters are in range")
}

fn path(layout: Layout) -> Convergence<Fms6> {
    let p = Params::default().p;
    Convergence {
        scheme: scheme(layout, p),
        cell: match layout {
            Layout::Short => |_, mark| {
                let (offset, distance, _) = Layout::Short.split(mark);
                (1 << distance, offset)
            },
            Layout::Long => |_, mark| {
                let (offset, distance, _) = Layout::Long.split(mark);
                (1 << distance, offset)
            },
        },
        cells: layout.fragments(),
        need: layout.fragments(),
        hops: Hops::Overwriting(p),
        rebuild: true,
    }
}

/// How often some wrong combination of the fragments of [`ROUTERS`] routers passes the check.
fn false_edges(sampling: &Sampling) -> Row {
    let layout = Layout::Short;
    let hits = sampling.sample(FALSE, sampling.runs(80_000, 2_000), |chance| {
        let mut names: Vec<Fragments> = vec![];
        while names.len() < ROUTERS as usize {
            let name = layout.cut(RouterId(chance.draw()));
            // The law counts m^k different combinations, as far as the last fragment's four bits allow.
            let other = |n: &Fragments| n.iter().zip(name).take(5).all(|(a, b)| *a != b);
            if names.iter().all(other) {
                names.push(name);
            }
        }
        let mut marks = BTreeSet::new();
        for (offset, name) in (0..6_u8).flat_map(|o| names.iter().map(move |n| (o, n))) {
            marks.insert((offset, name[usize::from(offset)]));
        }
        let ends = marks.iter().filter(|(offset, _)| *offset == 5).count();
        let seen = |(offset, fragment)| Seen { distance: 0, offset, fragment, packets: 1 };
        let case = packets::case(RouterId(0));
        let found = decode::unravelled(layout, &case, marks.into_iter().map(seen));
        (ends, found.map_or(0, |graph| graph.edges.len()) > names.len())
    });
    // The last fragment has as many values as it has, fewer than there are routers.
    let law = |(ends, _): &(usize, bool)| {
        let combinations = f64::from(ROUTERS).powi(5) * *ends as f64;
        -(-combinations * (-32_f64).exp2()).exp_m1()
    };
    let law = hits.iter().map(law).sum::<f64>() / hits.len() as f64;
    let count = hits.iter().filter(|(_, hit)| *hit).count() as u64;
    let said = Said { paper: None, law: Some(law) };
    Measured::share(count, hits.len() as u64).row(FALSE, said, Gate::Law(0.2), sampling)
}

/// Marked packets whose UDP checksum, computed anew over all of their bytes, does not hold.
fn checksums(sampling: &Sampling) -> Row {
    let packets = sampling.runs(200, 40);
    let wrong = sampling.sample(CHECKSUM, packets, |chance| {
        let place = Place { id: RouterId(chance.draw()), index: 0, degree: 2, asn: 0 };
        let (draws, key) = (Draws::Seeded(chance.word()), Key(0, 0));
        let layout = LAYOUTS[chance.below(2)].0;
        let setting = Setting { place, key, draws, filter: None };
        let mut router = At::new(std::sync::Arc::new(scheme(layout, 0.5)), setting);
        let wrong = |_: &u32| {
            let mut bytes: Vec<u8> = (0..52).map(|_| chance.byte()).collect();
            bytes[0] = 0x60 | bytes[0] & 0xf;
            bytes[4..7].copy_from_slice(&[0, 12, 17]);
            bytes[44..48].copy_from_slice(&[0, 12, 0, 0]);
            let sum = |bytes: &[u8]| checksum::fold(checksum::sum(&bytes[8..]) + 17 + 12);
            let check = (!sum(&bytes)).to_be_bytes();
            bytes[46..48].copy_from_slice(&check);
            let Ok(mut packet) = Packet::parse(&mut bytes[..]) else { return true };
            router.forward(Hop { ttl: 64, ..Hop::default() }, &mut packet);
            sum(&bytes) != 0xffff
        };
        (0..1_000).filter(wrong).count() as u64
    });
    let said = Said { paper: None, law: Some(0.0) };
    let measured = Measured::count(wrong.iter().sum(), packets * 1_000);
    measured.row(CHECKSUM, said, Gate::Exact, sampling)
}
