//! Messages byte for byte, what proves them, and what is made of them.

use super::*;
use crate::checksum;
use crate::invariant::Key;
use crate::scheme::Chance;
use crate::schemes::rig;
use crate::vantage::{At, Draws, Setting, Vantage};
use std::sync::Arc;

const RUN: Key = Key(1, 2);

fn scheme(p: f64) -> ITrace {
    ITrace::new(&Params { p, ..Params::default() }).unwrap()
}

/// A UDP packet from 198.19.0.9 to the victim.
fn packet(length: u8) -> Vec<u8> {
    let mut bytes = vec![0x45, 0x28, 0, length, 0x1f, 0, 0x40, 0, 60, 17, 0, 0];
    bytes.extend([198, 19, 0, 9, 198, 18, 0, 2, 0x12, 0x34, 0, 9]);
    bytes.resize(length.into(), 7);
    let check = checksum::of(&bytes[..20]);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
    bytes
}

/// What router `me` says of a packet that came from `from` and goes to `to`.
fn message(from: u32, me: u32, to: u32, at: Nanos) -> Vec<u8> {
    let hop = Hop {
        at,
        me: RouterId(me),
        from: RouterId(from),
        to: RouterId(to),
        port: 1,
        ..Hop::default()
    };
    let addresses = ["198.18.7.1".parse().unwrap()];
    let packet = packet(40);
    let to = "198.18.0.2".parse().unwrap();
    let about = About { key: RUN, hop: &hop, out: 2, from: &addresses, packet: &packet, to };
    let mut out = vec![];
    assert!(scheme(1e-3).message(&about, &mut out));
    out
}

fn hear(heard: &mut Heard, datagram: &[u8], at: Nanos) {
    let packet = Packet::parse(datagram).unwrap();
    let hop = Hop { at, ttl: packet.ttl(), ..Hop::default() };
    assert!(scheme(1e-3).hear(&hop, &packet, heard));
}

/// A datagram as it arrives after some routers.
fn after(hops: u8, mut datagram: Vec<u8>) -> Vec<u8> {
    Packet::parse(&mut datagram[..]).unwrap().set_ttl(255 - hops);
    datagram
}

fn trace(heard: Heard) -> Result<AttackGraph, Gap> {
    let case = rig::case(rig::line(&[14, 13, 12, 11]), vec![]);
    let evidence = Evidence { ledgers: [(case.gateway, heard)].into(), ..Evidence::default() };
    match scheme(1e-3).reconstruct(&case, &evidence)? {
        Step::Done(Finding::Paths(graph)) => Ok(graph),
        other => panic!("{other:?}"),
    }
}

