//! The userspace router between real kernels: namespaces, veth pairs, real ARP and ND. Every test runs
//! over rings and over pnet's channels.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use ashiato_agent::config::{Datapath, Vantage};
use std::net::UdpSocket;
use std::time::Duration;
use support::{Net, Running, datagrams, frame, hear, privileged, spent_probes_are_answered, udp4};
use traceback::fib::{Fib, NextHop};
use traceback::router::{self, Router, Verdict};
use traceback::vantage::{Draws, Setting};
use traceback::{Nanos, schemes};

/// The same tests over each channel.
macro_rules! over_both {
    ($($test:ident),* $(,)?) => {
        mod ring {
            $(#[test] fn $test() { super::$test(super::Datapath::Afpacket); })*
        }
        mod pnet {
            $(#[test] fn $test() { super::$test(super::Datapath::Pnet); })*
        }
    };
}

over_both!(
    kernels_talk_through_it_in_both_versions,
    a_burst_loses_nothing,
    spent_packets_are_answered_as_traceroute_expects,
    a_changed_route_is_followed,
    hostile_frames_are_counted,
    too_large_packets_are_answered,
    neighbours_that_do_not_answer_cost_their_packets_only,
    marks_are_those_of_the_library,
    a_kernel_that_forwards_too_is_refused,
);

/// Namespaces of their own for each channel, because tests run at once.
fn net(test: &str, datapath: Datapath) -> Net {
    Net::new(&format!("{test}-{datapath:?}").to_lowercase())
}

fn config(net: &Net, scheme: &str, datapath: Datapath) -> Vantage {
    Vantage { datapath, ..net.config(scheme) }
}

fn kernels_talk_through_it_in_both_versions(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("talk", datapath);
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    // Nobody knows anybody's Ethernet address yet: the first packets wait for ARP and ND.
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 2000), 2000);
    assert_eq!(datagrams(&net, "[2001:2:0:1::2]:0", "[2001:2:0:2::2]:5000", 2000), 2000);
    let share = router.cut();
    assert_eq!(share.counters.forwarded, 4000, "{:?}", share.counters);
    assert_eq!(share.counters.dropped(), 0, "{:?}", share.counters);
    assert!((900..=1100).contains(&share.latency.len()), "one in four: {}", share.latency.len());
    assert_eq!(router.cut().counters.forwarded, 0, "a cut starts anew");
}

fn a_burst_loses_nothing(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("burst", datapath);
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    let (out, into) = (net.socket("src"), net.socket("dst"));
    // Takes the datagrams, so that the host does not answer them.
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let packet = udp4(net.mac("rtr", "p0"), [198, 18, 1, 2], [198, 18, 2, 2], 64, &[7; 22]);
    for _ in 0..200 {
        for _ in 0..100 {
            out.send(&packet).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let share = router.cut();
    assert_eq!(share.counters.forwarded, 20_001, "{:?}", share.counters);
    assert_eq!(share.counters.overrun, 0);
    assert!(into.statistics().unwrap().packets >= 20_000);
}

fn spent_packets_are_answered_as_traceroute_expects(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("ttl", datapath);
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    spent_probes_are_answered(&net);
    let counters = router.cut().counters;
    assert_eq!((counters.expired, counters.answered, counters.forwarded), (2, 2, 0));
}

fn a_changed_route_is_followed(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("route", datapath);
    net.ip("rtr", "route add 198.18.9.0/24 via 198.18.2.2");
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    let (out, dst, alt) = (net.socket("src"), net.socket("dst"), net.socket("alt"));
    let packet = udp4(net.mac("rtr", "p0"), [198, 18, 1, 2], [198, 18, 9, 9], 64, b"which way");
    let is_ours = |f: &[u8]| f.ends_with(b"which way");
    out.send(&packet).unwrap();
    assert_eq!(hear(&dst, is_ours).expect("by the first route")[22], 63);
    net.ip("rtr", "route replace 198.18.9.0/24 via 198.18.3.2");
    std::thread::sleep(Duration::from_millis(50));
    out.send(&packet).unwrap();
    hear(&alt, is_ours).expect("by the second route");
    net.ip("rtr", "route del 198.18.9.0/24");
    std::thread::sleep(Duration::from_millis(50));
    router.cut();
    out.send(&packet).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(router.cut().counters.unroutable, 1, "a deleted route counts");
}

/// A fragment whose rest is to come.
fn first_fragment(mac: [u8; 6]) -> Vec<u8> {
    let mut frame = udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, &[2; 30]);
    frame[20] = 0x20;
    frame[24..26].fill(0);
    let check = traceback::checksum::of(&frame[14..34]);
    frame[24..26].copy_from_slice(&check.to_be_bytes());
    frame
}

fn hostile_frames_are_counted(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("hostile", datapath);
    let mut router = Running::start(&config(&net, "fms", datapath)).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    router.cut();
    // Takes the datagrams, so that the host does not answer them.
    let _sink = net.within("dst", || UdpSocket::bind("198.18.2.2:9").unwrap());
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    let good = udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, &[1; 30]);
    let mut bad_checksum = good.clone();
    bad_checksum[25] ^= 1;
    let fragment = first_fragment(mac);
    let mut to_all = good.clone();
    to_all[..6].fill(0xff);
    // The kernel takes the tag out of the bytes; what is left is not this network's.
    let mut tagged = good.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    let frames = [
        (&tagged[..], "VLAN tag"),
        (&good[..30], "truncated"),
        (&bad_checksum, "checksum"),
        (&frame(mac, 0x0800, &[0x65; 40]), "version"),
        (&frame(mac, 0x86dd, &[0x60; 30]), "short IPv6"),
        (&frame(mac, 0x88b5, &[0; 46]), "EtherType"),
        (&to_all, "broadcast"),
        (&fragment, "fragment"),
        (&udp4(mac, [198, 18, 1, 2], [198, 18, 1, 1], 64, b"local"), "local"),
        (&udp4(mac, [198, 18, 1, 2], [203, 0, 113, 1], 64, b"nowhere"), "no route"),
        (&good, "good"),
    ];
    for (bytes, what) in frames {
        out.send(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    }
    let c = router.cut().counters;
    assert_eq!((c.malformed, c.unroutable, c.forwarded), (4, 1, 2), "{c:?}");
    assert_eq!(c.harms.fragments_skipped, 1, "{c:?}");
    assert!(c.local >= 3, "{c:?}");
}

fn too_large_packets_are_answered(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("large", datapath);
    net.ip("rtr", "link set p1 mtu 1280");
    net.ip("src", "link set eth0 mtu 9000");
    net.ip("rtr", "link set p0 mtu 9000");
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    let hears = net.socket("src");
    let mac = net.mac("rtr", "p0");
    let large = udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, &[0; 8000]);
    hears.send(&large).unwrap();
    let is_too_big = |f: &[u8]| f[12..14] == [8, 0] && f[23] == 1 && f[34..36] == [3, 4];
    let answer = hear(&hears, is_too_big).expect("fragmentation needed");
    assert_eq!(answer[40..42], 1280_u16.to_be_bytes());
    assert_eq!(router.cut().counters.expired, 1);
}

