//! The ways of packets that the datapath `xdp` keeps for a moment: what it saves, and that nothing of it
//! lasts once the kernel's tables say otherwise.

use crate::config;
use crate::said::{listen, said};
use crate::support::{Net, Running, frame, privileged, udp4};
use ashiato_agent::config::Datapath;
use ashiato_agent::datapath::kernel::layout::{PortEntry, Setting};
use ashiato_agent::datapath::kernel::program::{Hook, Program};
use ashiato_agent::datapath::socket::{Opening, PacketSocket, interface_index};
use std::time::{Duration, Instant};
use traceback::invariant::Key;
use traceback::{RouterId, schemes};

/// Behind this, answers are certainly old: they are kept for 20 ms, and the kernel's clock may be late.
const OLD: Duration = Duration::from_millis(150);
const SRC: [u8; 4] = [198, 18, 1, 2];
/// A host behind one of the leaves.
const FAR: [u8; 4] = [198, 19, 5, 5];
const FAR6: &[u8] = b"\x20\x01\0\x02\0\x09\0\0\0\0\0\0\0\0\0\x05";

/// The net, with everybody's neighbours known and the far hosts behind `dst`.
fn net(test: &str) -> Net {
    let net = Net::of(test, Datapath::Xdp);
    for (port, leaf, n) in [("p1", "dst", 2), ("p2", "alt", 3)] {
        let mac = net.mac(leaf, "eth0").map(|byte| format!("{byte:02x}")).join(":");
        for address in [format!("198.18.{n}.2"), format!("2001:2:0:{n}::2")] {
            net.ip(
                "rtr",
                &format!("neigh replace {address} lladdr {mac} dev {port} nud permanent"),
            );
        }
    }
    lead(&net, 2);
    net
}

/// Hears what comes to a leaf, and keeps it until it is read.
fn ear(net: &Net, leaf: &str) -> PacketSocket {
    let (interface, receive_buffer) = (Some("eth0"), Some(32 << 20));
    let opening = Opening { interface, receive_buffer, ..Opening::default() };
    net.within(leaf, || PacketSocket::open(&opening)).unwrap()
}

/// Leads the far hosts over one of the leaves.
fn lead(net: &Net, leaf: u8) {
    net.ip("rtr", &format!("route replace 198.19.5.0/24 via 198.18.{leaf}.2"));
    net.ip("rtr", &format!("-6 route replace 2001:2:9::/48 via 2001:2:0:{leaf}::2"));
}

/// A packet to a far host, whose payload ends with its number.
fn packet(mac: [u8; 6], v6: bool, from: [u8; 4], number: u32, len: usize) -> Vec<u8> {
    let mut payload = vec![3; len - 4];
    payload.extend(number.to_be_bytes());
    if !v6 {
        return udp4(mac, from, FAR, 64, &payload);
    }
    let length = u16::try_from(8 + len).unwrap().to_be_bytes();
    let mut ip = vec![0x60, 0, 0, 0, length[0], length[1], 17, 64];
    ip.extend(b"\x20\x01\0\x02\0\0\0\x01\0\0\0\0\0\0\0\x02");
    ip.extend(FAR6);
    ip.extend([0x30, 0x39, 0, 9, length[0], length[1], 0, 0]);
    ip.extend(payload);
    frame(mac, 0x86dd, &ip)
}

/// Sends a packet every tenth of a millisecond for a while; returns the number of the next.
fn stream(out: &PacketSocket, mac: [u8; 6], v6: bool, first: u32, how_long: Duration) -> u32 {
    let (start, mut number) = (Instant::now(), first);
    while start.elapsed() < how_long {
        out.send(&packet(mac, v6, SRC, number, 32)).unwrap();
        number += 1;
        std::thread::sleep(Duration::from_micros(100));
    }
    number
}

/// Frames with numbers that have come to a leaf.
fn came(at: &PacketSocket) -> Vec<(u32, Vec<u8>)> {
    let (mut buffer, mut all) = (vec![0; 2048], vec![]);
    while let Some(len) = at.recv(&mut buffer, Duration::from_millis(100)).unwrap() {
        let ours = matches!(buffer[12..14], [8, 0]) && buffer[30..34] == FAR
            || matches!(buffer[12..14], [0x86, 0xdd]) && buffer[38..54] == *FAR6;
        if ours && len > 46 {
            let number = u32::from_be_bytes(buffer[len - 4..len].try_into().unwrap());
            all.push((number, buffer[..len].to_vec()));
        }
    }
    all
}

