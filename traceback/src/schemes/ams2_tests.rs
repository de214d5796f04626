use super::*;
use crate::schemes::rig;
use crate::schemes::trial::{GATEWAY, case, complete, map, paths, router};

fn ams(threshold: u8, saturated: f64) -> Ams2 {
    Ams2::new(&Params { threshold, saturated, ..Params::default() }).unwrap()
}

#[test]
fn layout_is_distance_function_hash() {
    assert_eq!(Mark { distance: 31, function: 5, hash: 0xa7 }.pack(), 31 << 11 | 5 << 8 | 0xa7);
    assert!((0..=0xffff).all(|bits| Mark::unpack(bits).pack() == bits));
}

#[test]
fn a_link_is_not_its_reverse() {
    let link = |a: u32, b: u32| Pair::of(RouterId(a)).alone ^ Pair::of(RouterId(b)).under;
    assert_ne!(link(1, 2), link(2, 1));
}

#[test]
fn forty_attackers_are_found_and_too_few_functions_are_not() {
    let truth = paths(40, 12);
    let case = case(map(&truth));
    let evidence = complete(&ams(8, 0.5), &truth, 0..8);
    let found = ams(8, 0.5).reconstruct(&case, &evidence);
    assert_eq!(found, Ok(Step::Done(Finding::Paths(AttackGraph::from_paths(truth.clone())))));
    // Five functions are not six.
    let five = complete(&ams(8, 0.5), &truth, 0..5);
    assert!(matches!(ams(6, 0.5).reconstruct(&case, &five), Err(Gap::TooFew { .. })));
    assert!(matches!(ams(5, 0.5).reconstruct(&case, &five), Ok(Step::Done(_))));
}

#[test]
fn a_map_with_loops_leads_nowhere_twice() {
    // A ring through the gateway: both ways round are neighbours, one was taken.
    let ring: Vec<RouterId> = (1..7).map(router).chain([GATEWAY]).collect();
    let mut closed = ring.clone();
    closed.insert(0, GATEWAY);
    let evidence = complete(&ams(8, 0.5), std::slice::from_ref(&ring), 0..8);
    let found = ams(8, 0.5).reconstruct(&case(map(&[closed])), &evidence);
    assert_eq!(found, Ok(Step::Done(Finding::Paths(AttackGraph::from_paths([ring])))));
}

#[test]
fn ten_thousand_attackers_saturate_soon() {
    let truth = paths(10_000, 5);
    let evidence = complete(&ams(8, 0.5), &truth, 0..8);
    match ams(8, 0.5).reconstruct(&case(map(&truth)), &evidence) {
        Err(Gap::Saturated { distance: 1, false_ppm: 990_000.., candidates: 10_000 }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn bits_that_senders_chose_end_a_path_where_it_ends() {
    let truth = paths(1, 5);
    let mut evidence = complete(&ams(8, 0.5), &truth, 0..8);
    let ledger = evidence.ledgers.get_mut(&GATEWAY).unwrap();
    // Every mark that can arrive past five routers.
    (5 << 11..=u16::MAX).for_each(|mark| ledger.add(mark));
    // Behind the true first router, the map goes on.
    let mut longer = truth.clone();
    longer[0].splice(0..0, (900..910).map(router));
    let Ok(Step::Done(Finding::Paths(graph))) =
        ams(8, 0.5).reconstruct(&case(map(&longer)), &evidence)
    else {
        panic!("no paths")
    };
    assert_eq!((graph.paths, graph.set_aside), (truth.into_iter().collect(), 1));
}

#[test]
fn false_routers_follow_the_binomial_law() {
    // So many true neighbours of the gateway, and 20,000 that carried nothing.
    for (links, threshold) in [(100, 6), (200, 7), (500, 8)] {
        let truth = paths(links, 2);
        let others = (0..20_000).map(|n| router(1_000_000 + n));
        let near = truth.iter().map(|p| p[0]);
        let ids: Vec<u32> =
            [GATEWAY].into_iter().chain(near).chain(others).map(|id| id.0).collect();
        let count = u32::try_from(ids.len()).unwrap();
        let map = rig::map(&ids, &(1..count).map(|i| (0, i)).collect::<Vec<_>>());
        let evidence = complete(&ams(threshold, 1.0), &truth, 0..8);
        let found = ams(threshold, 1.0).reconstruct(&case(map), &evidence);
        let Ok(Step::Done(Finding::Paths(graph))) = found else { panic!("{found:?}") };
        let wrong = graph.edges.len() as f64 - 1.0 - f64::from(links);
        let law = 20_000.0 * crate::law::filter::false_match(links, 8, 8, threshold.into());
        // Chance is in the marks too: how many of the 256 values so many links take varies.
        assert!((wrong / law - 1.0).abs() < 0.25, "{links} {threshold}: {wrong} not {law}");
    }
}
