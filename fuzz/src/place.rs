//! The small world in which inputs are tried: a line of routers with one branch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};
use traceback::{Nanos, RouterId};

/// Addresses and key of the small world.
#[derive(Debug)]
pub struct Addresses {
    /// Networks that the router has routes to.
    pub nets: [(IpAddr, u8); 2],
    /// The router's own addresses.
    pub own: [IpAddr; 2],
    /// The run's key.
    pub key: Key,
}

/// The one there is.
pub const ADDRESSES: Addresses = Addresses {
    nets: [
        (IpAddr::V4(Ipv4Addr::new(198, 18, 0, 0)), 15),
        (IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0)), 48),
    ],
    own: [
        IpAddr::V4(Ipv4Addr::new(198, 18, 255, 1)),
        IpAddr::V6(Ipv6Addr::new(0x2001, 2, 0, 0xff, 0, 0, 0, 1)),
    ],
    key: Key(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210),
};

/// Routers by index; the first is the victim's gateway.
pub fn ids() -> Vec<RouterId> {
    (1..=6).map(|i| RouterId(0xc613_0000 + i)).collect()
}

/// Five routers in a line, the sixth beside the third.
pub fn line() -> Map {
    let router = |id: RouterId| MapRouter {
        id,
        name: id.to_string(),
        asn: 64_512,
        nation: "XA".into(),
        aliases: vec![],
    };
    let links = vec![(0, 1), (1, 2), (2, 3), (3, 4), (2, 5)];
    Map::new(ids().into_iter().map(router).collect(), links).expect("these are routers and links")
}

/// A case over [`line`] with one sampled packet and small budgets.
pub fn case() -> Case {
    Case {
        gateway: ids()[0],
        filter: Filter {
            victim: IpAddr::V4(Ipv4Addr::new(198, 18, 0, 2)),
            protocol: Some(17),
            source_port: None,
            port: Some(9),
        },
        window: Window::ALWAYS,
        samples: vec![Sample { bytes: udp4(1), at: Nanos(1) }],
        key: ADDRESSES.key,
        map: line(),
        budget: Budget { candidates: 20_000, hops: 64, rounds: 64 },
        beyond: Default::default(),
    }
}

/// A small UDP packet to the victim, without Ethernet header.
pub fn udp4(seq: u64) -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 52, 0x1f, 0, 0x40, 0, 60, 17, 0, 0];
    ip.extend([198, 19, 200, 7, 198, 18, 0, 2]);
    let check = traceback::checksum::of(&ip);
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip.extend([0x12, 0x34, 0, 9, 0, 32, 0, 0]);
    ip.extend(traceback::room::MAGIC);
    ip.extend([0; 12]);
    ip.extend(seq.to_be_bytes());
    ip
}