/// Every element of a message, byte for byte.
#[test]
fn golden_bytes_of_each_element() {
    let out = message(0x0a0b_0c0d, 0xc613_0001, 0xc613_0002, Nanos(2_500_000_000));
    assert_eq!(out[..2], [0x45, 0x28], "the traced packet's TOS");
    assert_eq!((usize::from(out[2]) << 8) + usize::from(out[3]), out.len());
    assert_eq!(out[8..10], [255, 1]);
    assert_eq!(out[12..22], [198, 18, 7, 1, 198, 18, 0, 2, 253, 0]);
    assert_eq!(checksum::fold(checksum::sum(&out[20..])), 0xffff);
    let pair = [0x0a, 0x0b, 0x0c, 0x0d, 198, 19, 0, 1];
    let back =
        [&[1, 0, 27, 0x81, 0, 2, b'p', b'1', 0x82, 0, 8][..], &pair, &[0x85, 0, 8], &pair].concat();
    assert_eq!(out[24..54], back);
    let pair = [198, 19, 0, 1, 198, 19, 0, 2];
    let forward =
        [&[2, 0, 27, 0x81, 0, 2, b'p', b'2', 0x82, 0, 8][..], &pair, &[0x85, 0, 8], &pair].concat();
    assert_eq!(out[54..84], forward);
    assert_eq!(out[84..95], [3, 0, 8, 0, 0, 0, 2, 0x80, 0, 0, 0]);
    assert_eq!(out[95..102], [5, 0, 4, 0, 0, 3, 232], "one in 1000");
    assert_eq!(out[102..109], [6, 0, 4, 198, 19, 0, 1]);
    // Epoch 2: the key of epoch 0 is out of use.
    let key = Keys { run: RUN, length: Nanos(1_000_000_000) };
    let router = RouterId(0xc613_0001);
    let disclosed =
        [&[0x86, 0, 57][..], &[0; 16], &[0, 0, 0, 1, 0, 0, 0, 0, 32], &key.key(router, 0)].concat();
    assert_eq!(out[109..112], [8, 0, 116]);
    assert_eq!(out[112..172], disclosed);
    let signature =
        [&[0x87, 0, 53, 0, 32][..], &key.sign(router, &disclosed), b"urn:ashiato:run-key"].concat();
    assert_eq!(out[172..228], signature);
    assert_eq!(out[228..271], [&[4, 0, 40][..], &packet(40)].concat());
    assert_eq!(out[271..284], [7, 0, 42, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(out.len(), 316);
}

#[test]
fn a_long_packet_is_quoted_as_far_as_576_bytes_go() {
    let hop = Hop { me: RouterId(5), ..Hop::default() };
    let mut long = packet(40);
    long[2..4].copy_from_slice(&1400_u16.to_be_bytes());
    long.resize(1400, 9);
    long[10..12].fill(0);
    let check = checksum::of(&long[..20]);
    long[10..12].copy_from_slice(&check.to_be_bytes());
    let to = "198.18.0.2".parse().unwrap();
    let about = About { key: RUN, hop: &hop, out: 0, from: &[], packet: &long, to };
    let mut out = vec![];
    assert!(scheme(1e-3).message(&about, &mut out));
    assert_eq!(out.len(), 576);
    let read = Message::read(&out, 20).unwrap();
    assert!(quoted(&rig::case(rig::line(&[5]), vec![]), read.traced));
    // Nobody speaks about a message.
    let about = About { packet: &out.clone(), ..about };
    assert!(!scheme(1e-3).message(&about, &mut out));
}

/// Every other router of a path is enough, if the first is among them: its links name the rest.
#[test]
fn links_of_true_messages_make_the_path() {
    let now = Nanos(100);
    let mut heard = Heard::default();
    hear(&mut heard, &after(3, message(0, 14, 13, now)), now);
    let partial = trace(heard.clone()).unwrap();
    assert!(partial.paths.is_empty() && partial.edges.len() == 1);
    hear(&mut heard, &after(1, message(13, 12, 11, now)), now);
    let path = [14, 13, 12, 11].map(RouterId).to_vec();
    assert_eq!(trace(heard).unwrap().paths, BTreeSet::from([path]));
}

#[test]
fn forged_late_and_misplaced_messages_name_nobody() {
    let now = Nanos(3_500_000_000);
    let good = after(3, message(0, 14, 13, now));
    let mut heard = Heard::default();
    // Another router's name in it, and a byte of the quoted packet.
    for at in [108, 260] {
        let mut forged = good.clone();
        forged[at] ^= 1;
        hear(&mut heard, &forged, now);
    }
    // True, but of a key that was public when it came, or is not in use yet.
    hear(&mut heard, &after(3, message(0, 14, 13, Nanos(500))), now);
    hear(&mut heard, &after(3, message(0, 14, 13, Nanos(9_000_000_000))), now);
    hear(&mut heard, &good[..], Nanos(6_000_000_000));
    // A router cannot be at the victim and send on to a router.
    hear(&mut heard, &after(0, message(0, 14, 13, now)), now);
    assert!(matches!(trace(heard.clone()), Err(Gap::Nothing { .. })));
    assert_eq!(heard.messages.iter().count(), 3);
    hear(&mut heard, &good, now);
    let graph = trace(heard).unwrap();
    assert_eq!((graph.edges.len(), graph.set_aside), (1, 2));
}

/// Byte by byte: whatever is changed on the way, nothing false is believed.
#[test]
fn no_changed_byte_is_believed_unless_it_may_change() {
    let good = after(3, message(0, 14, 13, Nanos(2_100_000_000)));
    let case = rig::case(rig::line(&[14, 13, 12, 11]), vec![]);
    let scheme = scheme(1e-3);
    assert!(scheme.believe(&case, &good).is_some());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let mutable = matches!(at, 1 | 6..=8 | 10 | 11 | 22 | 23);
        if !mutable {
            assert!(scheme.believe(&case, &bad).is_none(), "{at}");
        }
        assert!(Message::read(&good[..at], 20).is_err());
    }
}

fn speaker(params: &Params) -> At<ITrace> {
    let place = Place { id: RouterId(14), index: 0, degree: 1, asn: 0 };
    let setting = Setting { place, key: RUN, draws: Draws::Seeded(5), filter: None };
    At::new(Arc::new(ITrace::new(params).unwrap()), setting)
}

/// Messages in all, and those about packets that somebody wants to hear of: one in `nth`.
fn messages(params: &Params, nth: u32, packets: u32) -> [u32; 2] {
    let mut router = speaker(params);
    let mut told = [0, 0];
    for n in 0..packets {
        let mut bytes = packet(40);
        let wanted = n % nth == 0;
        bytes[19] = if wanted { 2 } else { 3 };
        bytes[10..12].fill(0);
        let sum = checksum::of(&bytes[..20]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        let mut packet = Packet::parse(&mut bytes[..]).unwrap();
        if router.forward(Hop { ttl: 60, ..Hop::default() }, &mut packet) {
            told[0] += 1;
            told[1] += u32::from(wanted);
        }
    }
    told
}

/// The share of useful messages is that of useful packets, or 1; how many there are stays the same.
#[test]
fn intention_makes_every_message_useful_at_the_same_rate() {
    let plain = Params { p: 1e-3, ..Params::default() };
    let wanted = vec!["198.18.0.2".parse().unwrap()];
    let driven = Params { intention: true, wanted, ..plain.clone() };
    let ([all, useful], [all_driven, useful_driven]) =
        (messages(&plain, 10, 400_000), messages(&driven, 10, 400_000));
    assert_eq!(all_driven, useful_driven);
    // 400 and 40 on average; five standard deviations.
    assert!((300..500).contains(&all) && (10..75).contains(&useful), "{all} {useful}");
    // The same draws; what is owed at the end was not sent.
    assert!(all - all_driven <= 3, "{all} {all_driven}");
}

#[test]
fn parameters_are_checked() {
    let refused = |params: Params| ITrace::new(&params).unwrap_err().key;
    assert_eq!(refused(Params { p: 0.01, ..Params::default() }), "p");
    assert_eq!(refused(Params { key_ms: 0, ..Params::default() }), "key_ms");
    assert_eq!(refused(Params { disclosed: 9, ..Params::default() }), "disclosed");
    let asks: Option<Chance> = scheme(1e-3).chance(&Hop::default());
    assert_eq!(asks, None);
}
