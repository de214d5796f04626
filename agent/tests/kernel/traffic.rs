//! What becomes of packets.

use crate::said::{listen, said};
use crate::support::packets::{Random, frame as any_frame};
use crate::support::{
    self, Net, Running, datagrams, hear, privileged, spent_probes_are_answered, udp4, udp6,
};
use crate::{always, config};
use ashiato_agent::config::{Datapath, Vantage};
use ashiato_agent::datapath::serve::Clock;
use ashiato_agent::datapath::socket::PacketSocket;
use serde_json::json;
use std::net::UdpSocket;
use std::time::Duration;
use traceback::case::Query;
use traceback::fib::{Fib, NextHop};
use traceback::invariant::Invariant;
use traceback::packet::Packet;
use traceback::report::Counters;
use traceback::router::{self, Router, Verdict};
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, RouterId, schemes};

const SRC: [u8; 4] = [198, 18, 1, 2];
const DST: [u8; 4] = [198, 18, 2, 2];

/// Frames that a datapath took in are accounted for one by one.
fn balanced(c: &Counters) {
    let out = c.forwarded + c.local + c.malformed + c.expired + c.unroutable;
    assert_eq!(c.received, out, "{c:?}");
}

pub(crate) fn kernels_talk_through_it_in_both_versions(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("talk", datapath);
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    // Nobody knows anybody's Ethernet address yet: the first packets wait for ARP and ND.
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 500), 500);
    assert_eq!(datagrams(&net, "[2001:2:0:1::2]:0", "[2001:2:0:2::2]:5000", 500), 500);
    let share = router.cut();
    assert!((1000..1010).contains(&share.counters.forwarded), "{:?}", share.counters);
    assert_eq!(share.counters.dropped(), 0, "{:?}", share.counters);
    balanced(&share.counters);
    // One in four of each processor is timed.
    assert!((240..=260).contains(&share.latency.len()), "one in four: {}", share.latency.len());
    assert_eq!(router.cut().counters.forwarded, 0, "a cut starts anew");
}

pub(crate) fn spent_packets_are_answered_by_the_kernel(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("ttl", datapath);
    let mut router = Running::start(&always(&net, datapath)).unwrap();
    spent_probes_are_answered(&net);
    let counters = router.cut().counters;
    // At tc egress such packets never come by: the kernel has dropped them.
    let expired = if datapath == Datapath::Tc { 0 } else { 2 };
    assert_eq!((counters.expired, counters.forwarded), (expired, 0), "{counters:?}");
}

/// What the library alone makes of packets from `src` to `dst`.
fn library(config: &Vantage) -> Router {
    let port = router::Port { far: Default::default(), addresses: vec![], mtu: 1500 };
    let mut fib = Fib::default();
    for (prefix, len) in [("198.18.2.0", 24), ("2001:2:0:2::", 64)] {
        fib.insert(prefix.parse().unwrap(), len, NextHop { port: 1, via: None });
    }
    let mut pure = Router::new(config.place(), vec![port.clone(), port], &[], fib);
    let (key, draws) = (support::KEY, Draws::Keyed);
    let setting = Setting { place: config.place(), key, draws, filter: None };
    let scheme = schemes::find(&config.scheme).unwrap().build(&config.params).unwrap();
    pure.vantage = Some(scheme.vantage(setting));
    pure
}