fn neighbours_that_do_not_answer_cost_their_packets_only(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("silent", datapath);
    let mut router = Running::start(&config(&net, "none", datapath)).unwrap();
    let out = net.socket("src");
    for last in 50..250 {
        let packet = udp4(net.mac("rtr", "p0"), [198, 18, 1, 2], [198, 18, 2, last], 64, b"you?");
        out.send(&packet).unwrap();
    }
    std::thread::sleep(Duration::from_millis(1500));
    let counters = router.cut().counters;
    assert_eq!((counters.unroutable, counters.forwarded), (200, 0), "{counters:?}");
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 10), 10);
}

fn marks_are_those_of_the_library(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("marks", datapath);
    let config = config(&net, "fms", datapath);
    let router = Running::start(&config).unwrap();
    assert_eq!(datagrams(&net, "198.18.1.2:0", "198.18.2.2:5000", 1), 1);
    let (out, dst) = (net.socket("src"), net.socket("dst"));
    let port = router::Port { far: Default::default(), addresses: vec![], mtu: 1500 };
    let mut fib = Fib::default();
    fib.insert("198.18.2.0".parse().unwrap(), 24, NextHop { port: 1, via: None });
    let mut pure = Router::new(config.place(), vec![port.clone(), port], &[], fib);
    let (key, draws) = (support::KEY, Draws::Keyed);
    let setting = Setting { place: config.place(), key, draws, filter: None };
    let scheme = schemes::find("fms").unwrap().build(&config.params).unwrap();
    pure.vantage = Some(scheme.vantage(setting));
    let mac = net.mac("rtr", "p0");
    let mut marked = 0;
    for n in 0..500_u32 {
        let mut packet =
            udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, &[n.to_be_bytes(); 6].concat());
        out.send(&packet).unwrap();
        let got = hear(&dst, |f| f.ends_with(&n.to_be_bytes())).expect("arrives");
        let verdict = pure.forward(0, &mut packet, Nanos(0), &mut ());
        assert_eq!(verdict, Verdict::Send(&NextHop { port: 1, via: None }));
        assert_eq!(got[14..], packet[14..], "packet {n}");
        marked += u32::from(packet[18..20] != [0x1f, 0]);
    }
    assert!(marked > 0);
    drop(router);
}

fn a_kernel_that_forwards_too_is_refused(datapath: Datapath) {
    if !privileged() {
        return;
    }
    let net = net("twice", datapath);
    net.within("rtr", || std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap());
    let error = Running::start(&config(&net, "none", datapath)).err().expect("refused").to_string();
    assert!(error.contains("net.ipv4.ip_forward=0"), "{error}");
}
