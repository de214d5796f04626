//! What a router decided about packets before: those of one flow fare alike, and nothing is looked up twice.

use crate::fib::NextHop;
use crate::packet::Packet;
use crate::router::own::{routable, routable4};
use crate::scheme::Hop;
use std::net::IpAddr;

/// Decisions that a router remembers. More ways through it than that take turns, which costs look-ups.
const KEPT: usize = 16;

/// Packets that fare alike: those of one IP version that come by one port (first word) for one destination (the
/// others). In words, since it is compared for every packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind([u64; 3]);

impl Kind {
    /// That of no packet.
    const NONE: Self = Self([u64::MAX; 3]);
    const V6: u64 = 1 << 32;

    /// The kind of a packet, and whether routers pass packets on that claim to come from where it does.
    #[inline(always)]
    pub(super) fn of<T: AsRef<[u8]>>(port: u16, packet: &Packet<T>) -> (Self, bool) {
        if let Some((from, to)) = packet.addresses4() {
            return (Self([port.into(), 0, to.into()]), routable4(from));
        }
        let to = match packet.destination() {
            IpAddr::V4(to) => to.to_ipv6_mapped(),
            IpAddr::V6(to) => to,
        };
        let [high, low] = [to.to_bits() >> 64, to.to_bits() & u128::from(u64::MAX)]
            .map(|word| u64::try_from(word).unwrap_or(0));
        (Self([Self::V6 | u64::from(port), high, low]), routable(packet.source()))
    }

    /// Whether it is this one. By words: one compared as a whole is loaded by more bytes at once than were just
    /// stored, which the processor waits for longer than all else here takes.
    #[inline]
    fn is(self, other: Self) -> bool {
        let ([a, b, c], [d, e, f]) = (self.0, other.0);
        (a ^ d) | (b ^ e) | (c ^ f) == 0
    }

    /// Where a decision about packets of this kind is kept.
    #[inline]
    pub(super) fn place(self) -> usize {
        let [port, _, host] = self.0.map(|word| (word & 0xffff_ffff) as u32);
        // Destinations differ in their last bits, or in those of the network before the last byte.
        (host ^ host >> 8 ^ port << 2) as usize % KEPT
    }
}

/// Where packets of one kind go on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decision {
    /// What the scheme is told of them; time, TTL and what the scheme's work adds are the last packet's.
    pub(super) hop: Hop,
    pub(super) next: NextHop,
    /// Largest packet that the link takes, in bytes.
    pub(super) mtu: u16,
    /// Whether such packets are forwarded and nothing else.
    pub(super) silent: bool,
}

/// The last decisions, each at the place of its kind.
#[derive(Debug)]
pub(super) struct Decisions(Box<[(Kind, Decision); KEPT]>);

impl Default for Decisions {
    fn default() -> Self {
        let next = NextHop { port: 0, via: None };
        let none = Decision { hop: Hop::default(), next, mtu: 0, silent: true };
        Self(Box::new([(Kind::NONE, none); KEPT]))
    }
}

impl Decisions {
    /// Whether the last decision at the place of a kind holds for a packet of that kind with so many bytes.
    #[inline]
    pub(super) fn hold_for(&self, kind: Kind, len: usize) -> bool {
        let (last, decision) = &self.0[kind.place()];
        last.is(kind) && len <= usize::from(decision.mtu)
    }

    /// The last decision at a place.
    #[inline]
    pub(super) fn at(&mut self, place: usize) -> &mut Decision {
        &mut self.0[place % KEPT].1
    }

    /// Takes a decision about a packet; whether it holds for others of its kind.
    pub(super) fn take(&mut self, kind: Kind, holds: bool, decision: Decision) {
        self.0[kind.place()] = (if holds { kind } else { Kind::NONE }, decision);
    }

    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use crate::fib::{Fib, NextHop};
    use crate::packet::Packet;
    use crate::router::{Far, Port, Router, Spread, Verdict};
    use crate::{Nanos, Place, RouterId, checksum};
    use std::collections::BTreeSet;

    fn fib(port: u16) -> Fib {
        let mut fib = Fib::default();
        fib.insert([198, 18, 0, 0].into(), 15, NextHop { port, via: None });
        fib
    }

    fn router() -> Router {
        let place = Place { id: RouterId(0xc613_0001), index: 0, degree: 3, asn: 64_512 };
        let port = |mtu| Port { far: Far::default(), addresses: vec![], mtu };
        Router::new(place, vec![port(1500), port(1500), port(60)], &[], fib(1))
    }

    /// The port by which a packet with this source, receiver's last bytes and payload leaves, if it does. It has
    /// 60 bytes, or 61 where the number is odd.
    fn out(router: &mut Router, from: [u8; 4], [a, b]: [u8; 2], seq: u8) -> Option<u16> {
        let len = 60 + seq % 2;
        let mut bytes = vec![0x45, 0, 0, len, 0, 0, 0, 0, 64, 17, 0, 0];
        bytes.extend([from, [198, 18, a, b]].concat());
        let check = checksum::of(&bytes);
        bytes[10..12].copy_from_slice(&check.to_be_bytes());
        bytes.resize(len.into(), seq);
        let packet = Packet::parse(&mut bytes[..]).unwrap();
        match router.pass_on((0, Nanos(0)), packet, &mut None) {
            Verdict::Send(next) => Some(next.port),
            _ => None,
        }
    }

    const FROM: [u8; 4] = [198, 18, 9, 9];

    #[test]
    fn what_was_decided_ends_with_the_table() {
        let mut router = router();
        assert_eq!(out(&mut router, FROM, [0, 2], 0), Some(1));
        router.reroute(fib(0));
        assert_eq!(out(&mut router, FROM, [0, 2], 0), Some(0));
        // Over a link that takes 60 bytes.
        router.reroute(fib(2));
        assert_eq!(out(&mut router, FROM, [0, 2], 0), Some(2));
        assert_eq!(out(&mut router, FROM, [0, 2], 1), None);
        assert_eq!(out(&mut router, FROM, [0, 2], 2), Some(2));
    }

    #[test]
    fn decisions_at_one_place_take_turns_and_sources_are_looked_at_every_time() {
        let mut router = router();
        for seq in 0..3 {
            for host in 0..64 {
                assert_eq!(out(&mut router, FROM, [host, host], seq), Some(1));
                assert_eq!(out(&mut router, [127, 0, 0, 1], [host, host], seq), None);
            }
        }
        assert_eq!((router.counters.forwarded, router.counters.local), (192, 192));
    }

    #[test]
    fn packets_that_part_are_decided_about_one_by_one() {
        let mut router = router();
        let mut two = fib(0);
        two.insert_also([198, 18, 0, 0].into(), 15, NextHop { port: 1, via: None });
        router.reroute(two);
        router.spread = Some(Spread::Packet);
        let ports: BTreeSet<_> = (0..64).map(|seq| out(&mut router, FROM, [0, 2], seq)).collect();
        assert_eq!(ports, [Some(0), Some(1)].into());
    }
}
