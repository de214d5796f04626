//! Packets drawn from the law of a path are distributed as packets that walk it.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod chi_square;

use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use traceback::arrivals::{Arrivals, Arrived};
use traceback::invariant::{Invariant, mix};
use traceback::scheme::Hop;
use traceback::schemes::{AnyScheme, SCHEMES};
use traceback::{Place, RouterId};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }
}

/// Routers in a row; the first one's packets come from hosts.
fn route(hops: u16) -> Vec<(Place, Hop)> {
    let id = |i: u16| RouterId(u32::try_from(mix(i.into()) >> 33).unwrap());
    let hop = |i: u16| {
        let place = Place { id: id(i), index: i, degree: 2, asn: 64_512 };
        let from = i.checked_sub(1).map_or(RouterId(0), id);
        let to = if i + 1 < hops { id(i + 1) } else { RouterId(0) };
        let edge = u8::from(i == 0);
        (place, Hop { me: place.id, from, to, edge, degree: 2, ..Hop::default() })
    };
    (0..hops).map(hop).collect()
}

const SENT: Arrived = Arrived { mark: 0x1f00, ttl: 64 };

/// One packet past every router.
fn walk(scheme: &dyn AnyScheme, route: &[(Place, Hop)], random: &mut Random) -> Arrived {
    route.iter().fold(SENT, |before, (place, hop)| {
        let draw = (random.next() >> 32) as u32;
        let hop = Hop { draw, ttl: before.ttl, ..*hop };
        let after = scheme.mark(place, &hop, &Invariant::NONE, before.mark);
        let ttl = after.ttl.filter(|t| *t != hop.ttl).map_or(hop.ttl, |t| t.max(2));
        let mark = if scheme.card().v4.bits() == 0 { before.mark } else { after.mark };
        Arrived { mark, ttl: ttl - 1 }
    })
}

/// Schemes that have such a law, with their arrivals over so many hops.
fn lawful(hops: u16) -> Vec<(std::sync::Arc<dyn AnyScheme>, Arrivals)> {
    let built = SCHEMES.iter().map(|e| e.build(&json!({})).unwrap());
    built.filter_map(|s| Some((s.clone(), s.arrivals(&route(hops), SENT)?))).collect()
}

#[test]
fn the_law_is_that_of_packets_that_walk() {
    let mut with_law = BTreeSet::new();
    for hops in [1, 5, 20] {
        for (scheme, law) in lawful(hops) {
            let id = scheme.card().id;
            let sum: f64 = law.chances().iter().map(|(_, p)| p).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{id}: {sum}");
            let packets = 100_000;
            let (mut walked, mut drawn) = (BTreeMap::new(), BTreeMap::new());
            let route = route(hops);
            let mut random = Random(hops.into());
            for _ in 0..packets {
                let arrived = walk(&*scheme, &route, &mut random);
                *walked.entry(arrived).or_default() += 1;
                *drawn.entry(law.pick(random.next())).or_default() += 1;
            }
            for (how, seen) in [("walked", walked), ("drawn", drawn)] {
                let far = chi_square::too_far(&law, &seen);
                assert_eq!(far, None, "{id} {how} over {hops} hops");
            }
            with_law.insert(id);
        }
    }
    // All whose routers ask chance one question.
    let want = [
        "ams1", "ams2", "amswide", "dpm", "dppm", "edge", "fit", "fms", "hdpm", "node", "none",
        "npc", "pi", "rnl", "rppm", "stackpi", "tabu", "tpm",
    ];
    for id in want {
        assert!(with_law.contains(id), "{id} has no law");
    }
    for id in ["spie", "pint", "algebraic"] {
        assert!(!with_law.contains(id), "{id}");
    }
}

/// Packets until every mark that comes once in 2,000 packets or more has come, in both ways.
#[test]
fn times_until_all_is_seen_are_alike() {
    for (scheme, law) in lawful(8) {
        let often: BTreeSet<Arrived> =
            law.chances().iter().filter(|(_, p)| *p > 5e-4).map(|(a, _)| *a).collect();
        let mut random = Random(8);
        let route = route(8);
        let mut times = |draw: &mut dyn FnMut(&mut Random) -> Arrived| -> Vec<u32> {
            let mut once = || {
                let mut left = often.clone();
                let mut packets = 0;
                while !left.is_empty() {
                    packets += 1;
                    left.remove(&draw(&mut random));
                }
                packets
            };
            let mut times: Vec<u32> = (0..200).map(|_| once()).collect();
            times.sort_unstable();
            times
        };
        let walked = times(&mut |random| walk(&*scheme, &route, random));
        let drawn = times(&mut |random| law.pick(random.next()));
        let share = |times: &[u32], t: u32| times.partition_point(|x| *x <= t) as f64 / 200.0;
        let apart =
            walked.iter().chain(&drawn).map(|t| (share(&walked, *t) - share(&drawn, *t)).abs());
        let apart = apart.fold(0.0, f64::max);
        // Kolmogorov and Smirnov, two samples of 200: exceeded with a chance of 1e-5.
        assert!(apart < 0.247, "{}: {apart}", scheme.card().id);
    }
}
