use super::*;
use crate::invariant::Key;
use crate::ledger::Ledger;
use crate::scheme::Nanos;
use crate::schemes::rig::{case, line};

fn scheme() -> Hit {
    Hit::new(&Params { bits: 1 << 14, ..Params::default() }).unwrap()
}

/// Passes one packet down a path; which routers logged it, and its mark at the end.
fn send(path: &[u32], start: Mark, from_host: bool) -> (Vec<u32>, Mark) {
    let hit = scheme();
    let inv = Invariant { digest: 7, flow: 0 };
    let (mut logged, mut mark, mut from) = (vec![], start, RouterId(99));
    for (i, me) in path.iter().enumerate() {
        let edge = u8::from(i == 0 && from_host);
        let hop = Hop { me: RouterId(*me), from, edge, ..Hop::default() };
        mark = hit.mark(&name(RouterId(*me)), &hop, &inv, mark).mark;
        let mut pages = Pages::default();
        hit.observe(&hop, &inv, mark, &[], &mut pages);
        if pages.footprint() > 0 {
            logged.push(*me);
        }
        from = RouterId(*me);
    }
    (logged, mark)
}

#[test]
fn every_other_router_logs() {
    for d in 1..=20 {
        let path: Vec<u32> = (1..=d).collect();
        for start in [0, 1, 0xffff, 0x1f00] {
            let (logged, mark) = send(&path, Mark::unpack(start), true);
            assert_eq!(logged.len() as u32, d / 2);
            assert_eq!(mark.logged, d % 2 == 0);
        }
    }
}

#[test]
fn a_forged_name_behind_a_legacy_router_moves_the_turns_by_one() {
    let path: Vec<u32> = (1..=10).collect();
    let forged = |logged| Mark { name: name(RouterId(99)), logged };
    assert_eq!(send(&path, forged(false), false).0, [1, 3, 5, 7, 9]);
    assert_eq!(send(&path, forged(true), false).0, [2, 4, 6, 8, 10]);
}

#[test]
fn a_packet_without_the_gateways_mark_is_a_gap() {
    let mut bytes =
        vec![0x45, 0, 0, 28, 0x1f, 0, 0x40, 0, 64, 17, 0, 0, 198, 19, 0, 1, 198, 18, 0, 2];
    bytes.extend([0; 8]);
    let check = crate::checksum::of(&bytes[..20]);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    let sample = Sample { bytes, at: Nanos(0) };
    let case = Case { key: Key(1, 2), ..case(line(&[3, 2, 1]), vec![sample]) };
    let gap = scheme().reconstruct(&case, &Evidence::default());
    assert!(matches!(gap, Err(Gap::Nothing { .. })), "{gap:?}");
}
