//! A line of routers, whole packets over it, and what a scheme makes of them.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "every test uses a part of it, and a test that cannot go on may panic"
)]

use std::sync::Arc;
use traceback::case::{Budget, Case, Filter, Gap, Sample, Step, Window};
use traceback::fib::{Fib, NextHop};
use traceback::graph::Finding;
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::packet::Packet;
use traceback::room::MAX_OPTION4;
use traceback::router::{ETHERNET, Far, Port, Router, Verdict};
use traceback::scheme::Keeper;
use traceback::schemes::{Answers, AnyScheme, SCHEMES};
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, RouterId, checksum, room};

pub(crate) const KEY: Key = Key(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210);

pub(crate) fn schemes() -> Vec<Arc<dyn AnyScheme>> {
    // The papers' parameters, but where they need millions of packets.
    let params = |id| match id {
        "itrace" => serde_json::json!({ "p": 0.001 }),
        _ => serde_json::json!({}),
    };
    SCHEMES.iter().map(|e| e.build(&params(e.card().id)).unwrap()).collect()
}

pub(crate) fn id(i: u16) -> RouterId {
    RouterId(0xc613_0001 + u32::from(i))
}

/// Routers by two are an autonomous system.
pub(crate) fn asn(i: u16) -> u32 {
    64_512 + u32::from(i / 2)
}

/// A line of routers: 0 next to the attacker, the last one next to the victim.
pub(crate) fn line(routers: u16) -> Map {
    let router = |i| MapRouter {
        id: id(i),
        name: format!("r{i}"),
        asn: asn(i),
        nation: "XA".into(),
        aliases: vec![],
    };
    Map::new((0..routers).map(router).collect(), (1..routers.into()).map(|i| (i - 1, i)).collect())
        .unwrap()
}

pub(crate) fn setting(map: &Map, i: u16) -> Setting {
    Setting { place: map.place(id(i)).unwrap(), key: KEY, draws: Draws::Keyed, filter: None }
}

/// A UDP packet in an Ethernet frame, with room for `records` in an option.
pub(crate) fn frame(v6: bool, seq: u64, records: usize) -> Vec<u8> {
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

pub(crate) fn head4(option: usize, udp: u16) -> Vec<u8> {
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
pub(crate) fn ioam(nodes: usize, seq: u64) -> Vec<u8> {
    [vec![1, 0], traceback::ioam::trace(nodes), traceback::ioam::export(7, seq as u32)].concat()
}

pub(crate) fn head6(option: usize, udp: u16, ioam: &[u8]) -> Vec<u8> {
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

pub(crate) fn routers(scheme: &dyn AnyScheme, map: &Map) -> Vec<Router> {
    let mut fib = Fib::default();
    let next = NextHop { port: 1, via: None };
    fib.insert("198.18.0.0".parse().unwrap(), 15, next);
    fib.insert("2001:2::".parse().unwrap(), 48, next);
    let count = u16::try_from(map.routers().len()).unwrap();
    let make = |i: u16| {
        let far = |n: Option<u16>| Far {
            neighbour: n.map(id),
            border: n.is_some_and(|n| asn(n) != asn(i)),
            ..Far::default()
        };
        let port = |n: Option<u16>| Port { far: far(n), addresses: vec![], mtu: 1500 };
        let ports = vec![port(i.checked_sub(1)), port(Some(i + 1).filter(|n| *n < count))];
        let mut router = Router::new(map.place(id(i)).unwrap(), ports, &[], fib.clone());
        router.vantage = Some(scheme.vantage(setting(map, i)));
        router
    };
    (0..count).map(make).collect()
}

pub(crate) fn case(map: &Map, samples: Vec<Sample>, v6: bool) -> Case {
    let filter = Filter {
        victim: if v6 { "2001:2::2" } else { "198.18.0.2" }.parse().unwrap(),
        protocol: Some(17),
        source_port: None,
        port: Some(9),
    };
    let gateway = id(u16::try_from(map.routers().len()).unwrap() - 1);
    let (window, budget) = (Window::ALWAYS, Budget::default());
    let beyond = Default::default();
    Case { gateway, filter, window, samples, key: KEY, map: map.clone(), budget, beyond }
}

/// Schemes without a slot in IPv4 are tried in IPv6.
pub(crate) fn v6(scheme: &dyn AnyScheme) -> bool {
    !scheme.card().v4.exists(false)
}

/// Takes a frame down the line, and with it what routers say about it; gives what they said.
pub(crate) fn walk(routers: &mut [Router], frame: &mut [u8], at: Nanos) -> Vec<Vec<u8>> {
    let mut said: Vec<Vec<u8>> = vec![];
    for router in routers {
        for message in &mut said {
            assert!(matches!(router.forward(0, message, at, &mut ()), Verdict::Send(_)));
        }
        let verdict = router.forward(0, frame, at, &mut ());
        assert!(matches!(verdict, Verdict::Send(NextHop { port: 1, .. })), "{verdict:?}");
        if let Some((1, _, message)) = router.take_message() {
            let version = if message[0] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
            said.push([&[0; 12], &version[..], &message].concat());
        }
    }
    said
}

/// Sends packets down the line, then rebuilds, asking routers as the collector would.
pub(crate) fn trace(scheme: &dyn AnyScheme, map: &Map, packets: u64) -> Result<Finding, Gap> {
    trace_from(scheme, map, packets, 64)
}

/// The same from senders who start with another TTL.
pub(crate) fn trace_from(
    scheme: &dyn AnyScheme,
    map: &Map,
    packets: u64,
    ttl: u8,
) -> Result<Finding, Gap> {
    let mut routers = routers(scheme, map);
    let count = u16::try_from(routers.len()).unwrap();
    let mut observer = scheme.vantage(setting(map, count - 1));
    // A longer path has no room in an option of IPv4.
    let v6 = v6(scheme) || usize::from(count) > MAX_OPTION4;
    let mut samples = vec![];
    for seq in 0..packets {
        let mut bytes = frame(v6, seq, usize::from(count).max(MAX_OPTION4));
        Packet::parse(&mut bytes[ETHERNET..]).unwrap().set_ttl(ttl);
        for message in walk(&mut routers, &mut bytes, Nanos(seq)) {
            observer.see(Nanos(seq), &Packet::parse(&message[ETHERNET..]).unwrap());
        }
        let packet = Packet::parse(&bytes[ETHERNET..]).unwrap();
        observer.see(Nanos(seq), &packet);
        if seq < 3 {
            samples.push(Sample { bytes: packet.as_bytes().to_vec(), at: Nanos(seq) });
        }
    }
    let case = case(map, samples, v6);
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
