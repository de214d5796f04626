//! Hostile evidence, maps and parameters, for every scheme of the registry: a gap, a refusal or something
//! that can be true, and soon.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on may panic"
)]

mod support;

use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{asn, case, frame, id, line, schemes, setting, trace, trace_from, v6};
use traceback::case::{Case, Gap, Step, Window};
use traceback::graph::Finding;
use traceback::map::{BadMap, Map};
use traceback::packet::Packet;
use traceback::room::MAX_OPTION4;
use traceback::router::ETHERNET;
use traceback::scheme::{Keeper, Names};
use traceback::schemes::{Answers, AnyScheme, SCHEMES};
use traceback::{Nanos, RouterId};

/// What one reconstruction may take here, on a machine that does much else: far more than any needs.
const SOON: Duration = Duration::from_secs(30);

/// Routers of one name, and links by position.
fn map(routers: u16, links: Vec<(u32, u32)>) -> Map {
    Map::new(line(routers).routers().to_vec(), links).unwrap()
}

/// Maps that no honest collector would bring, their last router at the victim.
fn maps() -> Vec<(&'static str, Map)> {
    let pairs = |n: u32| (0..n).flat_map(move |a| (a + 1..n).map(move |b| (a, b))).collect();
    vec![
        ("none", map(0, vec![])),
        ("islands", map(6, vec![(0, 1), (2, 3)])),
        ("ring", map(8, (0..8).map(|i| (i, (i + 1) % 8)).collect())),
        ("all with all", map(12, pairs(12))),
        ("star", map(2_000, (0..1_999).map(|i| (i, 1_999)).collect())),
        ("links twice", map(4, vec![(0, 1), (1, 0), (1, 2), (2, 3), (3, 2)])),
    ]
}

/// A case over a map, which may not even show its gateway.
fn about(map: &Map) -> Case {
    let known = if map.routers().is_empty() { &line(3) } else { map };
    let mut case = Case { map: map.clone(), ..case(known, vec![], false) };
    case.budget.candidates = 1_000_000;
    case
}

/// The ledger of a victim who saw these bits in the slot, each at several TTLs; bits above 16 are chance.
fn ledger(scheme: &dyn AnyScheme, bits: impl Iterator<Item = u32>) -> Vec<u8> {
    let mut observer = scheme.vantage(setting(&line(4), 3));
    let over = v6(scheme);
    let slot = if over { scheme.card().v6 } else { scheme.card().v4 };
    for (seq, bits) in (0..).zip(bits) {
        let mut bytes = frame(over, seq, MAX_OPTION4);
        let mut packet = Packet::parse(&mut bytes[ETHERNET..]).unwrap();
        packet.set_ttl((seq % 256) as u8);
        slot.write(&mut packet, bits | (seq as u32).wrapping_mul(0x9e37_79b1) & 0xffff_0000);
        observer.see(Nanos(seq), &Packet::parse(&bytes[ETHERNET..]).unwrap());
    }
    observer.cut().unwrap_or_default()
}

/// Rebuilds, answering every question with what is least helpful; what comes out may be true.
fn rebuild(scheme: &dyn AnyScheme, case: &Case, ledger: &[u8], lie: Option<u64>) {
    let id = scheme.card().id;
    let (start, mut answers) = (Instant::now(), Answers::new());
    loop {
        let step = scheme.reconstruct(case, &[(case.gateway, ledger)], &answers);
        assert!(start.elapsed() < SOON, "{id}: {:?}", start.elapsed());
        match step {
            Ok(Step::Ask(questions)) => {
                assert_eq!(scheme.card().keeper, Keeper::Routers, "{id}");
                for (router, query) in questions {
                    let values = vec![lie; query.keys.len()];
                    answers.insert((router, query), Some(traceback::case::Answer { values }));
                }
            }
            Ok(Step::Done(finding)) => return check(scheme, case, &finding),
            Err(_) => return,
        }
    }
}

/// A finding ends at the gateway, goes in no circle and keeps to the map that it was made with.
fn check(scheme: &dyn AnyScheme, case: &Case, finding: &Finding) {
    let (card, map) = (scheme.card(), &case.map);
    let Finding::Paths(graph) = finding else { return };
    for path in &graph.paths {
        let mut once = path.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), path.len(), "{}: a circle", card.id);
        // Lists of routers in packets are believed, wherever they end: their senders must take part.
        let listed = matches!(card.id, "recorder" | "ioam");
        assert!(listed || path.last() == Some(&case.gateway), "{}: {path:?}", card.id);
        assert!(path.len() <= usize::from(case.budget.hops) + 1, "{}", card.id);
        let linked = |pair: &[RouterId]| map.neighbours(pair[1]).any(|n| n == pair[0]);
        let lawful = !card.needs_map || path.windows(2).all(linked);
        assert!(lawful, "{}: {path:?}", card.id);
    }
}

