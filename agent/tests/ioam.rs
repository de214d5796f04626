//! IOAM as the Linux kernel writes it, beside the library: the same bytes.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato_agent::config::Datapath;
use support::{Net, frame, hear, privileged};
use traceback::invariant::Key;
use traceback::packet::Packet;
use traceback::scheme::{Hop, Place};
use traceback::vantage::{Draws, Setting};
use traceback::{RouterId, ioam, schemes};

/// Where the router stands in the map; its node id is one more.
const INDEX: u16 = 0x0101;

/// A packet from `src` to `dst` with a trace of which so many nodes are left, or that has overflowed.
fn packet(left: u8, overflowed: bool) -> Vec<u8> {
    let mut option = ioam::trace(3);
    option[6] |= if overflowed { 4 } else { 0 };
    option[7] = left;
    option[12..].copy_from_slice(b"abcdefghijkl");
    let mut ip = vec![0x60, 0, 0, 0, 0, 32, 0, 64];
    for link in [1, 2] {
        ip.extend([0x20, 1, 0, 2, 0, 0, 0, link, 0, 0, 0, 0, 0, 0, 0, 2]);
    }
    ip.extend([59, 3, 1, 0]);
    ip.extend(option);
    ip.extend([1, 2, 0, 0]);
    ip
}

/// The kernel of the router does what its settings say; the library what `ioam` is.
#[test]
fn the_kernel_and_the_library_write_the_same_bytes() {
    if !privileged() {
        return;
    }
    let net = Net::of("ioam", Datapath::Tc);
    let set =
        |key: &str, value: &str| std::fs::write(format!("/proc/sys/net/ipv6/{key}"), value).is_ok();
    let node = (INDEX + 1).to_string();
    let known = net.within("rtr", || set("ioam6_id", &node) && set("conf/p0/ioam6_enabled", "1"));
    if !known {
        println!("skipped: this kernel knows no IOAM");
        return;
    }
    net.ip("rtr", &format!("ioam namespace add {}", ioam::NAMESPACE));
    let place = Place { id: RouterId(1), index: INDEX, degree: 0, asn: 0 };
    let setting = Setting { place, key: Key(1, 2), draws: Draws::Keyed, filter: None };
    let scheme = schemes::entry("ioam").unwrap().build(&serde_json::json!({})).unwrap();
    let mut ours = scheme.vantage(setting);
    let (out, into) = (net.socket("src"), net.socket("dst"));
    for (left, overflowed) in [(3, false), (2, false), (1, false), (0, false), (0, true), (2, true)]
    {
        let mut want = packet(left, overflowed);
        out.send(&frame(net.mac("rtr", "p0"), 0x86dd, &want)).unwrap();
        let ours_alone = |f: &[u8]| f.get(20) == Some(&0) && f.get(54) == Some(&59);
        let got = hear(&into, ours_alone).unwrap();
        let mut packet = Packet::parse(&mut want[..]).unwrap();
        let ttl = packet.ttl();
        ours.forward(Hop { ttl, ..Hop::default() }, &mut packet);
        packet.decrement_ttl();
        assert_eq!(got[14..14 + want.len()], want, "{left} {overflowed}");
    }
    assert_eq!((ours.harms().marked, ours.harms().no_room), (3, 3));
}
