//! What rings add to a port: lengths of every kind, bursts, waiting for a block, exact counts.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

mod support;

use ashiato_agent::datapath::outgoing::Outgoing;
use ashiato_agent::datapath::port::{Channel, Port};
use ashiato_agent::datapath::ring::{receive, send};
use std::net::UdpSocket;
use std::time::{Duration, Instant};
use support::{Net, Running, frame, hear, privileged, udp4};

/// Frames of these tests, which no protocol of the kernel takes.
const OURS: u16 = 0x88b5;

fn port(net: &Net, name: &str) -> Port {
    net.within("rtr", || Port::open(name, Channel::Ring(2))).unwrap()
}

/// Frames that fit a listener's buffer even if they are large.
const FEW: u8 = 8;

/// What a port receives of our frames until it owes nothing.
fn receive_all(port: &mut Port) -> Vec<Vec<u8>> {
    let (mut all, end) = (vec![], Instant::now() + Duration::from_secs(5));
    port.note();
    loop {
        while let Some(frame) = port.receive() {
            if frame.get(12..14) == Some(&OURS.to_be_bytes()) {
                all.push(frame.to_vec());
            }
        }
        if !port.owes() {
            return all;
        }
        assert!(Instant::now() < end, "the kernel keeps frames back");
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn udp6(to_mac: [u8; 6], from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap().to_be_bytes();
    let mut packet = [&[0x60, 0, 0, 0], &length[..], &[17, 64]].concat();
    for address in [from, to] {
        packet.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    packet.extend([0x30, 0x39, 0, 9]);
    packet.extend(length);
    packet.extend([0xbe, 0xef]);
    packet.extend(payload);
    frame(to_mac, 0x86dd, &packet)
}

#[test]
fn frames_of_all_lengths_come_in_whole() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-in");
    net.ip("rtr", "link set p0 mtu 65535");
    net.ip("src", "link set eth0 mtu 65535");
    let (mut port, out, mac) = (port(&net, "p0"), net.socket("src"), net.mac("rtr", "p0"));
    let lengths = [14, 15, 60, 61, 1514, 9014, 60, 32_768, receive::LONGEST, 60];
    for (n, length) in lengths.iter().enumerate() {
        out.send(&frame(mac, OURS, &vec![u8::try_from(n).unwrap(); length - 14])).unwrap();
    }
    let came = receive_all(&mut port);
    let body = |n: usize| vec![u8::try_from(n).unwrap(); lengths[n] - 14];
    let sent: Vec<_> = (0..lengths.len()).map(|n| frame(mac, OURS, &body(n))).collect();
    assert!(came == sent, "{:?}", came.iter().map(Vec::len).collect::<Vec<_>>());
    // Longer than a block: the start comes, which no parser takes for a whole packet.
    out.send(&frame(mac, OURS, &vec![7; 65_500])).unwrap();
    let cut = receive_all(&mut port);
    assert_eq!(cut.len(), 1);
    assert!((receive::LONGEST..65_514).contains(&cut[0].len()), "{}", cut[0].len());
    assert_eq!(port.drops(), 0);
}

#[test]
fn frames_of_all_lengths_go_out_in_order() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-out");
    net.ip("rtr", "link set p1 mtu 9000");
    net.ip("dst", "link set eth0 mtu 9000");
    let (mut port, into) = (port(&net, "p1"), net.socket("dst"));
    let mac = net.mac("dst", "eth0");
    let lengths = [60, send::LONGEST, send::LONGEST + 1, 61, 9014, 60];
    let mut outgoing = Outgoing::default();
    for (batch, length) in lengths.into_iter().enumerate() {
        for n in 0..FEW {
            let mut body = vec![n; length - 14];
            body[1] = u8::try_from(batch).unwrap();
            outgoing.push(&frame(mac, OURS, &body), true);
        }
        assert_eq!(port.flush(&mut outgoing).refused, 0);
        for n in 0..FEW {
            let got = hear(&into, |f| f[12..14] == OURS.to_be_bytes()).expect("arrives");
            assert_eq!((got.len(), got[14], usize::from(got[15])), (length, n, batch));
        }
    }
}

#[test]
fn frames_that_an_interface_refuses_are_counted_and_hold_nothing_up() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-no");
    let (mut port, into) = (port(&net, "p1"), net.socket("dst"));
    let mac = net.mac("dst", "eth0");
    let mut outgoing = Outgoing::default();
    // Longer than the interface lets go, between two that it does: the kernel stops in the middle.
    for length in [60, 1900, 61] {
        outgoing.push(&frame(mac, OURS, &vec![1; length - 14]), true);
    }
    let flushed = port.flush(&mut outgoing);
    assert_eq!((flushed.sent, flushed.refused), (2, 1));
    let ours = |f: &[u8]| f[12..14] == OURS.to_be_bytes();
    assert_eq!(hear(&into, ours).map(|f| f.len()), Some(60));
    assert_eq!(hear(&into, ours).map(|f| f.len()), Some(61));
    net.ip("rtr", "link set p1 down");
    for _ in 0..10 {
        outgoing.push(&frame(mac, OURS, &[2; 46]), true);
    }
    assert_eq!(port.flush(&mut outgoing).refused, 10);
    net.ip("rtr", "link set p1 up");
    port.clear_error();
    outgoing.push(&frame(mac, OURS, &[3; 48]), true);
    assert_eq!(port.flush(&mut outgoing).sent, 1);
    assert_eq!(hear(&into, ours).map(|f| f[14]), Some(3));
}

