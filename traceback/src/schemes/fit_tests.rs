use super::*;
use crate::schemes::rig::{case, line, map};

fn fit(c: u8) -> Fit {
    Fit::new(&Params { c, ..Params::default() }).unwrap()
}

/// All fragments of these routers, each at its distance from the gateway.
fn evidence(routers: &[(u32, u16)]) -> Evidence<Marks> {
    let mut marks = Marks::default();
    for (id, distance) in routers {
        for index in INDICES {
            let fragment = fragment(hash(RouterId(*id)), index);
            marks.add(key(*distance, Mark { b: 0, index, fragment }), usize::MAX);
        }
    }
    Evidence { ledgers: [(RouterId(1), marks)].into(), ..Evidence::default() }
}

fn paths(step: Result<Step, Gap>) -> Vec<Vec<u32>> {
    match step {
        Ok(Step::Done(Finding::Paths(graph))) => {
            graph.paths.iter().map(|p| p.iter().map(|r| r.0).collect()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_ttl_counts_hops_for_every_start_and_constant() {
    let inv = Invariant::NONE;
    for c in 2..=31 {
        let fit = fit(c);
        for ttl in 2..=255_u8 {
            let hop = Hop { ttl, draw: 0, ..Hop::default() };
            let marked = fit.mark(&0, &hop, &inv, Mark::unpack(0));
            let written = marked.ttl.unwrap();
            for hops in 1..=written.min(63) {
                assert_eq!(fit.distance(marked.mark, written - hops), hops, "{c} {ttl}");
            }
        }
    }
}

#[test]
fn no_mark_no_write() {
    let hop = Hop { ttl: 60, draw: u32::MAX, ..Hop::default() };
    let before = Mark { b: 1, index: 2, fragment: 77 };
    let after = fit(31).mark(&9, &hop, &Invariant::NONE, before);
    assert_eq!((after.mark, after.ttl), (before, None));
}

#[test]
fn legacy_routers_are_bridged_where_the_map_leaves_no_choice() {
    let case = case(line(&[4, 3, 2, 1]), vec![]);
    let step = fit(31).reconstruct(&case, &evidence(&[(1, 1), (4, 4)]));
    assert_eq!(paths(step), [[4, 3, 2, 1]]);
    // A router at another distance than its own is nobody.
    let step = fit(31).reconstruct(&case, &evidence(&[(1, 1), (4, 3)]));
    assert_eq!(paths(step), [[1]]);
}

#[test]
fn of_two_ways_around_the_one_that_was_seen_is_taken() {
    // 4 - {3, 2} - 1
    let diamond = map(&[4, 3, 2, 1], &[(0, 1), (0, 2), (1, 3), (2, 3)]);
    let case = case(diamond, vec![]);
    let step = fit(31).reconstruct(&case, &evidence(&[(1, 1), (3, 2), (4, 3)]));
    assert_eq!(paths(step), [[4, 3, 1]]);
    let step = fit(31).reconstruct(&case, &evidence(&[(1, 1), (4, 3)]));
    assert_eq!(paths(step), [[1]]);
    let none = fit(31).reconstruct(&case, &evidence(&[]));
    assert_eq!(none, Err(Gap::TooFew { have: 0, want: 209 }));
}

#[test]
fn parameters_have_ranges() {
    let bad = [
        Params { c: 1, ..Params::default() },
        Params { c: 32, ..Params::default() },
        Params { need: 0, ..Params::default() },
        Params { need: 5, ..Params::default() },
        Params { p: 0.0, ..Params::default() },
    ];
    assert!(bad.iter().all(|p| Fit::new(p).is_err()));
}