pub(crate) fn marks_are_those_of_the_library(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("marks", datapath);
    let config = config(&net, "fms", datapath);
    let mut router = Running::start(&config).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    assert_eq!(datagrams(&net, "[2001:2:0:1::2]:0", "[2001:2:0:2::2]:5000", 1), 1);
    router.cut();
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (out, dst, mac) = (net.socket("src"), net.socket("dst"), net.mac("rtr", "p0"));
    let mut pure = library(&config);
    let mut marked = 0;
    for n in 0..500_u32 {
        let payload = [n.to_be_bytes(); 6].concat();
        let mut frames = [udp4(mac, SRC, DST, 64, &payload), udp6(mac, 64, &payload)];
        for (packet, to) in frames.iter_mut().zip(["198.18.2.2", "2001:2:0:2::2"]) {
            let (before, kind) = (packet.clone(), [packet[12], packet[13]]);
            out.send(packet).unwrap();
            let ours = |f: &[u8]| f[12..14] == kind && f.ends_with(&payload);
            let got = hear(&dst, ours).expect("arrives");
            let verdict = pure.forward(0, packet, Nanos(0), &mut ());
            assert_eq!(verdict, Verdict::Send(&NextHop { port: 1, via: None }));
            assert_eq!(got[14..], packet[14..], "packet {n} to {to}");
            marked += u64::from(before[14..22] != packet[14..22]);
        }
    }
    assert!(marked > 10, "{marked}");
    let counters = router.cut().counters;
    // Neighbours look for each other and the far host complains, now and then.
    assert!((marked..marked + 5).contains(&counters.harms.marked), "{marked}: {counters:?}");
    balanced(&counters);
}

/// A fragment whose rest is to come.
fn first_fragment(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = udp4(mac, SRC, DST, 64, &[2; 30]);
    frame[20] = 0x20;
    frame[24..26].fill(0);
    let check = traceback::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame
}

pub(crate) fn fragments_pass_unmarked_and_are_counted(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("fragment", datapath);
    let mut router = Running::start(&always(&net, datapath)).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    router.cut();
    let (out, dst, mac) = (net.socket("src"), net.socket("dst"), net.mac("rtr", "p0"));
    out.send(&first_fragment(mac)).unwrap();
    let got = hear(&dst, |f| f.ends_with(&[2; 30])).expect("arrives");
    assert_eq!(got[18..22], [0x1f, 0, 0x20, 0], "identification and flags as they were");
    let counters = router.cut().counters;
    assert_eq!((counters.forwarded, counters.harms.fragments_skipped), (1, 1), "{counters:?}");
    assert_eq!(counters.harms.marked, 0, "{counters:?}");
}