#[test]
fn every_mark_there_is_over_every_map_is_a_gap_or_lawful() {
    for scheme in schemes().iter().filter(|s| s.card().keeper == Keeper::Victim) {
        let all = ledger(&**scheme, 0..=0xffff);
        for (_, map) in maps() {
            rebuild(&**scheme, &about(&map), &all, None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn chosen_marks_over_every_map_are_a_gap_or_lawful(
        bits in prop::collection::vec(any::<u32>(), 1..60),
        times in 1_usize..40,
        lie in prop::option::of(0_u64..70_000),
    ) {
        for scheme in schemes() {
            let marks = bits.iter().copied().cycle().take(bits.len() * times);
            let ledger = ledger(&*scheme, marks);
            for (_, map) in maps() {
                rebuild(&*scheme, &about(&map), &ledger, lie);
            }
        }
    }

    #[test]
    fn numbers_of_any_size_make_a_scheme_that_works_or_none(number in prop_oneof![
        Just(json!(0)), Just(json!(1)), Just(json!(-1)), Just(json!(u64::MAX)), Just(json!(0.5)),
        Just(json!(1e300)), Just(json!(1e-300)), (0_u64..300).prop_map(Value::from),
    ]) {
        for entry in SCHEMES {
            let defaults = entry.defaults();
            let keys = defaults.as_object().unwrap().iter().filter(|(_, v)| v.is_number());
            for (key, _) in keys {
                let built = entry.build(&json!({ key: number }));
                if let Ok(scheme) = built {
                    let _ = trace(&*scheme, &line(3), 60);
                }
            }
        }
    }
}

#[test]
fn a_path_of_64_hops_is_found_cut_short_or_a_gap() {
    let map = line(64);
    let truth: Vec<RouterId> = (0..64).map(id).collect();
    let systems: Vec<u32> = (0..32).map(|i| asn(2 * i)).collect();
    for scheme in schemes() {
        let name = scheme.card().id;
        match trace_from(&*scheme, &map, 3_000, 255) {
            Ok(Finding::Paths(graph)) => {
                let end = graph.paths.iter().all(|path| truth.ends_with(path));
                assert!(end, "{name}: {:?}", graph.paths);
            }
            Ok(Finding::AsPaths { paths }) => {
                assert!(paths.iter().all(|path| systems.ends_with(path)), "{name}: {paths:?}");
            }
            Ok(Finding::Ingress { routers }) => assert_eq!(routers, [truth[0]].into(), "{name}"),
            Ok(Finding::Classes { .. }) => assert_eq!(scheme.card().names, Names::Classes),
            Err(_) => {}
        }
    }
}

#[test]
fn times_of_no_length_are_refused_or_empty() {
    for entry in SCHEMES {
        for key in ["epoch_ms", "interval_ms"] {
            if entry.defaults().get(key).is_some() {
                assert!(entry.build(&json!({ key: 0 })).is_err(), "{}", entry.card().id);
            }
        }
    }
    // Windows that end when or before they begin.
    for scheme in schemes() {
        let ledger = ledger(&*scheme, (0..200).map(|n| n * 311));
        for (from, to) in [(0, 0), (5, 5), (9, 3), (u64::MAX, 0)] {
            let window = Window { from: Nanos(from), to: Nanos(to) };
            rebuild(&*scheme, &Case { window, ..about(&line(5)) }, &ledger, Some(1));
        }
    }
}

#[test]
fn two_routers_of_one_name_are_no_map() {
    let routers = [line(3).routers().to_vec(), line(1).routers().to_vec()].concat();
    assert_eq!(Map::new(routers.clone(), vec![]), Err(BadMap::Duplicate(id(0))));
    let text = json!({ "routers": routers, "links": [] }).to_string();
    assert!(serde_json::from_str::<Map>(&text).is_err());
}

#[test]
fn ledgers_under_a_router_that_nobody_knows_are_merged_or_refused() {
    for scheme in schemes() {
        let case = about(&line(5));
        let ledger = ledger(&*scheme, 0..300);
        let strangers = [(RouterId(0), &ledger[..]), (RouterId(u32::MAX), &ledger[..])];
        let _ = scheme.reconstruct(&case, &strangers, &Answers::new());
        let broken = scheme.reconstruct(&case, &[(RouterId(7), &[0xff; 9])], &Answers::new());
        assert!(matches!(broken, Err(Gap::Malformed { .. })), "{}", scheme.card().id);
    }
}