#[test]
fn a_burst_larger_than_the_ring_is_counted_to_the_last_frame() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-burst");
    let (mut port, out, mac) = (port(&net, "p0"), net.socket("src"), net.mac("rtr", "p0"));
    let bytes = frame(mac, OURS, &[9; 46]);
    for round in 0..3 {
        let burst = [bytes.as_slice(); 50];
        let sent = (0..2000).map(|_| out.send_batch(&burst).unwrap()).sum::<usize>() as u64;
        let came = receive_all(&mut port);
        assert!(came.iter().all(|f| *f == bytes), "whole in round {round}");
        // Blocks that the kernel's timer closes, since the sender was slow, are not full.
        assert!(came.len() >= 5_000, "the ring holds {} small frames", came.len());
        let drops = port.drops();
        assert!(drops > 0, "no ring holds a burst of {sent}");
        // Neighbours' own frames may be dropped too, if the kernel sends any meanwhile.
        let all = came.len() as u64 + drops;
        assert!((sent..sent + 10).contains(&all), "{sent} sent, {} came, {drops} lost", came.len());
    }
    out.send(&bytes).unwrap();
    assert_eq!(receive_all(&mut port).len(), 1, "the ring goes on");
}

#[test]
fn a_cut_counts_every_frame_that_came_before_it() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-cut");
    // Take the datagrams, so that the host does not answer them.
    let _sinks = net.within("dst", || {
        ["198.18.2.2:9", "[2001:2:0:2::2]:9"].map(|a| UdpSocket::bind(a).unwrap())
    });
    let mut router = Running::start(&net.config("fms")).unwrap();
    let (out, into, mac) = (net.socket("src"), net.socket("dst"), net.mac("rtr", "p0"));
    let four = udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, b"four");
    let six = udp6(mac, "2001:2:0:1::2", "2001:2:0:2::2", b"six");
    for (packet, end) in [(&four, &b"four"[..]), (&six, b"six")] {
        out.send(packet).unwrap();
        hear(&into, |f| f.ends_with(end)).expect("the neighbour is found");
    }
    router.cut();
    for round in 0..100_u64 {
        for _ in 0..round {
            out.send(&four).unwrap();
            out.send(&six).unwrap();
        }
        let counters = router.cut().counters;
        assert_eq!(counters.forwarded, 2 * round, "round {round}: {counters:?}");
    }
}

#[test]
fn a_lone_frame_does_not_wait_long() {
    if !privileged() {
        return;
    }
    let net = Net::new("ring-lone");
    let router = Running::start(&net.config("none")).unwrap();
    let (out, into, mac) = (net.socket("src"), net.socket("dst"), net.mac("rtr", "p0"));
    let four = |n: u8| udp4(mac, [198, 18, 1, 2], [198, 18, 2, 2], 64, &[n, 1, 2, 3]);
    let six = |n: u8| udp6(mac, "2001:2:0:1::2", "2001:2:0:2::2", &[n, 1, 2, 3]);
    let mut times = vec![];
    for n in 0..50 {
        for packet in [four(n), six(n)] {
            let sent = Instant::now();
            out.send(&packet).unwrap();
            hear(&into, |f| f.ends_with(&[n, 1, 2, 3])).expect("arrives");
            times.push(sent.elapsed());
        }
    }
    times.sort();
    // A block's time, which more than doubles where a kernel counts in ticks; and a busy machine.
    let median = times[times.len() / 2];
    assert!(median < 4 * receive::PATIENT, "{median:?}");
    drop(router);
}
