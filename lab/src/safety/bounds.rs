//! How far a run may go: the compiled ceiling, the site's policy, the manifest and the scenario, put together.
//!
//! [`Bounds::meet`] is the only function that does so. What it returns permits nothing that one of its two
//! sides forbids, whatever the other says; property tests hold it to that.

use crate::exit::Exit;
use crate::plan::{Plan, Source};
use crate::scope;
use anyhow::Result;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// How much a run may send from one host of the experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caps {
    /// Packets in a second.
    pub packets_per_second: u64,
    /// Bits in a second, link-layer headers included.
    pub bits_per_second: u64,
    /// Packets of the whole run.
    pub packets: u64,
    /// Time in which packets leave, of the whole run.
    pub attack_seconds: u64,
}

/// What a site's policy has where it says nothing.
impl Default for Caps {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Caps {
    /// Compiled in, between hosts: a higher one is another build, on purpose.
    pub const CEILING: Self = Self {
        packets_per_second: 10_000,
        bits_per_second: 50_000_000,
        packets: 20_000_000,
        attack_seconds: 600,
    };
    /// Between hosts, where nobody says otherwise.
    pub const USUAL: Self = Self {
        packets_per_second: 5_000,
        bits_per_second: 20_000_000,
        packets: 2_000_000,
        attack_seconds: 600,
    };
    /// Compiled in, for hosts and containers on a network that leads nowhere else.
    pub const INTERNAL: Self = Self {
        packets_per_second: 20_000,
        bits_per_second: 100_000_000,
        packets: 20_000_000,
        attack_seconds: 600,
    };
    /// Inside one host nothing is counted but packets in a second.
    pub const ONE_HOST: Self =
        Self { packets_per_second: scope::MAX_PACKETS_PER_SECOND, ..Self::NONE };
    /// What no cap is.
    const NONE: Self = Self {
        packets_per_second: u64::MAX,
        bits_per_second: u64::MAX,
        packets: u64::MAX,
        attack_seconds: u64::MAX,
    };

    /// What a plan needs: its peaks, and the sum of all turns.
    pub fn needed_by(plan: &Plan) -> Self {
        let turns = plan.schemes.len() as u64;
        let packets: u64 = plan.flows.iter().map(|f| f.packets).sum();
        let last = plan.flows.iter().map(|f| f.end().0).max();
        let nanoseconds = last.unwrap_or(0).saturating_mul(turns);
        Self {
            packets_per_second: scope::peak(plan),
            bits_per_second: scope::peak_bits(plan),
            packets: packets.saturating_mul(turns),
            attack_seconds: nanoseconds.div_ceil(1_000_000_000),
        }
    }

    /// What a manifest asks for so that a plan has room: a quarter more than it needs, for beacons,
    /// answers of kernels, and senders that are late and catch up.
    pub fn drafted_for(plan: &Plan) -> Self {
        let needed = Self::needed_by(plan);
        let more = |needed: u64, least: u64| (needed.saturating_mul(5) / 4).max(least);
        Self {
            packets_per_second: more(needed.packets_per_second, 40),
            bits_per_second: more(needed.bits_per_second, 100_000),
            packets: more(needed.packets, 0).saturating_add(1_000),
            attack_seconds: more(needed.attack_seconds, 60),
        }
    }

    /// The smaller of each.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        Self {
            packets_per_second: self.packets_per_second.min(other.packets_per_second),
            bits_per_second: self.bits_per_second.min(other.bits_per_second),
            packets: self.packets.min(other.packets),
            attack_seconds: self.attack_seconds.min(other.attack_seconds),
        }
    }

    /// A hundredth of the rates: what a site's first run may have.
    #[must_use]
    pub fn first_run(self) -> Self {
        Self {
            packets_per_second: (self.packets_per_second / 100).max(1),
            bits_per_second: (self.bits_per_second / 100).max(1),
            ..self
        }
    }

    /// Names the caps that a need goes beyond.
    fn exceeded_by(&self, need: &Self) -> Vec<String> {
        let pairs = [
            (need.packets_per_second, self.packets_per_second, "packets/s"),
            (need.bits_per_second, self.bits_per_second, "bit/s"),
            (need.packets, self.packets, "packets in all"),
            (need.attack_seconds, self.attack_seconds, "seconds of traffic"),
        ];
        let over = pairs.iter().filter(|(need, cap, _)| need > cap);
        over.map(|(need, cap, what)| format!("{need} {what}, over the {cap} allowed")).collect()
    }
}

