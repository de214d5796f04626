//! Packets and cases for oracles. Nothing here is ever sent.

use super::chance::Chance;
use std::net::Ipv4Addr;
use traceback::RouterId;
use traceback::case::{Budget, Case, Filter, Sample, Window};
use traceback::checksum;
use traceback::invariant::Key;
use traceback::map::Map;
use traceback::packet::proto;

pub use crate::traffic::CLEAN_ID;

/// Bytes of [`udp4`]'s packets: IPv4 20, UDP 8, payload 24.
pub const LENGTH: u8 = 52;

/// An IPv4 packet that may not be fragmented, with a lawful header and all else random.
pub fn udp4(chance: &mut Chance) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..LENGTH).map(|_| chance.byte()).collect();
    bytes[0] = 0x45;
    bytes[2..4].copy_from_slice(&[0, LENGTH]);
    bytes[6..8].copy_from_slice(&[0x40, 0]);
    bytes[8] = bytes[8].max(2);
    bytes[9] = proto::UDP;
    // The testbed's range for data, both ends.
    for address in [12, 16] {
        bytes[address] = 198;
        bytes[address + 1] = 18 | bytes[address + 1] & 1;
    }
    repair(&mut bytes);
    bytes
}

/// Computes the IPv4 header checksum anew.
pub fn repair(bytes: &mut [u8]) {
    let header = usize::from(bytes[0] & 0xf) * 4;
    bytes[10..12].fill(0);
    let check = checksum::of(&bytes[..header]);
    bytes[10..12].copy_from_slice(&check.to_be_bytes());
}

/// A case without map and samples.
pub fn case(gateway: RouterId) -> Case {
    let victim = Ipv4Addr::new(198, 18, 0, 1).into();
    Case {
        gateway,
        filter: Filter { victim, protocol: None, source_port: None, port: None },
        window: Window::ALWAYS,
        samples: vec![],
        key: Key(0, 0),
        map: Map::default(),
        budget: Budget::default(),
        beyond: Default::default(),
    }
}

/// A case about one packet.
pub fn case_of(gateway: RouterId, map: Map, key: Key, packet: Vec<u8>) -> Case {
    let samples = vec![Sample { bytes: packet, at: traceback::Nanos(0) }];
    Case { samples, map, key, ..case(gateway) }
}
