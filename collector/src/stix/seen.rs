//! The asker's packets as observables.

use super::object::Objects;
use crate::exchange::{Inquiry, Subject};
use crate::iodef::Stamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// When each packet was seen, in nanoseconds since the Unix epoch.
pub(super) fn times(inquiry: &Inquiry) -> Vec<u64> {
    match &inquiry.subject {
        Subject::Packets { packets, .. } => {
            packets.iter().map(|packet| packet.at_unix_ns).collect()
        }
        Subject::Names { .. } => vec![],
    }
}

/// Adds the flows of a question's packets, and what was seen of each; returns identities. Bytes that are too
/// short for addresses are left out here: they are in the question as they are.
pub(super) fn packets(objects: &mut Objects, inquiry: &Inquiry) -> Vec<String> {
    let Subject::Packets { packets, .. } = &inquiry.subject else { return vec![] };
    let mut flows = BTreeMap::<(IpAddr, IpAddr, u8), Vec<u64>>::new();
    for packet in packets {
        if let Some(ends) = ends(&packet.bytes) {
            flows.entry(ends).or_default().push(packet.at_unix_ns);
        }
    }
    let mut told = vec![];
    for ((source, destination, protocol), times) in flows {
        let (source, destination) = (objects.address(source), objects.address(destination));
        let traffic = objects.traffic(&source, &destination, protocol);
        let at = |ns: Option<&u64>| Stamp::from_unix_ns(ns.copied().unwrap_or(0)).to_string();
        let what = json!({
            "first_observed": at(times.iter().min()),
            "last_observed": at(times.iter().max()),
            "number_observed": times.len(),
            "object_refs": [source, destination, traffic],
        });
        let observed = objects.add("observed-data", &inquiry.origin, &traffic, what);
        told.extend([source, destination, traffic, observed]);
    }
    told
}

/// Source, destination and protocol of an IP packet, of which the end may be missing.
fn ends(bytes: &[u8]) -> Option<(IpAddr, IpAddr, u8)> {
    match bytes.first()? >> 4 {
        4 => {
            let at = |from: usize| -> Option<IpAddr> {
                let four: [u8; 4] = bytes.get(from..from + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(four).into())
            };
            Some((at(12)?, at(16)?, *bytes.get(9)?))
        }
        6 => {
            let at = |from: usize| -> Option<IpAddr> {
                let sixteen: [u8; 16] = bytes.get(from..from + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(sixteen).into())
            };
            Some((at(8)?, at(24)?, *bytes.get(6)?))
        }
        _ => None,
    }
}
