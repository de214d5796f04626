//! Laws that every scheme of the registry obeys. A new scheme is covered by being registered.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on may panic"
)]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use traceback::case::{Budget, Case, Filter, Gap, Sample, Step, Window};
use traceback::fib::{Fib, NextHop};
use traceback::graph::{AttackGraph, Finding};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::router::{ETHERNET, Far, Port, Router, Verdict};
use traceback::scheme::{Keeper, Names};
use traceback::schemes::{Answers, AnyScheme, SCHEMES};
use traceback::slot::Slot;
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, RouterId, checksum, room};

const KEY: Key = Key(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);

fn schemes() -> Vec<Arc<dyn AnyScheme>> {
    // The papers' parameters, but where they need millions of packets.
    let params = |id| match id {
        "itrace" => serde_json::json!({ "p": 0.001 }),
        _ => serde_json::json!({}),
    };
    SCHEMES.iter().map(|e| e.build(&params(e.card().id)).unwrap()).collect()
}

fn id(i: u16) -> RouterId {
    RouterId(0xc613_0001 + u32::from(i))
}

/// A line of routers: 0 next to the attacker, the last one next to the victim.
fn line(routers: u16) -> Map {
    let router = |i| MapRouter {
        id: id(i),
        name: format!("r{i}"),
        asn: 64_512,
        nation: "XA".into(),
        aliases: vec![],
    };
    Map::new((0..routers).map(router).collect(), (1..routers.into()).map(|i| (i - 1, i)).collect())
        .unwrap()
}

fn setting(map: &Map, i: u16) -> Setting {
    Setting { place: map.place(id(i)).unwrap(), key: KEY, draws: Draws::Keyed, filter: None }
}

/// A UDP packet in an Ethernet frame, with room for `records` in an option.
fn frame(v6: bool, seq: u64, records: usize) -> Vec<u8> {
    let mut payload = room::MAGIC.to_vec();
    payload.extend([0; 12]);
    payload.extend(seq.to_be_bytes());
    let mut udp = vec![0x12, 0x34, 0, 9, 0, 0, 0, 0];
    udp.extend(&payload);
    let len = u16::try_from(udp.len()).unwrap();
    udp[4..6].copy_from_slice(&len.to_be_bytes());
    let option = if records == 0 { 0 } else { room::HEAD + 2 * records };
    let mut ip =
        if v6 { head6(option, len, &ioam(records.max(20), seq)) } else { head4(option, len) };
    let addresses = if v6 { 8..40 } else { 12..20 };
    let pseudo = checksum::sum(&ip[addresses]) + 17 + u32::from(len);
    let check = !checksum::fold(pseudo + checksum::sum(&udp));
    udp[6..8].copy_from_slice(&check.to_be_bytes());
    ip.extend(udp);
    let mut frame = vec![2; 12];
    frame.extend(if v6 { [0x86, 0xdd] } else { [8, 0] });
    frame.extend(ip);
    frame
}

