//! Laws that every scheme of the registry obeys. A new scheme is covered by being registered.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on may panic"
)]

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{asn, case, frame, id, line, routers, schemes, setting, trace, v6, walk};
use traceback::graph::{AttackGraph, Finding};
use traceback::packet::Packet;
use traceback::room::MAX_OPTION4;
use traceback::router::{ETHERNET, Router, Verdict};
use traceback::scheme::{Keeper, Names};
use traceback::schemes::{Answers, AnyScheme, SCHEMES};
use traceback::slot::Slot;
use traceback::{Nanos, checksum};

/// Everything but slot, room, TTL, DF and the checksums that cover them.
fn unchanging(scheme: &dyn AnyScheme, frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame[ETHERNET..].to_vec();
    let mut packet = Packet::parse(&mut bytes[..]).unwrap();
    packet.set_ttl(0);
    packet.set_df();
    let slot = if packet.is_v6() { scheme.card().v6 } else { scheme.card().v4 };
    slot.write(&mut packet, if slot == Slot::IdFlagsOffset { 0x4000 } else { 0 });
    let (transport, v6) = (packet.transport_offset(), packet.is_v6());
    let start = if v6 { 40 } else { 20 };
    bytes[start..transport].fill(0);
    if !v6 {
        bytes[10..12].fill(0);
    }
    bytes
}

#[test]
fn one_lossless_path_is_found_exactly() {
    for scheme in schemes().iter().filter(|s| s.card().names == Names::Paths) {
        for hops in [1, 2, 9] {
            let map = line(hops);
            // 16,000 packets: FMS at nine hops needs 1,200 on average, and fails once in 10^20.
            let path: Vec<_> = (0..hops).map(id).collect();
            let found = trace(&**scheme, &map, 16_000);
            let want = AttackGraph::from_paths([path]);
            assert_eq!(found, Ok(Finding::Paths(want)), "{} at {hops} hops", scheme.card().id);
        }
    }
}

/// Schemes that name less than a router path name exactly what there is of it.
#[test]
fn one_lossless_path_has_one_ingress_one_class_or_one_as_path() {
    for scheme in schemes() {
        for hops in [1, 2, 9] {
            let found = trace(&*scheme, &line(hops), 2_000);
            match scheme.card().names {
                Names::Paths | Names::Nothing => {}
                Names::Ingress => {
                    let routers = [id(0)].into();
                    assert_eq!(found, Ok(Finding::Ingress { routers }), "{}", scheme.card().id);
                }
                Names::AsPaths => {
                    let mut path: Vec<u32> = (0..hops).map(asn).collect();
                    path.dedup();
                    let paths = [path].into();
                    assert_eq!(found, Ok(Finding::AsPaths { paths }), "{}", scheme.card().id);
                }
                Names::Classes => match found {
                    Ok(Finding::Classes { packets }) => {
                        let packets: Vec<u64> = packets.into_values().collect();
                        assert_eq!(packets, [2_000], "{}", scheme.card().id);
                    }
                    other => panic!("{}: {other:?}", scheme.card().id),
                },
            }
        }
    }
}

/// Whoever came after the room was full is not listed: a path cut short must not pass for a whole one.
#[test]
fn a_list_that_was_full_is_no_evidence() {
    for scheme in schemes().iter().filter(|s| matches!(s.card().id, "recorder" | "ioam")) {
        let map = line(30);
        let mut observer = scheme.vantage(setting(&map, 29));
        let mut bytes = frame(true, 0, MAX_OPTION4);
        walk(&mut routers(&**scheme, &map), &mut bytes, Nanos(0));
        observer.see(Nanos(0), &Packet::parse(&bytes[ETHERNET..]).unwrap());
        let (case, ledger) = (case(&map, vec![], true), observer.cut().unwrap());
        let found = scheme.reconstruct(&case, &[(case.gateway, &ledger)], &Answers::new());
        assert!(found.is_err(), "{}: {found:?}", scheme.card().id);
    }
}

#[test]
fn no_packet_gives_a_gap_and_the_same_gap_twice() {
    for scheme in schemes() {
        let found = trace(&*scheme, &line(3), 0);
        assert!(found.is_err(), "{}", scheme.card().id);
        assert_eq!(found, trace(&*scheme, &line(3), 0));
    }
}

