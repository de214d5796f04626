//! ICMP traceback: packets until routers are heard, traffic that it costs, and what intention changes.
//!
//! Source: draft-ietf-itrace-04 sections 3.1 and 3.1.1 (1/20,000, half of it to each end, 0.1 % at twenty hops);
//! mankin2001 for intention (its abstract claims that all messages become useful; its figures are not at hand).
//! That a message names the links on both sides, so that every other router is enough, is in no paper's number:
//! `path` has its own law.

use super::Job;
use super::chance::{Chance, Sampling};
use super::packets::{self, udp4};
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use traceback::case::{Case, Evidence, Step};
use traceback::graph::Finding;
use traceback::invariant::{Invariant, Key};
use traceback::packet::Packet;
use traceback::scheme::{About, End, Hop, Place};
use traceback::schemes::itrace::{Heard, ITrace, Params};
use traceback::stats::Statistic;
use traceback::vantage::{At, Draws, Setting, Vantage};
use traceback::{Nanos, RouterId, Scheme, law};

/// Path lengths where none are asked for.
pub const LENGTHS: &[u8] = &[1, 10];
/// Longest path that has rows.
pub const MOST_HOPS: u8 = 30;
/// A run that takes longer than this many packets has failed.
const MOST_PACKETS: u32 = 10_000_000;
/// Hops of the draft's estimate of traffic.
const DIAMETER: u8 = 20;
/// One packet in so many goes to somebody who wants messages.
const WANTED: u32 = 10;

/// All oracles.
pub fn jobs(lengths: &[u8]) -> impl Iterator<Item = Job> {
    let length = |d: &u8| {
        let d = *d;
        let ids = ["all", "path"].map(|what| format!("itrace-d{d}-{what}-mean"));
        Job::new(ids.to_vec(), move |s| converging(&ids, d, s))
    };
    let mut jobs: Vec<Job> = lengths.iter().map(length).collect();
    let traffic = ["itrace-d20-traffic", "itrace-d20-destination"];
    jobs.push(Job::new(traffic.map(str::to_owned).to_vec(), move |s| extra(traffic, s)));
    let shares = ["iitrace-useful-plain", "iitrace-useful", "iitrace-rate"];
    jobs.push(Job::new(shares.map(str::to_owned).to_vec(), move |s| intention(shares, s)));
    jobs.into_iter()
}

fn scheme(params: &Params) -> ITrace {
    ITrace::new(params).expect("invariant: the draft's parameters are in range")
}

/// Packets until all routers are heard, and until the path is rebuilt.
fn converging(ids: &[String; 2], d: u8, sampling: &Sampling) -> Vec<Row> {
    let q = Params::default().p / 2.0;
    let laws = [law::independent_messages(q, d.into()), law::linked_messages(q, d.into())];
    let itrace = scheme(&Params::default());
    let runs = sampling.sample(
        &ids[0],
        sampling.runs(if d == 1 { 32_000 } else { 10_000 }, 200),
        |chance| Victim::new(d, chance).listen(&itrace, chance),
    );
    let row = |at: usize| {
        let samples: Vec<_> = runs.iter().map(|run| run[at].map(f64::from)).collect();
        let said = Said { paper: None, law: Some(laws[at]) };
        let stream = sampling.stream(&ids[at]);
        Measured::of(&samples, Statistic::Mean, stream).row(
            &ids[at],
            said,
            Gate::Law(0.03),
            sampling,
        )
    };
    vec![row(0), row(1)]
}

/// Who listens at the end of one path.
struct Victim {
    routers: Vec<RouterId>,
    packet: Vec<u8>,
    key: Key,
    heard: Heard,
}

impl Victim {
    fn new(d: u8, chance: &mut Chance) -> Self {
        let routers = (1..=d).map(|i| RouterId(0xc613_0000 + u32::from(i))).collect();
        let mut packet = udp4(chance);
        packet[16..20].copy_from_slice(&VICTIM.octets());
        packets::repair(&mut packet);
        let key = Key(chance.word(), chance.word());
        Self { routers, packet, key, heard: Heard::default() }
    }

    /// Packets until every router was heard, and until the messages gave the path.
    fn listen(mut self, itrace: &ITrace, chance: &mut Chance) -> [Option<u32>; 2] {
        let mut silent: BTreeSet<usize> = (0..self.routers.len()).collect();
        let (mut all, mut path) = (None, None);
        for packet in 1..=MOST_PACKETS {
            for router in 0..self.routers.len() {
                let hop = Hop { draw: chance.draw(), wanted: 1, ..Hop::default() };
                let tell = itrace.mark(&(), &hop, &Invariant::NONE, ()).tell;
                if tell == Some(End::Destination) && silent.remove(&router) {
                    self.hear(itrace, router);
                }
            }
            path = path.or_else(|| self.knows(itrace, &silent).then_some(packet));
            if silent.is_empty() {
                all = Some(packet);
                break;
            }
        }
        [all, path]
    }