/// Sends frames in bursts, as many in a millisecond as a burst has.
fn bursts(out: &PacketSocket, frames: &[Vec<u8>], burst: usize) {
    for some in frames.chunks(burst) {
        for frame in some {
            // The kernel refuses what is shorter than a header.
            let _ = out.send(frame);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn hostile_frames_are_accounted_for(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("hostile", datapath);
    // Destinations are random; all go to one host, so that nobody waits for neighbours.
    net.ip("rtr", "route add 198.19.0.0/16 via 198.18.2.2");
    net.ip("rtr", "-6 route add 2001:2:0:2::2/128 dev p1");
    net.ip("rtr", "-6 route add 2001:2:0:2::/64 via 2001:2:0:2::2 metric 1");
    let mut router = Running::start(&always(&net, datapath)).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    assert_eq!(datagrams(&net, "[2001:2:0:1::2]:0", "[2001:2:0:2::2]:5000", 1), 1);
    router.cut();
    let (out, dst, mac) = (net.socket("src"), net.socket("dst"), net.mac("rtr", "p0"));
    let mut random = Random(23);
    let frames: Vec<Vec<u8>> = (0..30_000).map(|_| any_frame(&mut random, mac)).collect();
    bursts(&out, &frames, 100);
    std::thread::sleep(Duration::from_millis(100));
    let counters = router.cut().counters;
    balanced(&counters);
    assert!(counters.forwarded > 10_000, "{counters:?}");
    assert!(counters.harms.marked > 5_000, "{counters:?}");
    if datapath == Datapath::Tc {
        // What the kernel drops before routing never comes by at egress.
        assert!(counters.received < 30_000, "{counters:?}");
    } else {
        assert!(counters.received > 29_000, "{counters:?}");
        assert!(counters.malformed > 1_000 && counters.expired > 10, "{counters:?}");
    }
    let arrived = u64::from(dst.statistics().unwrap().packets);
    // At tc egress the kernel sends on what the program finds malformed.
    assert!(arrived <= counters.received + 200, "{arrived} came, {counters:?}");
    assert!(arrived > counters.forwarded / 2, "{arrived} came, {counters:?}");
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 20), 20, "it still works");
}

/// Numbered packets from `first` on, and the digests by which routers know them.
fn numbered(mac: [u8; 6], first: u32, count: u32) -> (Vec<Vec<u8>>, Vec<u64>) {
    let make = |n: u32| udp4(mac, SRC, DST, 64, &[n.to_be_bytes(); 6].concat());
    let frames: Vec<Vec<u8>> = (first..first + count).map(make).collect();
    let digest =
        |f: &Vec<u8>| Invariant::of(&Packet::parse(&f[14..]).unwrap(), support::KEY).digest;
    let digests = frames.iter().map(digest).collect();
    (frames, digests)
}

fn at_any_time(keys: Vec<u64>) -> Query {
    Query { keys, from: Nanos(0), to: Nanos(u64::MAX) }
}

pub(crate) fn every_packet_of_many_pages_is_seen(datapath: Datapath) {
    if !privileged() {
        return;
    }
    listen();
    let net = Net::of("pages", datapath);
    let params = json!({ "packets": 100, "bits": 2400, "pages": 200 });
    let mut router = Running::start(&Vantage {
        params,
        router: RouterId(0xc613_0a00 + datapath as u32),
        ..config(&net, "spie", datapath)
    })
    .unwrap();
    let name = format!("router/198.19.10.{}", datapath as u32);
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    // At a rate that the agent can follow: it comes by ten times a second, to eight pages.
    let (frames, slow) = numbered(mac, 0, 2000);
    bursts(&out, &frames, 2);
    assert!(router.ask(at_any_time(slow.clone())).iter().all(Option::is_some));
    let unsent = router.ask(at_any_time((0..2000).map(|n| n * 0x9e37_79b9_7f4a_7c15).collect()));
    let false_ones = unsent.iter().filter(|v| v.is_some()).count();
    // 24 bits a packet, 8 hashes: one in 4000 for a page, 20 pages; the open page has room.
    assert!(false_ones < 60, "{false_ones} false ones");
    // As fast as it goes: pages may overflow, but nothing is missed, and it is said.
    let (frames, fast) = numbered(mac, 10_000, 6000);
    bursts(&out, &frames, 500);
    assert!(router.ask(at_any_time(fast)).iter().all(Option::is_some));
    assert!(router.ask(at_any_time(slow)).iter().all(Option::is_some), "the older ones stay");
    let counters = router.cut().counters;
    assert!(counters.forwarded >= 8001, "{counters:?}");
    // 60 pages in some 12 ms; the agent comes by every 100 ms, and there are eight.
    assert!(said(&[&name, "pages that were full"]));
}

pub(crate) fn an_epoch_ends_by_itself(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = Net::of("epoch", datapath);
    let params = json!({ "epoch_ms": 200 });
    let config = Vantage { params, ..config(&net, "spie", datapath) };
    let mut router = Running::start(&config).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (frames, early) = numbered(mac, 0, 20);
    bursts(&out, &frames, 20);
    // The epoch, the agent's next look, and the coarse clock's tick on both sides.
    std::thread::sleep(Duration::from_millis(600));
    let between = Clock::since(0).now();
    let (frames, late) = numbered(mac, 100, 20);
    bursts(&out, &frames, 20);
    let after = |keys: Vec<u64>| Query { keys, from: between, to: Nanos(u64::MAX) };
    assert!(router.ask(after(early.clone())).iter().all(Option::is_none), "an earlier page's");
    assert!(router.ask(after(late)).iter().all(Option::is_some));
    assert!(router.ask(at_any_time(early)).iter().all(Option::is_some));
}