impl fmt::Display for Caps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { packets_per_second, bits_per_second, packets, attack_seconds } = self;
        write!(
            f,
            "{packets_per_second} packets/s, {bits_per_second} bit/s, {packets} packets, {attack_seconds} s"
        )
    }
}

/// Everything that may be narrowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// How much.
    pub caps: Caps,
    /// Where packets may come from and go to.
    pub allow: BTreeSet<IpNet>,
    /// Where they may not, although it is allowed.
    pub deny: BTreeSet<IpNet>,
    /// Addresses of hosts that tunnels may lead to; any where nobody says.
    pub peers: Option<BTreeSet<IpAddr>>,
}

impl Bounds {
    /// What no layer narrows: the ranges compiled in, under these caps.
    pub fn compiled(caps: Caps) -> Self {
        let allow = scope::ranges().into_iter().collect();
        Self { caps, allow, deny: BTreeSet::new(), peers: None }
    }

    /// Bounds that narrow caps alone.
    pub fn of_caps(caps: Caps) -> Self {
        Self::compiled(caps)
    }

    /// Bounds that narrow addresses alone.
    pub fn of_prefixes(allow: BTreeSet<IpNet>) -> Self {
        Self { allow, ..Self::compiled(Caps::NONE) }
    }

    /// What both permit.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        let pairs = self.allow.iter().flat_map(|a| other.allow.iter().map(move |b| (a, b)));
        let common = pairs.filter_map(|(a, b)| match (a.contains(b), b.contains(a)) {
            (true, _) => Some(*b),
            (_, true) => Some(*a),
            _ => None,
        });
        let peers = match (&self.peers, &other.peers) {
            (Some(a), Some(b)) => Some(a & b),
            (one, None) | (None, one) => one.clone(),
        };
        Self {
            caps: self.caps.meet(other.caps),
            allow: common.collect(),
            deny: &self.deny | &other.deny,
            peers,
        }
    }

    /// Whether packets may come from or go to an address.
    pub fn permits(&self, address: IpAddr) -> bool {
        let inside = |nets: &BTreeSet<IpNet>| nets.iter().any(|net| net.contains(&address));
        inside(&self.allow) && !inside(&self.deny)
    }

    /// Whether every address of a network is permitted.
    fn permits_all(&self, net: &IpNet) -> bool {
        let overlaps = |other: &IpNet| other.contains(net) || net.contains(other);
        self.allow.iter().any(|a| a.contains(net)) && !self.deny.iter().any(overlaps)
    }

    /// Whether a tunnel may lead to a host.
    pub fn permits_peer(&self, address: IpAddr) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.contains(&address))
    }

    /// Refuses a plan that goes beyond.
    ///
    /// # Errors
    /// [`Exit::Safety`] names everything that does.
    pub fn admit(&self, plan: &Plan) -> Result<()> {
        let mut faults = self.caps.exceeded_by(&Caps::needed_by(plan));
        let outside = prefixes(plan).into_iter().filter(|net| !self.permits_all(net));
        faults.extend(outside.map(|net| format!("packets from or to {net}, which is not allowed")));
        if faults.is_empty() {
            return Ok(());
        }
        Err(Exit::Safety.refuse(format!(
            "the plan asks for {}: narrow the scenario, or widen the layer that says so \
             (`ashiato host --check` shows them all)",
            faults.join("; ")
        )))
    }

    /// Networks for the gate in the kernel, the longest match counts: each with whether packets may pass.
    pub fn table(&self) -> Vec<(IpNet, bool)> {
        let denied = |net: &IpNet| self.deny.iter().any(|d| d.contains(net));
        let allowed = self.allow.iter().filter(|net| !denied(net)).map(|net| (*net, true));
        allowed.chain(self.deny.iter().map(|net| (*net, false))).collect()
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |nets: &BTreeSet<IpNet>| {
            nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        write!(f, "{}; within {}", self.caps, list(&self.allow))?;
        if !self.deny.is_empty() {
            write!(f, "; never {}", list(&self.deny))?;
        }
        match &self.peers {
            None => Ok(()),
            Some(peers) => {
                let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
                write!(f, "; tunnels to {}", peers.join(" "))
            }
        }
    }
}