fn a_route_that_changes_takes_effect(v6: bool) {
    if !privileged() {
        return;
    }
    let net = net(if v6 { "way6" } else { "way4" });
    let _router = Running::start(&config(&net, "none", Datapath::Xdp)).unwrap();
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    let (dst, alt) = (ear(&net, "dst"), ear(&net, "alt"));
    let changed = stream(&out, mac, v6, 0, OLD);
    lead(&net, 3);
    let old = stream(&out, mac, v6, changed, OLD);
    let end = stream(&out, mac, v6, old, OLD);
    let (dst, alt) = (came(&dst), came(&alt));
    assert!((0..changed).all(|n| dst.iter().any(|came| came.0 == n)), "before the change");
    assert_eq!(dst.len() + alt.len(), end as usize, "none is lost and none doubled");
    assert!(dst.iter().all(|came| came.0 < old), "{old}: {:?}", dst.last().map(|came| came.0));
    assert!((old..end).all(|n| alt.iter().any(|came| came.0 == n)), "after it");
}

#[test]
fn a_route_that_changes_takes_effect_in_ipv4() {
    a_route_that_changes_takes_effect(false);
}

#[test]
fn a_route_that_changes_takes_effect_in_ipv6() {
    a_route_that_changes_takes_effect(true);
}

#[test]
fn a_neighbour_that_moves_is_followed() {
    if !privileged() {
        return;
    }
    let net = net("moves");
    let _router = Running::start(&config(&net, "none", Datapath::Xdp)).unwrap();
    let (out, mac, dst) = (net.socket("src"), net.mac("rtr", "p0"), ear(&net, "dst"));
    let moved = stream(&out, mac, false, 0, OLD);
    let new = "neigh replace 198.18.2.2 lladdr 02:00:00:00:be:ef dev p1 nud permanent";
    net.ip("rtr", new);
    let old = stream(&out, mac, false, moved, OLD);
    let end = stream(&out, mac, false, old, OLD);
    let (came, host) = (came(&dst), net.mac("dst", "eth0"));
    assert_eq!(came.len(), end as usize);
    for (number, frame) in came {
        let to_new = frame[..6] == [2, 0, 0, 0, 0xbe, 0xef];
        assert!(to_new || frame[..6] == host, "{number}");
        assert!(!to_new || number >= moved, "{number} of {moved}");
        assert!(to_new || number < old, "{number} of {old}");
    }
}

#[test]
fn a_link_that_goes_down_takes_its_ways_along() {
    if !privileged() {
        return;
    }
    let net = net("down");
    let mut router = Running::start(&config(&net, "none", Datapath::Xdp)).unwrap();
    let (out, mac, dst) = (net.socket("src"), net.mac("rtr", "p0"), ear(&net, "dst"));
    let down = stream(&out, mac, false, 0, OLD);
    net.ip("rtr", "link set p1 down");
    let old = stream(&out, mac, false, down, OLD);
    let counters = router.cut().counters;
    assert!(counters.forwarded >= u64::from(down), "{counters:?}");
    let end = stream(&out, mac, false, old, OLD);
    let counters = router.cut().counters;
    assert_eq!(counters.forwarded, 0, "no route any more: {counters:?}");
    assert!(counters.local >= u64::from(end - old), "left to the kernel: {counters:?}");
    // The other way is taken as soon as there is one.
    let alt = ear(&net, "alt");
    lead(&net, 3);
    std::thread::sleep(OLD);
    let last = stream(&out, mac, false, end, OLD);
    assert_eq!(came(&alt).len(), (last - end) as usize);
    assert!(came(&dst).iter().all(|came| came.0 < old));
}

#[test]
fn packets_that_are_too_large_are_answered_also_where_small_ones_pass() {
    if !privileged() {
        return;
    }
    let net = net("mtu");
    net.ip("rtr", "link set p1 mtu 1300");
    let _router = Running::start(&config(&net, "fms", Datapath::Xdp)).unwrap();
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    let (src, dst) = (ear(&net, "src"), ear(&net, "dst"));
    for number in 0..200 {
        for v6 in [false, true] {
            let len = if number % 2 == 0 { 1000 } else { 1300 };
            let mut packet = packet(mac, v6, SRC, number, len);
            if !v6 {
                packet[20] = 0x40; // do not fragment
                packet[24..26].fill(0);
                let check = traceback::checksum::of(&packet[14..34]);
                packet[24..26].copy_from_slice(&check.to_be_bytes());
            }
            out.send(&packet).unwrap();
        }
    }
    let (mut buffer, mut said) = (vec![0; 2048], [0, 0]);
    while let Some(len) = src.recv(&mut buffer, Duration::from_millis(300)).unwrap() {
        let frame = &buffer[..len];
        said[0] += u32::from(frame[12..14] == [8, 0] && frame[23] == 1 && frame[34..36] == [3, 4]);
        said[1] += u32::from(frame[12..14] == [0x86, 0xdd] && frame[20] == 58 && frame[54] == 2);
    }
    // The kernel answers so many in a second and no more.
    assert!(said[0] > 0 && said[1] > 0, "{said:?}");
    let came = came(&dst);
    assert_eq!(came.len(), 200, "all that are small, in both versions");
    assert!(came.iter().all(|came| came.0 % 2 == 0));
}

