use super::*;
use crate::checksum;
use crate::graph::AttackGraph;
use crate::invariant::Key;
use crate::packet::Packet;
use crate::schemes::trial::{GATEWAY, case, map, paths, router};
use crate::vantage::{At, Draws, Setting, Vantage};
use std::sync::Arc;

const BOTH: [Layout; 2] = [Layout::Short, Layout::Long];

fn scheme(layout: Layout) -> Fms6 {
    Fms6::new(&Params { layout, ..Params::default() }).unwrap()
}

/// Every fragment of every link, as it arrives.
fn complete(layout: Layout, truth: &[Vec<RouterId>]) -> Marks {
    let mut ledger = Marks::default();
    for edge in AttackGraph::from_paths(truth.iter().cloned()).edges {
        let under = edge.to.map_or([0; 32], |to| layout.cut(to));
        let from = layout.cut(edge.from);
        for offset in (0_u8..).take(layout.fragments() as usize) {
            let fragment = from[usize::from(offset)] ^ under[usize::from(offset)];
            // Routers' marks come back.
            let mark = layout.join(offset, u8::try_from(edge.distance).unwrap(), fragment);
            (0..8).for_each(|_| ledger.add(mark.0, 1 << 20));
        }
    }
    ledger
}

fn trace(layout: Layout, ledger: Marks) -> Result<AttackGraph, Gap> {
    let mut evidence = Evidence::default();
    evidence.ledgers.insert(GATEWAY, ledger);
    match scheme(layout).reconstruct(&case(map(&[])), &evidence)? {
        Step::Done(Finding::Paths(graph)) => Ok(graph),
        other => panic!("{other:?}"),
    }
}

#[test]
fn layouts_are_offset_distance_fragment() {
    assert_eq!(Layout::Short.split(Mark(5 << 17 | 31 << 12 | 0xabc)), (5, 31, 0xabc));
    assert_eq!(Layout::Long.split(Mark(25 << 15 | 31 << 10 | 0x2bc)), (25, 31, 0x2bc));
    for layout in BOTH {
        for bits in (0..1 << 20).step_by(7) {
            let (offset, distance, fragment) = layout.split(Mark(bits));
            assert_eq!(layout.join(offset, distance, fragment), Mark(bits));
        }
    }
}

#[test]
fn fragments_make_names_and_names_routers() {
    for layout in BOTH {
        for n in 0..200 {
            let cut = layout.cut(router(n));
            let parts = (0..layout.fragments() as usize).map(|o| layout.part(o, cut[o]));
            let name = parts.fold(Name::default(), BitXor::bitxor);
            assert_eq!(name, layout.name(router(n)));
            assert_eq!((layout.router(name), layout.failing(name)), (Some(router(n)), 0));
            let wrong = name ^ layout.part(3, 1 << 4);
            assert_eq!(layout.router(wrong), None);
        }
        // A link is no name, whichever router it is taken for.
        let link = layout.name(router(1)) ^ layout.name(router(2));
        assert!((3..1_000).all(|n| layout.router(link ^ layout.name(router(n))).is_none()));
    }
}

#[test]
fn several_attackers_are_found_without_a_map() {
    // Long names: 128 bits of hash let nothing pass. Short ones by the law: of 25 routers below and 25^6
    // combinations, 1.4 false links at each of seven distances; 30 are six standard deviations away.
    let settings = [(Layout::Short, 25, 8, 30), (Layout::Long, 2, 8, 0), (Layout::Long, 3, 3, 0)];
    for (layout, attackers, hops, most) in settings {
        let truth = paths(attackers, hops);
        let found = trace(layout, complete(layout, &truth)).unwrap();
        let truth = AttackGraph::from_paths(truth);
        assert!(found.edges.is_superset(&truth.edges), "{layout:?}");
        let wrong = found.edges.len() - truth.edges.len();
        assert!(wrong <= most, "{layout:?}: {wrong}");
    }
}

#[test]
fn what_is_missing_or_too_much_is_a_gap() {
    for (layout, attackers) in [(Layout::Short, 60), (Layout::Long, 4)] {
        assert!(matches!(trace(layout, Marks::default()), Err(Gap::TooFew { have: 0, .. })));
        let crowd = complete(layout, &paths(attackers, 3));
        match trace(layout, crowd) {
            Err(Gap::Budget { distance: 1, census, .. }) => assert!(census > 1 << 32, "{layout:?}"),
            other => panic!("{layout:?}: {other:?}"),
        }
    }
}

/// An IPv6 packet with a UDP checksum over its real bytes.
fn packet(seq: u8) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0x1f, 0, 0, 12, 17, 64];
    bytes.extend([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    bytes.extend([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend([0x12, 0x34, 0, 9, 0, 12, 0, 0, 1, 2, 3, seq]);
    let check = !checksum::fold(checksum::sum(&bytes[8..]) + 17 + 12);
    bytes[46..48].copy_from_slice(&check.to_be_bytes());
    bytes
}

#[test]
fn transport_checksums_need_no_repair() {
    for layout in BOTH {
        let place = Place { id: router(1), index: 0, degree: 2, asn: 0 };
        let setting = Setting { place, key: Key(1, 2), draws: Draws::Seeded(3), filter: None };
        let params = Params { p: 0.5, layout, ..Params::default() };
        let mut at = At::new(Arc::new(Fms6::new(&params).unwrap()), setting);
        for seq in 0..=255 {
            let (sent, mut bytes) = (packet(seq), packet(seq));
            let mut parsed = Packet::parse(&mut bytes[..]).unwrap();
            at.forward(Hop { ttl: 64, ..Hop::default() }, &mut parsed);
            assert_eq!(checksum::fold(checksum::sum(&bytes[8..]) + 17 + 12), 0xffff);
            // Nothing but the flow label changed.
            assert_eq!(
                (sent[0], sent[1] & 0xf0, &sent[4..]),
                (bytes[0], bytes[1] & 0xf0, &bytes[4..])
            );
        }
        assert!(at.harms().marked > 200 && at.harms().df_set == 0);
    }
}
