use super::*;
use crate::case::Step;
use crate::graph::Finding;
use crate::invariant::mix;
use crate::scheme::Scheme;
use crate::schemes::fms::{Fms, Params};
use crate::schemes::trial::{self, GATEWAY, case, complete};

fn found(check: Check, routers: u32, hops: u32) -> Result<AttackGraph, Gap> {
    let fms = Fms::new(&Params { check, ..Params::default() }).unwrap();
    let evidence = complete(&fms, &trial::paths(routers, hops), 0..8);
    paths(check, &case(trial::map(&[])), &evidence, 0.04)
}

#[test]
fn twelve_routers_at_each_of_ten_distances_are_found() {
    let graph = found(Check::Split, 12, 10).unwrap();
    let truth = AttackGraph::from_paths(trial::paths(12, 10));
    assert!(graph.edges.is_superset(&truth.edges));
    // The law: of 12 routers below and 12^8 combinations, 1.2 false links at each distance; and each of
    // these may go on. 9 distances give 11, so 40 are nine standard deviations away.
    assert!(graph.edges.len() - truth.edges.len() < 40, "{}", graph.edges.len());
    assert_eq!(graph.set_aside, 0);
}

#[test]
fn joining_and_trying_find_the_same_true_paths() {
    let truth = AttackGraph::from_paths(trial::paths(4, 6));
    assert_eq!(found(Check::Split, 4, 6), Ok(truth.clone()));
    assert_eq!(found(Check::Nonlinear, 4, 6), Ok(truth.clone()));
    // A wholly linear check believes every link with every router below it.
    let believed = found(Check::Linear, 4, 6).unwrap();
    assert!(believed.edges.is_superset(&truth.edges));
    assert!(believed.edges.len() > 10 * truth.edges.len(), "{}", believed.edges.len());
}

#[test]
fn more_routers_than_the_check_can_tell_are_a_gap_with_a_census() {
    let fms = Fms::new(&Params::default()).unwrap();
    // Every fragment eight times: routers' marks come back.
    let evidence = complete(&fms, &trial::paths(25, 10), 0..64);
    match paths(Check::Split, &case(trial::map(&[])), &evidence, 0.04) {
        Err(Gap::Budget { distance: 1, census, .. }) => assert!(census > 1 << 32),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_a_map_there_may_be_a_hundred_routers() {
    let fms = Fms::new(&Params { map: true, ..Params::default() }).unwrap();
    let truth = trial::paths(100, 10);
    let evidence = complete(&fms, &truth, 0..8);
    let found = fms.reconstruct(&case(trial::map(&truth)), &evidence);
    assert_eq!(found, Ok(Step::Done(Finding::Paths(AttackGraph::from_paths(truth)))));
}

#[test]
fn bits_that_senders_chose_end_a_path_where_it_ends() {
    let fms = Fms::new(&Params::default()).unwrap();
    let truth = trial::paths(1, 5);
    let mut evidence = complete(&fms, &truth, 0..8);
    let ledger = evidence.ledgers.get_mut(&GATEWAY).unwrap();
    for n in 0..20_000_u64 {
        let mark = Mark::unpack((mix(n) >> 40) as u32);
        Mark { distance: (mark.distance + 5).min(FAR), ..mark }.count(ledger);
    }
    let graph = paths(Check::Split, &case(trial::map(&[])), &evidence, 0.04).unwrap();
    assert_eq!(graph.paths, truth.into_iter().collect());
    assert!(graph.set_aside > 0);
}

#[test]
fn combinations_that_all_pass_the_linear_half_spend_the_budget() {
    // Fragments that fail in nothing by themselves: every pair of halves must be tried.
    let check = Check::Split;
    let fragments = [0, 1, 2, 3, 4, 5, 6, 7].map(|_| vec![0_u16; 14]);
    let mut left = 100_000_000;
    assert_eq!(names(&fragments, &[None], check, &mut left), None);
    assert_eq!(left, 100_000_000);
}
