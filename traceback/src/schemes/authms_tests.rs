use super::*;
use crate::graph::Finding;
use crate::invariant::{mix, mix2};
use crate::ledger::Ledger;
use crate::schemes::trial::{GATEWAY, case, map, paths};

const SECOND: u64 = 1_000_000_000;
/// The longest time that a packet may take whose key is that of the first interval: 11 s less clocks' skew.
const OUT: u64 = 10_900_000_000;

fn scheme(params: Params) -> AuthMs {
    AuthMs::new(&params).unwrap()
}

/// Packets that are marked at one time and arrive at another, over each path in turn.
fn send(
    scheme: &AuthMs,
    paths: &[Vec<RouterId>],
    packets: u64,
    [marked, arrived]: [u64; 2],
    buffer: &mut Buffer,
) {
    let place = |id: &RouterId| Place { id: *id, index: 0, degree: 2, asn: 0 };
    let locals: Vec<Vec<(RouterId, Chain)>> = paths
        .iter()
        .map(|path| path.iter().map(|id| (*id, scheme.local(&place(id)))).collect())
        .collect();
    for (n, path) in (0..packets).zip(locals.iter().cycle()) {
        let inv = Invariant { digest: mix(n ^ marked), flow: 0 };
        let mut mark = Mark { distance: FAR, function: 0, hash: 0 };
        for (me, chain) in path {
            let draw = (mix2(inv.digest, me.0.into()) >> 32) as u32;
            let hop = Hop { at: Nanos(marked), me: *me, draw, ..Hop::default() };
            mark = scheme.mark(chain, &hop, &inv, mark).mark;
        }
        let hop = Hop { at: Nanos(arrived), ..Hop::default() };
        scheme.observe(&hop, &inv, mark, &[], buffer);
    }
}

fn trace(scheme: &AuthMs, truth: &[Vec<RouterId>], buffer: Buffer) -> Result<AttackGraph, Gap> {
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(GATEWAY, buffer);
    match scheme.reconstruct(&case(map(truth)), &evidence)? {
        Step::Done(Finding::Paths(graph)) => Ok(graph),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_key_follows_from_the_next_and_routers_share_none() {
    let chain = Chain::of(7, RouterId(1));
    for j in 1..INTERVALS {
        assert_eq!(chain.keys[j].before(), chain.keys[j - 1]);
    }
    assert_eq!(chain.key(127), Some(chain.keys[127]));
    assert_eq!(chain.key(128), None);
    assert_ne!(chain.keys[0], Chain::of(7, RouterId(2)).keys[0]);
    assert_ne!(chain.keys[0], Chain::of(8, RouterId(1)).keys[0]);
}

#[test]
fn three_attackers_are_found_among_forged_marks() {
    let (ams, truth) = (scheme(Params::default()), paths(3, 8));
    let mut buffer = Buffer::default();
    send(&ams, &truth, 30_000, [SECOND, SECOND], &mut buffer);
    let forger = scheme(Params { secret: 1, ..Params::default() });
    // As many packets whose marks were made with keys that were guessed, over links of the map.
    send(&forger, &truth, 30_000, [SECOND + 1, SECOND + 1], &mut buffer);
    assert_eq!(trace(&ams, &truth, buffer), Ok(AttackGraph::from_paths(truth)));
}

#[test]
fn forged_marks_alone_say_nothing() {
    let (ams, truth) = (scheme(Params::default()), paths(2, 5));
    let mut buffer = Buffer::default();
    send(&ams.outsider().unwrap(), &truth, 30_000, [SECOND, SECOND], &mut buffer);
    assert!(matches!(trace(&ams, &truth, buffer), Err(Gap::TooFew { .. })));
}

#[test]
fn marks_that_come_when_their_key_is_out_are_not_believed() {
    let (ams, truth) = (scheme(Params::default()), paths(1, 4));
    let arriving = |arrived| {
        let mut buffer = Buffer::default();
        send(&ams, &truth, 10_000, [9 * SECOND, arrived], &mut buffer);
        trace(&ams, &truth, buffer)
    };
    assert_eq!(arriving(OUT - 1), Ok(AttackGraph::from_paths(truth.clone())));
    assert!(matches!(arriving(OUT), Err(Gap::TooFew { .. })));
    // Nor are those that come before their interval begins: no clock is that far off.
    assert_eq!(ams.keys(Nanos(10 * SECOND - SECOND / 10)).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(ams.keys(Nanos(10 * SECOND - SECOND / 10 - 1)).collect::<Vec<_>>(), [0]);
    assert_eq!(ams.keys(Nanos(u64::MAX)).count(), 0);
}

#[test]
fn keys_of_intervals_after_the_window_are_not_known() {
    let (ams, truth) = (scheme(Params::default()), paths(1, 4));
    let mut buffer = Buffer::default();
    send(&ams, &truth, 10_000, [15 * SECOND, 15 * SECOND], &mut buffer);
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(GATEWAY, buffer);
    let mut case = case(map(&truth));
    assert!(ams.reconstruct(&case, &evidence).is_ok());
    case.window.to = Nanos(10 * SECOND - 1);
    assert!(matches!(ams.reconstruct(&case, &evidence), Err(Gap::TooFew { .. })));
}

#[test]
fn a_guess_is_right_once_in_256() {
    let key = Chain::of(7, RouterId(1)).keys[5];
    let right = |n: &u64| {
        let guess = (mix(!n) & 0xff) as u8;
        key.hash(mix(*n), Role::Writes, (n & 7) as u8, RouterId(1)) == guess
    };
    let hits = (0..256_000).filter(right).count();
    // Standard deviation 31.6: four of them.
    assert!((1_000 - 127..1_000 + 127).contains(&hits), "{hits}");
}

#[test]
fn a_full_buffer_says_what_it_lost() {
    let ams = scheme(Params { capacity: 100, ..Params::default() });
    let mut buffer = Buffer::default();
    send(&ams, &paths(1, 3), 5_000, [SECOND, SECOND], &mut buffer);
    assert_eq!(buffer.len(), 100);
    assert!(buffer.lost() > 100);
    let mut bytes = vec![];
    buffer.encode(&mut bytes);
    assert_eq!(Buffer::decode(&bytes), Ok(buffer));
}

#[test]
fn a_spent_budget_says_where() {
    let (ams, truth) = (scheme(Params::default()), paths(1, 4));
    let mut evidence = Evidence::default();
    let buffer = evidence.ledgers.entry(GATEWAY).or_default();
    send(&ams, &truth, 10_000, [SECOND, SECOND], buffer);
    let mut case = case(map(&truth));
    case.budget.candidates = 500;
    assert!(matches!(ams.reconstruct(&case, &evidence), Err(Gap::Budget { distance: 1, .. })));
}