/// Every network that packets of a plan come from or go to.
pub fn prefixes(plan: &Plan) -> BTreeSet<IpNet> {
    let one = |address: IpAddr| IpNet::from(address);
    let hosts = plan.hosts.iter().map(|h| one(h.address));
    let sources = plan.flows.iter().map(|f| match f.source {
        Source::Fixed(address) => one(address),
        Source::PerPacket { net, len } => IpNet::new(net, len).map_or(one(net), |net| net.trunc()),
    });
    IpNet::aggregate(&hosts.chain(sources).collect()).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn nets() -> impl Strategy<Value = BTreeSet<IpNet>> {
        // Few bits, so that networks meet each other often.
        let net = (0_u32..64, 26_u8..=32).prop_map(|(low, len)| {
            let address = Ipv4Addr::from(0xc612_0000 + low);
            IpNet::new(address.into(), len).unwrap().trunc()
        });
        prop::collection::btree_set(net, 0..6)
    }

    fn caps() -> impl Strategy<Value = Caps> {
        (0_u64..9, 0_u64..9, 0_u64..9, 0_u64..9).prop_map(|(a, b, c, d)| Caps {
            packets_per_second: a,
            bits_per_second: b,
            packets: c,
            attack_seconds: d,
        })
    }

    fn bounds() -> impl Strategy<Value = Bounds> {
        let peer = (0_u8..4).prop_map(|low| IpAddr::from([192, 0, 2, low]));
        let peers = prop::option::of(prop::collection::btree_set(peer, 0..4));
        (caps(), nets(), nets(), peers).prop_map(|(caps, allow, deny, peers)| Bounds {
            caps,
            allow,
            deny,
            peers,
        })
    }

    fn addresses() -> impl Iterator<Item = IpAddr> {
        (0..64).map(|low| Ipv4Addr::from(0xc612_0000_u32 + low).into())
    }

    /// What the gate in the kernel makes of the table.
    fn longest_match(table: &[(IpNet, bool)], address: IpAddr) -> bool {
        let hits = table.iter().filter(|(net, _)| net.contains(&address));
        hits.max_by_key(|(net, pass)| (net.prefix_len(), !pass)).is_some_and(|(_, pass)| *pass)
    }

    proptest! {
        #[test]
        fn what_is_put_together_never_widens(a in bounds(), b in bounds(), c in bounds()) {
            let both = a.meet(&b);
            prop_assert_eq!(both.caps, both.caps.meet(a.caps));
            prop_assert_eq!(both.caps, both.caps.meet(b.caps));
            for address in addresses() {
                let each = a.permits(address) && b.permits(address);
                prop_assert_eq!(both.permits(address), each, "{}", address);
            }
            for peer in (0..4).map(|low| IpAddr::from([192, 0, 2, low])) {
                let each = a.permits_peer(peer) && b.permits_peer(peer);
                prop_assert_eq!(both.permits_peer(peer), each);
            }
            // Layers may come in any order, and twice.
            let all = |order: [&Bounds; 3]| order[0].meet(order[1]).meet(order[2]);
            for address in addresses() {
                let first = all([&a, &b, &c]).permits(address);
                prop_assert_eq!(first, all([&c, &a, &b]).permits(address));
                prop_assert_eq!(both.permits(address), both.meet(&a).permits(address));
            }
        }

        #[test]
        fn the_kernels_table_says_the_same(a in bounds()) {
            let table = a.table();
            for address in addresses() {
                prop_assert_eq!(longest_match(&table, address), a.permits(address), "{}", address);
            }
        }

        #[test]
        fn a_network_passes_only_whole(a in bounds(), net in nets()) {
            for net in net {
                let each = addresses().filter(|x| net.contains(x)).all(|x| a.permits(x));
                prop_assert!(!a.permits_all(&net) || each, "{}", net);
            }
        }
    }

    #[test]
    fn ceilings_are_what_the_documents_say() {
        assert_eq!(Caps::USUAL, Caps::USUAL.meet(Caps::CEILING));
        assert_eq!(Caps::CEILING, Caps::CEILING.meet(Caps::INTERNAL));
        assert_eq!(Caps::INTERNAL, Caps::INTERNAL.meet(Caps::ONE_HOST));
        assert_eq!(Caps::USUAL.first_run().packets_per_second, 50);
    }
}