#[test]
fn only_slot_room_and_ttl_change_and_checksums_stay_right() {
    for scheme in schemes() {
        for v6 in [false, true] {
            let map = line(20);
            let mut routers = routers(&*scheme, &map);
            for seq in 0..500 {
                let mut bytes = frame(v6, seq, MAX_OPTION4);
                let before = unchanging(&*scheme, &bytes);
                for router in &mut routers {
                    router.forward(0, &mut bytes, Nanos(seq), &mut ());
                }
                // Parsing checks the header's checksum.
                assert_eq!(unchanging(&*scheme, &bytes), before, "{}", scheme.card().id);
                let packet = Packet::parse(&bytes[ETHERNET..]).unwrap();
                let harms = routers.iter().filter_map(|r| r.vantage.as_ref()).map(|v| v.harms());
                let rewritten: u64 = harms.map(|h| h.ttl_changed).sum();
                assert!(packet.ttl() == 44 || rewritten > 0, "{}", scheme.card().id);
                let pseudo = if v6 { 8..40 } else { 12..20 };
                let udp = packet.transport();
                let sum = checksum::sum(&packet.as_bytes()[pseudo]) + 17 + udp.len() as u32;
                assert_eq!(checksum::fold(sum + checksum::sum(udp)), 0xffff);
            }
        }
    }
}

/// A packet that is parsed once and lent from router to router fares as one that every router parses.
#[test]
fn lent_packets_fare_as_parsed_ones() {
    for scheme in schemes() {
        for v6 in [false, true] {
            let map = line(20);
            let (mut parsing, mut lent) = (routers(&*scheme, &map), routers(&*scheme, &map));
            for seq in 0..300 {
                let mut bytes = frame(v6, seq, MAX_OPTION4);
                let mut packet = Packet::parse(&mut bytes[ETHERNET..]).unwrap();
                // Whole packets, fragments, packets without "don't fragment", and such that end on the way.
                Slot::IdFlagsOffset
                    .write(&mut packet, [0x4000, 0x2000, 0, 0x2001][seq as usize % 4]);
                packet.set_ttl([64, 64, 128, 7][seq as usize / 4 % 4]);
                let mut packet = Packet::parse(bytes[ETHERNET..].to_vec()).unwrap();
                let mut known = None;
                for (parsing, lent) in parsing.iter_mut().zip(&mut lent) {
                    let one = parsing.forward(0, &mut bytes, Nanos(seq), &mut ());
                    let other = lent.pass_on((0, Nanos(seq)), packet.lend(), &mut known);
                    assert_eq!(one, other, "{}", scheme.card().id);
                    let ended = !matches!(one, Verdict::Send(_));
                    assert_eq!(bytes[ETHERNET..], *packet.as_bytes(), "{}", scheme.card().id);
                    assert_eq!(parsing.take_message(), lent.take_message());
                    if ended {
                        break;
                    }
                }
            }
            for (parsing, lent) in parsing.iter().zip(&lent) {
                assert_eq!(parsing.counters, lent.counters, "{}", scheme.card().id);
                let harms = |r: &Router| r.vantage.as_ref().map(|v| v.harms());
                assert_eq!(harms(parsing), harms(lent), "{}", scheme.card().id);
            }
        }
    }
}