fn head4(option: usize, udp: u16) -> Vec<u8> {
    let padded = option.next_multiple_of(4);
    let total = 20 + u16::try_from(padded).unwrap() + udp;
    let mut ip = vec![0x45 + (padded / 4) as u8, 0, 0, 0, 0x1f, 0, 0x40, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip.extend([198, 19, 200, 7, 198, 18, 0, 2]);
    if option > 0 {
        ip.extend([room::OPTION4, option as u8, 0, 0]);
    }
    ip.resize(20 + padded, 0);
    let check = checksum::of(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip
}

/// IOAM options for a packet, which begin where Linux wants them.
fn ioam(nodes: usize, seq: u64) -> Vec<u8> {
    [vec![1, 0], traceback::ioam::trace(nodes), traceback::ioam::export(7, seq as u32)].concat()
}

fn head6(option: usize, udp: u16, ioam: &[u8]) -> Vec<u8> {
    let padded = if option == 0 { 0 } else { (2 + ioam.len() + option).next_multiple_of(8) };
    let mut ip = vec![0x60, 0, 0x1f, 0, 0, 0, if option == 0 { 17 } else { 0 }, 64];
    ip[4..6].copy_from_slice(&(padded as u16 + udp).to_be_bytes());
    ip.extend([0x20, 1, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 7]);
    ip.extend([0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    if option > 0 {
        ip.extend([17, (padded / 8 - 1) as u8]);
        ip.extend(ioam);
        ip.extend([room::OPTION6, (option - 2) as u8, 0, 0]);
    }
    ip.resize(40 + padded, 0);
    ip
}

fn routers(scheme: &dyn AnyScheme, map: &Map) -> Vec<Router> {
    let mut fib = Fib::default();
    let next = NextHop { port: 1, via: None };
    fib.insert("198.18.0.0".parse().unwrap(), 15, next);
    fib.insert("2001:2::".parse().unwrap(), 48, next);
    let count = u16::try_from(map.routers().len()).unwrap();
    let make = |i: u16| {
        let far = |n: Option<u16>| Far { neighbour: n.map(id), ..Far::default() };
        let port = |n: Option<u16>| Port { far: far(n), addresses: vec![], mtu: 1500 };
        let ports = vec![port(i.checked_sub(1)), port(Some(i + 1).filter(|n| *n < count))];
        let mut router = Router::new(map.place(id(i)).unwrap(), ports, &[], fib.clone());
        router.vantage = Some(scheme.vantage(setting(map, i)));
        router
    };
    (0..count).map(make).collect()
}

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

fn case(map: &Map, samples: Vec<Sample>, v6: bool) -> Case {
    let filter = Filter {
        victim: if v6 { "2001:2::2" } else { "198.18.0.2" }.parse().unwrap(),
        protocol: Some(17),
        source_port: None,
        port: Some(9),
    };
    let gateway = id(u16::try_from(map.routers().len()).unwrap() - 1);
    let (window, budget) = (Window::ALWAYS, Budget::default());
    Case { gateway, filter, window, samples, key: KEY, map: map.clone(), budget }
}

/// Schemes without a slot in IPv4 are tried in IPv6.
fn v6(scheme: &dyn AnyScheme) -> bool {
    !scheme.card().v4.exists(false)
}

/// Takes a frame down the line, and with it what routers say about it; gives what they said.
fn walk(routers: &mut [Router], frame: &mut [u8], at: Nanos) -> Vec<Vec<u8>> {
    let mut said: Vec<Vec<u8>> = vec![];
    for router in routers {
        for message in &mut said {
            assert!(matches!(router.forward(0, message, at, &mut ()), Verdict::Send { .. }));
        }
        let verdict = router.forward(0, frame, at, &mut ());
        assert!(matches!(verdict, Verdict::Send { port: 1, .. }), "{verdict:?}");
        if let Some((1, _, message)) = router.take_message() {
            let version = if message[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
            said.push([&[0; 12], &version[..], &message].concat());
        }
    }
    said
}

/// Sends packets down the line, then rebuilds, asking routers as the collector would.
fn trace(scheme: &dyn AnyScheme, map: &Map, packets: u64) -> Result<Finding, Gap> {
    let mut routers = routers(scheme, map);
    let mut observer = scheme.vantage(setting(map, u16::try_from(routers.len()).unwrap() - 1));
    let mut samples = vec![];
    for seq in 0..packets {
        let mut bytes = frame(v6(scheme), seq, 18);
        for message in walk(&mut routers, &mut bytes, Nanos(seq)) {
            observer.see(Nanos(seq), &Packet::parse(&message[ETHERNET..]).unwrap());
        }
        let packet = Packet::parse(&bytes[ETHERNET..]).unwrap();
        observer.see(Nanos(seq), &packet);
        if seq < 3 {
            samples.push(Sample { bytes: packet.as_bytes().to_vec(), at: Nanos(seq) });
        }
    }
    let case = case(map, samples, v6(scheme));
    let ledger = observer.cut();
    let ledgers: Vec<_> = ledger.iter().map(|l| (case.gateway, &l[..])).collect();
    let mut answers = Answers::new();
    loop {
        match scheme.reconstruct(&case, &ledgers, &answers)? {
            Step::Done(finding) => return Ok(finding),
            Step::Ask(questions) => {
                assert_eq!(scheme.card().keeper, Keeper::Routers);
                for (router, query) in questions {
                    let at = routers.iter().find(|r| r.place().id == router).unwrap();
                    let answer = at.vantage.as_ref().unwrap().answer(&query);
                    answers.insert((router, query), Some(answer));
                }
            }
        }
    }
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

/// Schemes that name less than a path name exactly what there is of it.
#[test]
fn one_lossless_path_has_one_ingress_or_one_class() {
    for scheme in schemes() {
        for hops in [1, 2, 9] {
            let found = trace(&*scheme, &line(hops), 2_000);
            match scheme.card().names {
                Names::Paths | Names::Nothing => {}
                Names::Ingress => {
                    let routers = [id(0)].into();
                    assert_eq!(found, Ok(Finding::Ingress { routers }), "{}", scheme.card().id);
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
                let mut bytes = frame(v6, seq, 18);
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

/// Ledgers of three observers that saw different packets, encoded.
fn three_ledgers(scheme: &dyn AnyScheme, seed: u64) -> [Vec<u8>; 3] {
    let map = line(4);
    [0, 1, 2].map(|part| {
        let mut routers = routers(scheme, &map);
        let mut observer = scheme.vantage(setting(&map, 3));
        for seq in 0..40 + 10 * part {
            let mut bytes = frame(v6(scheme), seed.wrapping_mul(1000) + part * 100 + seq, 18);
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
        let mut wounded = frame(v6, 1, 18);
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
        algebraic, ams1, ams2, dpm, fdpm, fit, fragments, hdpm, hit, pi, pint, rnl,
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