    /// Takes the message of one router, as it arrives.
    fn hear(&mut self, itrace: &ITrace, at: usize) {
        let id = |at: Option<usize>| at.and_then(|at| self.routers.get(at)).copied();
        let hop = Hop {
            me: self.routers[at],
            from: id(at.checked_sub(1)).unwrap_or_default(),
            to: id(Some(at + 1)).unwrap_or_default(),
            ..Hop::default()
        };
        let (key, to) = (self.key, IpAddr::V4(VICTIM));
        let mut message = vec![];
        itrace.message(
            &About { key, hop: &hop, out: 0, from: &[], packet: &self.packet, to },
            &mut message,
        );
        let passed = u8::try_from(self.routers.len() - 1 - at).unwrap_or(u8::MAX);
        if let Ok(mut packet) = Packet::parse(&mut message[..]) {
            packet.set_ttl(255 - passed);
        }
        if let Ok(packet) = Packet::parse(&message[..]) {
            itrace.hear(&Hop::default(), &packet, &mut self.heard);
        }
    }

    /// Whether what was heard gives exactly the path. Nothing new was heard where the law says that it cannot.
    fn knows(&self, itrace: &ITrace, silent: &BTreeSet<usize>) -> bool {
        let hidden = |at: &usize| *at == 0 || silent.contains(&(at + 1));
        if silent.iter().any(hidden) {
            return false;
        }
        let Some(gateway) = self.routers.last() else { return false };
        let case = Case { key: self.key, ..packets::case(*gateway) };
        let filter = traceback::case::Filter { victim: VICTIM.into(), ..case.filter };
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(*gateway, self.heard.clone());
        match itrace.reconstruct(&Case { filter, ..case }, &evidence) {
            Ok(Step::Done(Finding::Paths(graph))) => {
                graph.paths == BTreeSet::from([self.routers.clone()])
            }
            Ok(_) | Err(_) => false,
        }
    }
}

const VICTIM: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Messages for each packet over the draft's diameter, and the half of them that goes on.
fn extra(ids: [&str; 2], sampling: &Sampling) -> Vec<Row> {
    let itrace = scheme(&Params::default());
    let (runs, packets) = (sampling.runs(800, 50), 40_000_u64);
    let counts = sampling.sample(ids[0], runs, |chance| {
        let mut counts = [0_u64; 2];
        for _ in 0..packets * u64::from(DIAMETER) {
            let hop = Hop { draw: chance.draw(), wanted: 1, ..Hop::default() };
            let tell = itrace.mark(&(), &hop, &Invariant::NONE, ()).tell;
            counts[0] += u64::from(tell.is_some());
            counts[1] += u64::from(tell == Some(End::Destination));
        }
        counts
    });
    let [all, on] = [0, 1].map(|i| counts.iter().map(|c| c[i]).sum::<u64>());
    let share = f64::from(DIAMETER) * Params::default().p;
    let said = |law: f64| Said { paper: Some(law), law: Some(law) };
    vec![
        Measured::share(all, runs * packets).row(ids[0], said(share), Gate::Law(0.03), sampling),
        Measured::share(on, all).row(ids[1], said(0.5), Gate::Law(0.03), sampling),
    ]
}

/// The share of messages that somebody wants, without intention and with it, and how many there are with it.
fn intention(ids: [&str; 3], sampling: &Sampling) -> Vec<Row> {
    let plain = Params { p: 1e-3, ..Params::default() };
    let driven = Params { intention: true, wanted: vec![VICTIM.into()], ..plain.clone() };
    let (runs, packets) = (sampling.runs(1_000, 20), 100_000);
    let count = |params: &Params| {
        let itrace = Arc::new(scheme(params));
        // The same draws for both.
        let counts = sampling.sample(ids[0], runs, |chance| useful(&itrace, packets, chance));
        [0, 1].map(|i| counts.iter().map(|c: &[u64; 2]| c[i]).sum::<u64>())
    };
    let ([all, useful], [all_driven, useful_driven]) = (count(&plain), count(&driven));
    let said = |law: f64| Said { paper: None, law: Some(law) };
    let share = f64::from(WANTED).recip();
    let sent = runs * u64::from(packets);
    let rate = Measured::share(all_driven, sent);
    vec![
        Measured::share(useful, all).row(ids[0], said(share), Gate::Law(0.05), sampling),
        Measured::share(useful_driven, all_driven).row(ids[1], said(1.0), Gate::Exact, sampling),
        rate.row(ids[2], said(plain.p), Gate::Law(0.05), sampling),
    ]
}

/// Messages of one router, and those about packets to the victim.
fn useful(itrace: &Arc<ITrace>, packets: u32, chance: &mut Chance) -> [u64; 2] {
    let place = Place { id: RouterId(chance.draw()), index: 0, degree: 2, asn: 0 };
    let draws = Draws::Seeded(chance.word());
    let mut router =
        At::new(itrace.clone(), Setting { place, key: Key(1, 2), draws, filter: None });
    let mut bytes = udp4(chance);
    let mut told = [0, 0];
    for n in 0..packets {
        let wanted = n % WANTED == 0;
        let to = if wanted { VICTIM } else { Ipv4Addr::new(198, 18, 9, 9) };
        bytes[16..20].copy_from_slice(&to.octets());
        packets::repair(&mut bytes);
        let Ok(mut packet) = Packet::parse(&mut bytes[..]) else { return told };
        let hop = Hop { at: Nanos(n.into()), ttl: packet.ttl(), ..Hop::default() };
        if router.forward(hop, &mut packet) {
            told[0] += 1;
            told[1] += u64::from(wanted);
        }
    }
    told
}