/// How many of 400 packets, each from another sender and all within a moment, come to each leaf.
fn spread(net: &Net, out: &PacketSocket) -> [usize; 2] {
    let (mac, dst, alt) = (net.mac("rtr", "p0"), ear(net, "dst"), ear(net, "alt"));
    for n in 0..400_u32 {
        let [.., high, low] = n.to_be_bytes();
        out.send(&packet(mac, false, [198, 18, 10 + high, low], n, 32)).unwrap();
    }
    [came(&dst).len(), came(&alt).len()]
}

#[test]
fn what_more_than_the_destination_decides_is_not_kept() {
    if !privileged() {
        return;
    }
    listen();
    let net = net("several");
    let config = config(&net, "none", Datapath::Xdp);
    let _router = Running::start(&config).unwrap();
    let out = net.socket("src");
    assert_eq!(spread(&net, &out), [400, 0]);
    assert!(said(&[&config.name(), "keeps", "20 ms"]), "that it keeps ways");
    net.ip("rtr", "route replace 198.19.5.0/24 nexthop via 198.18.2.2 nexthop via 198.18.3.2");
    assert!(said(&[&config.name(), "every packet"]), "that it keeps none");
    let shares = spread(&net, &out);
    assert!(shares[0] + shares[1] == 400 && shares.iter().all(|n| *n > 100), "{shares:?}");
    // A rule about senders: those of 198.18.10.0/24 go the other way.
    lead(&net, 2);
    net.ip("rtr", "route add 198.19.5.0/24 via 198.18.3.2 table 77");
    net.ip("rtr", "rule add from 198.18.10.0/24 lookup 77");
    std::thread::sleep(OLD);
    assert_eq!(spread(&net, &out), [400 - 256, 256]);
}

/// The program alone, which keeps answers for so many ticks, on the router's ports.
fn program(net: &Net, kept: u64, by_destination: u8) -> Program {
    let start = || {
        let ports = ["p0", "p1", "p2"];
        let indices = ports.map(|port| interface_index(port).unwrap().cast_unsigned());
        let scheme = schemes::entry("none").unwrap().build(&serde_json::json!({})).unwrap();
        let setting = Setting::new(Key(1, 2), "198.19.0.1".parse().unwrap(), 3, true, 0);
        let setting = Setting { forwards: 1, kept, ..setting };
        let place = traceback::Place { id: RouterId(0xc613_0001), index: 0, degree: 3, asn: 0 };
        let mut program = Program::load(Hook::Xdp, &*scheme, &place, &setting, &indices).unwrap();
        for (port, index) in ports.iter().zip(indices) {
            let mac = ashiato_agent::datapath::ethtool::address(port).unwrap();
            let entry = PortEntry { known: 1, mac, by_destination, ..PortEntry::default() };
            program.set_port(index, entry).unwrap();
            program.attach(port).unwrap();
        }
        program
    };
    net.within("rtr", start)
}

#[test]
fn forged_senders_do_not_drive_ways_out() {
    if !privileged() {
        return;
    }
    let net = net("forged");
    let (out, mac) = (net.socket("src"), net.mac("rtr", "p0"));
    for (kept, by_destination, keeps) in [(5, 1, true), (0, 1, false), (5, 0, false)] {
        let program = program(&net, kept, by_destination);
        let start = Instant::now();
        for n in 0..20_000_u32 {
            let [_, a, b, c] = n.wrapping_mul(0x9e37_79b9).to_be_bytes();
            out.send(&packet(mac, false, [20, a, b, c], n, 32)).unwrap();
        }
        // A question for each tick at most, on each of both processors; ticks are 1 ms at least.
        let most = 2 * u64::try_from(start.elapsed().as_millis()).unwrap() / 5 + 20;
        let counts = program.counts().unwrap();
        assert!(counts.forwarded >= 19_000, "{counts:?}");
        let asked = counts.asked;
        assert!(
            if keeps { asked <= most } else { asked >= counts.forwarded },
            "{most}: {counts:?}"
        );
    }
}
