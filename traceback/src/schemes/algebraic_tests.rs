use super::*;
use crate::schemes::rig;

const PATH: [u32; 3] = [0xc613_0007, 0x0a00_0001, 0xc613_0101];

fn send(scheme: &Algebraic, path: &[u32], digest: u64, edge: u8, mut mark: Mark) -> Mark {
    let inv = Invariant { digest, flow: 9 };
    for (i, me) in path.iter().enumerate() {
        let edge = if i == 0 { edge } else { 0 };
        let hop = Hop { edge, draw: u32::MAX, ..Hop::default() };
        mark = scheme.mark(&RouterId(*me), &hop, &inv, mark).mark;
    }
    mark
}

/// What so many different points on the path tell.
fn told(path: &[u32], points: usize, from: Mark, edge: u8) -> Result<Vec<Vec<RouterId>>, Gap> {
    let scheme = Algebraic::new(&Params::default()).unwrap();
    let mut ledger = Points::default();
    let mut seen = std::collections::BTreeSet::new();
    for digest in 0.. {
        let inv = Invariant { digest, flow: 9 };
        if seen.len() == points {
            break;
        }
        if seen.insert(point(&inv)) {
            let mark = send(&scheme, path, digest, edge, from);
            scheme.observe(&Hop::default(), &inv, mark, &[], &mut ledger);
        }
    }
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(RouterId(1), ledger);
    match scheme.reconstruct(&rig::case(rig::line(path), vec![]), &evidence)? {
        Step::Done(Finding::Paths(graph)) => Ok(graph.paths.into_iter().collect()),
        other => panic!("{other:?}"),
    }
}

fn ids(path: &[u32]) -> Vec<RouterId> {
    path.iter().copied().map(RouterId).collect()
}

#[test]
fn as_many_points_as_coefficients_and_not_one_fewer() {
    let none = Mark { routers: 0, value: 0 };
    for n in 1..=3 {
        let path = &PATH[3 - n..];
        assert_eq!(told(path, 4 * n, none, 1), Ok(vec![ids(path)]));
        assert!(matches!(told(path, 4 * n - 1, none, 1), Err(Gap::TooFew { .. })));
    }
    let long: Vec<u32> = (0..64).map(|i| 0xc613_0000 + 77 * i).collect();
    assert_eq!(told(&long, 256, none, 1), Ok(vec![ids(&long)]));
    assert!(matches!(told(&long, 255, none, 1), Err(Gap::TooFew { .. })));
}

#[test]
fn what_the_sender_wrote_is_wiped_at_the_edge_and_no_path_without_one() {
    for value in [0, 1, 200, 256, 511] {
        let forged = Mark { routers: 15, value };
        assert_eq!(told(&PATH, 80, forged, 1), Ok(vec![ids(&PATH)]));
        // Constants are routers in 0.0.0.0/8, or no bytes at all.
        assert!(matches!(told(&PATH, 80, forged, 0), Err(Gap::Mixed { .. })), "{value}");
    }
}

#[test]
fn two_paths_of_one_length_in_one_flow_are_mixed() {
    let scheme = Algebraic::new(&Params::default()).unwrap();
    let mut ledger = Points::default();
    let other = [0xc613_0099, 0x0a00_0001, 0xc613_0101];
    for digest in 0..4000 {
        let inv = Invariant { digest, flow: 9 };
        let path = if digest % 2 == 0 { &PATH } else { &other };
        let mark = send(&scheme, path, digest, 1, Mark { routers: 0, value: 0 });
        scheme.observe(&Hop::default(), &inv, mark, &[], &mut ledger);
    }
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(RouterId(1), ledger);
    let found = scheme.reconstruct(&rig::case(rig::line(&PATH), vec![]), &evidence);
    assert!(matches!(found, Err(Gap::Mixed { .. })), "{found:?}");
}

#[test]
fn random_restarts_give_ends_of_the_path_and_the_longest_counts() {
    let scheme = Algebraic::new(&Params { restart: 0.3, ..Params::default() }).unwrap();
    let mut ledger = Points::default();
    let mut draw = 1_u64;
    for digest in 0..4000 {
        let inv = Invariant { digest, flow: digest };
        let mut mark = Mark { routers: 15, value: 256 };
        for me in PATH {
            draw = mix2(draw, 1);
            let hop = Hop { draw: (draw >> 32) as u32, ..Hop::default() };
            mark = scheme.mark(&RouterId(me), &hop, &inv, mark).mark;
        }
        scheme.observe(&Hop::default(), &inv, mark, &[], &mut ledger);
    }
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(RouterId(1), ledger);
    // Every packet is a flow of its own: they are told apart by length alone.
    let found = scheme.reconstruct(&rig::case(rig::line(&PATH), vec![]), &evidence);
    let whole = AttackGraph::from_paths([ids(&PATH)]);
    assert_eq!(found, Ok(Step::Done(Finding::Paths(whole))));
}
