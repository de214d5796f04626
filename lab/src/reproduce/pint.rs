//! PINT: packets until a path is known, with the scheme's own marks and decoder.
//!
//! Source: pint2020 section 6.3 and figure 10(a), Kentucky Datalink, two instances of 8 bits (read
//! from the vectors of the figure).
//!
//! Traps: the text's "42 packets" is the mean of the curve over 2 to 59 hops, not its value at 59,
//! which is 67.8; the published decoder knows which switches are on the path and ours does not, so
//! that 59 hops are expected to take 70 to 85 packets; the curves for 1 and 4 bits break the
//! information bound and are not here, nor is the baseline that counts each packet twice.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use traceback::invariant::Invariant;
use traceback::scheme::Hop;
use traceback::schemes::pint::{Decoder, INSTANCES, Mark, Params, Pint};
use traceback::stats::Statistic;
use traceback::{RouterId, Scheme};

/// Path lengths at which the figure was read.
pub const LENGTHS: &[u8] = &[5, 10, 25, 36, 59];
/// The decoder's longest path.
pub const MOST_HOPS: u8 = 64;

/// Figure 10(a): hops, mean.
pub const FIGURE_10: &[(u8, f64)] = &[(5, 11.3), (10, 23.4), (25, 41.0), (36, 47.9), (59, 67.8)];
/// Switches of the topology: every one is a candidate for every hop.
const SWITCHES: u32 = 753;
/// A run that takes longer has failed.
const MOST_PACKETS: usize = 5_000;
/// The lengths that the paper's average of 42.1 goes over, as its figure says.
const AVERAGED: std::ops::RangeInclusive<u8> = 2..=59;
const AVERAGE: &str = "pint-k2to59-mean";

/// Oracles of path tracing; the average over lengths where asked for.
pub fn jobs(lengths: &[u8], average: bool) -> Vec<Job> {
    let each = lengths.iter().map(|&k| {
        let id = format!("pint-k{k}-mean");
        Job::new(vec![id.clone()], move |sampling| vec![at_length(&id, k, sampling)])
    });
    let over = average.then(|| Job::new(vec![AVERAGE.into()], |s| vec![over_lengths(s)]));
    each.chain(over).collect()
}

fn scheme() -> Pint {
    Pint::new(&Params::default()).expect("invariant: the paper's parameters are in range")
}

fn at_length(id: &str, k: u8, sampling: &Sampling) -> Row {
    let runs = sampling.runs(2_000, 300);
    let samples = sampling.sample(id, runs, |chance| packets_to_path(k, chance));
    let paper = FIGURE_10.iter().find(|(length, _)| *length == k).map(|(_, mean)| *mean);
    let gate = match (k, paper) {
        (59, _) => Gate::Between(70.0, 85.0),
        (10..=36, Some(_)) => Gate::Paper(0.08),
        // No decoder can do with fewer bits than tell the paths apart.
        _ => Gate::AtLeast(f64::from(k) * f64::from(SWITCHES).log2() / (8.0 * INSTANCES as f64)),
    };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, Said { paper, law: None }, gate, sampling)
}

/// One run takes a path of every length; its value is the mean over them.
fn over_lengths(sampling: &Sampling) -> Row {
    let runs = sampling.runs(1_000, 50);
    let lengths = f64::from(AVERAGED.end() - AVERAGED.start() + 1);
    let samples = sampling.sample(AVERAGE, runs, |chance| {
        let each = AVERAGED.map(|k| packets_to_path(k, chance));
        each.sum::<Option<f64>>().map(|sum| sum / lengths)
    });
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(AVERAGE));
    measured.row(AVERAGE, Said { paper: Some(42.1), law: None }, Gate::Paper(0.15), sampling)
}

/// Packets until the decoder names exactly the true path; `None` where it contradicts itself.
fn packets_to_path(k: u8, chance: &mut Chance) -> Option<f64> {
    Trial::new(k, chance).told
}

/// A path, and packets that came over it.
pub struct Trial {
    pint: Pint,
    /// Every switch; those of the path come first.
    ids: Vec<RouterId>,
    hops: u8,
    /// By packet: its hash, and its digests at the victim.
    packets: Vec<(u64, Mark)>,
    /// How many packets told the path; `None` where the decoder contradicted itself or named another.
    told: Option<f64>,
}

impl Trial {
    /// A random path of `k` switches out of [`SWITCHES`], with as many packets as tell it.
    pub fn new(k: u8, chance: &mut Chance) -> Self {
        let pint = scheme();
        // Loopbacks as plans number them.
        let mut ids: Vec<RouterId> = (0..SWITCHES).map(|i| RouterId(0x0aff_0001 + i)).collect();
        for hop in 0..usize::from(k) {
            let other = hop + chance.below(ids.len() - hop);
            ids.swap(hop, other);
        }
        let mut decoder = Decoder::new(pint, ids.clone(), k);
        let mut packets = vec![];
        while packets.len() < MOST_PACKETS && !decoder.contradicted() && decoder.path().is_none() {
            let digest = chance.word();
            let mark = send(&pint, &ids[..usize::from(k)], digest, chance);
            decoder.add(digest, mark);
            packets.push((digest, mark));
        }
        let right = decoder.path().is_some_and(|path| path == ids[..usize::from(k)]);
        let told = right.then_some(packets.len() as f64);
        Self { pint, ids, hops: k, packets, told }
    }

    /// Whether the decoder names the path again, from its first packet on.
    pub fn decodes(&self) -> bool {
        let mut decoder = Decoder::new(self.pint, self.ids.clone(), self.hops);
        self.packets.iter().for_each(|(digest, mark)| decoder.add(*digest, *mark));
        decoder.path().is_some_and(|path| path == self.ids[..usize::from(self.hops)])
    }
}

/// One packet's digests at the victim; it starts with whatever its sender wrote.
fn send(pint: &Pint, path: &[RouterId], digest: u64, chance: &mut Chance) -> Mark {
    let inv = Invariant { digest, flow: 0 };
    let start = Mark([chance.byte(), chance.byte()]);
    let ttls = (0..=u8::MAX).rev();
    path.iter().zip(ttls).fold(start, |mark, (me, ttl)| {
        let hop = Hop { me: *me, ttl, ..Hop::default() };
        pint.mark(me, &hop, &inv, mark).mark
    })
}