/// Ledgers of three observers that saw different packets, encoded.
fn three_ledgers(scheme: &dyn AnyScheme, seed: u64) -> [Vec<u8>; 3] {
    let map = line(4);
    [0, 1, 2].map(|part| {
        let mut routers = routers(scheme, &map);
        let mut observer = scheme.vantage(setting(&map, 3));
        for seq in 0..40 + 10 * part {
            let mut bytes =
                frame(v6(scheme), seed.wrapping_mul(1000) + part * 100 + seq, MAX_OPTION4);
            for router in &mut routers {
                router.forward(0, &mut bytes, Nanos(seq), &mut ());
            }
            observer.see(Nanos(seq), &Packet::parse(&bytes[ETHERNET..]).unwrap());
        }
        observer.cut().unwrap_or_default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn ledgers_merge_in_any_order(seed in any::<u64>()) {
        for scheme in schemes().iter().filter(|s| s.card().keeper == Keeper::Victim) {
            let [a, b, c] = three_ledgers(&**scheme, seed);
            let merge = |x: &[u8], y: &[u8]| scheme.merge(x, y).unwrap();
            prop_assert_eq!(merge(&a, &b), merge(&b, &a));
            prop_assert_eq!(merge(&merge(&a, &b), &c), merge(&a, &merge(&b, &c)));
            let mut empty = scheme.vantage(setting(&line(4), 3));
            // Merging with an empty ledger decodes and encodes again, and changes nothing.
            prop_assert_eq!(merge(&a, &empty.cut().unwrap()), a);
        }
    }

    #[test]
    fn hostile_ledgers_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), flip in any::<usize>()) {
        for scheme in schemes() {
            let case = case(&line(4), vec![], v6(&*scheme));
            let _ = scheme.reconstruct(&case, &[(case.gateway, &bytes)], &Answers::new());
            let [mut valid, ..] = three_ledgers(&*scheme, 1);
            if !valid.is_empty() {
                let at = flip % valid.len();
                valid[at] ^= 1 << (flip % 8);
                let _ = scheme.reconstruct(&case, &[(case.gateway, &valid)], &Answers::new());
                let _ = scheme.merge(&valid, &bytes);
            }
        }
    }

    #[test]
    fn hostile_frames_never_panic_and_are_all_counted(
        garbage in prop::collection::vec(any::<u8>(), 0..120),
        v6 in any::<bool>(),
        wounds in prop::collection::vec((any::<usize>(), any::<u8>()), 0..6),
        cut in any::<usize>(),
    ) {
        let mut wounded = frame(v6, 1, MAX_OPTION4);
        for (at, value) in wounds {
            let at = at % wounded.len();
            wounded[at] = value;
        }
        wounded.truncate(cut % (wounded.len() + 1));
        for scheme in schemes() {
            let mut router = routers(&*scheme, &line(3)).remove(1);
            for frame in [&garbage, &wounded] {
                router.forward(0, &mut frame.clone(), Nanos(0), &mut ());
            }
            let c = router.counters;
            prop_assert_eq!(c.received, 2);
            prop_assert_eq!(c.forwarded + c.local + c.malformed + c.unroutable + c.expired, 2);
        }
    }
}

#[test]
fn fields_fit_their_slots() {
    use traceback::scheme::Field;
    use traceback::schemes::{
        algebraic, ams1, ams2, asem, dpm, fast, fdpm, fit, fms6, fragments, hdpm, hit, pi, pint,
        rnl,
    };
    fn whole<M: Field>(slots: [Slot; 2]) {
        assert!(slots.iter().all(|s| M::BITS <= s.bits()));
        for bits in 0..1_u32 << M::BITS {
            assert_eq!(M::unpack(bits).pack(), bits);
            // Bits above the field are somebody else's.
            assert_eq!(M::unpack(bits | u32::MAX << M::BITS).pack(), bits);
        }
    }
    whole::<fragments::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<algebraic::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<rnl::Mark>([Slot::IdTosReserved, Slot::FlowLabel]);
    whole::<ams1::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<ams2::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<fit::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<hit::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<pint::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<dpm::Mark>([Slot::IdReserved, Slot::FlowLabel]);
    whole::<pi::Mark>([Slot::Id, Slot::FlowLabel]);
    whole::<fdpm::Mark>([Slot::IdTosReserved, Slot::Room]);
    whole::<fms6::Mark>([Slot::FlowLabel, Slot::FlowLabel]);
    whole::<asem::Mark>([Slot::IdTosReserved, Slot::Room]);
    whole::<fast::Mark>([Slot::IdTosReserved, Slot::Room]);
    whole::<hdpm::Mark>([Slot::IdReserved, Slot::FlowLabel]);
}

#[test]
fn slots_read_back_what_was_written() {
    let slots =
        [Slot::Id, Slot::IdReserved, Slot::IdTosReserved, Slot::IdFlagsOffset, Slot::FlowLabel];
    for slot in slots {
        let v6 = slot == Slot::FlowLabel;
        for value in [0, 1, 0x5555_5555, 0xaaaa_aaaa, u32::MAX] {
            let value = value & u32::try_from((1_u64 << slot.bits()) - 1).unwrap();
            let mut bytes = frame(v6, 7, 0).split_off(ETHERNET);
            let mut packet = Packet::parse(&mut bytes[..]).unwrap();
            slot.write(&mut packet, value);
            assert_eq!(slot.read(&packet), Some(value), "{slot:?}");
            // The header's checksum still holds.
            assert!(Packet::parse(&bytes[..]).is_ok(), "{slot:?}");
        }
    }
}

#[test]
fn registry_ids_are_words_and_unique() {
    let mut ids = BTreeMap::new();
    for entry in SCHEMES {
        let id = entry.card().id;
        assert!(
            id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{id}"
        );
        assert!(ids.insert(id, ()).is_none(), "{id} twice");
        assert!(entry.build(&serde_json::json!({ "no-such-key": 1 })).is_err(), "{id}");
    }
}
