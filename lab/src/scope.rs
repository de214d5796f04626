//! The one place that says where packets may go: the testbed's address ranges, and how fast.
//!
//! These bounds are compiled in. No scenario, flag or environment variable widens them.

use crate::plan::{Flow, Plan, Source};
use crate::reflect::MOST_TIMES;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use traceback::packet::Packet;

/// Packets per second of a whole run.
pub const MAX_PACKETS_PER_SECOND: u64 = 50_000;

/// The address ranges set aside for benchmarks, where all traffic stays.
///
/// Source: RFC 2544 (198.18.0.0/15) and RFC 5180 with its erratum 1752 (2001:2::/48).
pub fn ranges() -> [IpNet; 2] {
    ["198.18.0.0/15", "2001:2::/48"].map(|net| net.parse().expect("invariant: a literal network"))
}

pub use traceback::scope::contains;

/// Why packets may not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutOfScope {
    /// The sum of all flows is too fast.
    #[error(
        "the plan sends {rate} packets/s at its peak, over the limit of \
         {MAX_PACKETS_PER_SECOND} of one run; lower the rates or send less at once"
    )]
    Rate {
        /// Packets per second.
        rate: u64,
    },
    /// An address outside the ranges.
    #[error("{what} {address} lies outside 198.18.0.0/15 and 2001:2::/48, where all traffic stays")]
    Address {
        /// Whose address.
        what: String,
        /// The address.
        address: IpAddr,
    },
    /// A destination in the ranges that is no host of the plan.
    #[error("destination {address} is no host of this plan")]
    Stranger {
        /// The address.
        address: IpAddr,
    },
    /// Bytes that are no IP packet, or a plan that cannot be followed.
    #[error("cannot tell where packets would go: {why}")]
    Broken {
        /// What is wrong.
        why: String,
    },
}

/// The check on every packet, over the bytes as they would leave.
#[derive(Debug, Clone)]
pub struct Gate {
    hosts: BTreeSet<IpAddr>,
}

impl Gate {
    /// The gate of a plan.
    ///
    /// # Errors
    /// [`OutOfScope`] when the plan itself breaks the bounds.
    pub fn new(plan: &Plan) -> Result<Self, OutOfScope> {
        let rate = peak(plan);
        if rate > MAX_PACKETS_PER_SECOND {
            return Err(OutOfScope::Rate { rate });
        }
        let inside = |what: &str, address: IpAddr| match contains(address) {
            true => Ok(()),
            false => Err(OutOfScope::Address { what: what.into(), address }),
        };
        for host in &plan.hosts {
            inside(&format!("host {}", host.name), host.address)?;
        }
        for (at, flow) in plan.flows.iter().enumerate() {
            if flow.id as usize != at || flow.to >= plan.hosts.len() {
                let why = format!("flow {} is misnumbered or leads nowhere", flow.id);
                return Err(OutOfScope::Broken { why });
            }
            let (Source::Fixed(source) | Source::PerPacket { net: source, .. }) = flow.source;
            inside(&format!("the source of flow {}", flow.id), source)?;
            let times = flow.reflects.map_or(1, |answers| answers.times);
            if times > MOST_TIMES {
                let why = format!("flow {} answers each packet {times} times", flow.id);
                return Err(OutOfScope::Broken { why });
            }
        }
        Ok(Self { hosts: plan.hosts.iter().map(|h| h.address).collect() })
    }

    /// Checks one packet.
    ///
    /// # Errors
    /// [`OutOfScope`] says why it may not leave.
    pub fn check(&self, bytes: &[u8]) -> Result<(), OutOfScope> {
        let packet = Packet::parse(bytes).map_err(|e| OutOfScope::Broken { why: e.to_string() })?;
        for (what, address) in [("source", packet.source()), ("destination", packet.destination())]
        {
            if !contains(address) {
                return Err(OutOfScope::Address { what: what.into(), address });
            }
        }
        let address = packet.destination();
        if self.hosts.contains(&address) { Ok(()) } else { Err(OutOfScope::Stranger { address }) }
    }
}

/// Packets per second of a plan when the most flows are on at once.
pub fn peak(plan: &Plan) -> u64 {
    peak_of(plan.flows.iter())
}

/// Packets per second of some flows when the most of them are on at once.
pub fn peak_of<'a>(flows: impl Iterator<Item = &'a Flow>) -> u64 {
    most_at_once(flows, |_| 1)
}

/// Bits per second of a plan when the most flows are on at once, link-layer headers included.
pub fn peak_bits(plan: &Plan) -> u64 {
    most_at_once(plan.flows.iter(), |flow| 8 * (i128::from(flow.size) + 14))
}

/// The largest sum over flows of what each sends in a second, where a packet counts as much as `worth` says.
fn most_at_once<'a>(flows: impl Iterator<Item = &'a Flow>, worth: impl Fn(&Flow) -> i128) -> u64 {
    let mut turns: Vec<(u64, i128)> = vec![];
    for flow in flows.filter(|f| f.packets > 1) {
        let rate = worth(flow) * i128::from(flow.per_1000_seconds());
        turns.push((flow.start.0, rate));
        turns.push((flow.end().0, -rate));
    }
    turns.sort_unstable();
    let (mut now, mut most) = (0i128, 0i128);
    for (_, change) in turns {
        now += change;
        most = most.max(now);
    }
    u64::try_from(most / 1000).unwrap_or(u64::MAX)
}
