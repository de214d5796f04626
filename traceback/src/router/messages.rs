//! What a router sends of its own accord: messages of its scheme, and errors to senders.

use super::{Router, Verdict, routable};
use crate::icmp::{self, Problem};
use crate::packet::Packet;
use crate::scheme::{Hop, Nanos};
use crate::scope;
use crate::vantage::Vantage;
use std::net::IpAddr;

/// Error messages a router sends at most in a second. Source: RFC 1812 section 4.3.2.8 asks for a
/// limit and leaves its size open.
const ANSWERS_PER_SECOND: u64 = 100;

/// A packet that a program in the kernel has sent on and chosen for a message of the scheme's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    /// The port by which it came.
    pub port: u16,
    /// The port by which it left, where the program knew.
    pub out: Option<u16>,
    /// When.
    pub at: Nanos,
    /// The step's draw.
    pub draw: u32,
    /// What the program's account had for the step: [`Hop::cell`].
    pub cell: u32,
    /// TTL on arrival.
    pub ttl: u8,
}

impl Router {
    /// Takes the message that the scheme makes this router send after the frame just forwarded: a whole IP
    /// packet, its egress port, and the neighbour whose link-layer address it needs. None leaves
    /// [`scope`], whatever addresses a packet claims, nor one that the router has no way for.
    pub fn take_message(&mut self) -> Option<(u16, IpAddr, Vec<u8>)> {
        if self.message.is_empty() {
            return None;
        }
        let message = std::mem::take(&mut self.message);
        let to = Packet::parse(&message[..]).ok()?.destination();
        if !scope::contains(to) || self.own.contains(to) {
            return None;
        }
        let next = self.fib.lookup(to)?;
        self.counters.answered += 1;
        Some((next.port, next.via.unwrap_or(to), message))
    }

    /// Lets the scheme write its message about a packet that goes from one port to another.
    pub(super) fn speak(&mut self, packet: &Packet<&mut [u8]>, (port, out): (u16, u16)) {
        self.message.clear();
        let from = self.ports.get(usize::from(port)).map_or(&[][..], |p| &p.addresses);
        let said = |v: &mut Box<dyn Vantage>| v.speak(packet, out, from, &mut self.message);
        if !self.vantage.as_mut().is_some_and(said) {
            self.message.clear();
        }
    }

    /// Lets the scheme write its message about a packet that a kernel program chose; [`Self::take_message`]
    /// has it then.
    pub fn retell(&mut self, chosen: Chosen, packet: &mut Packet<&mut [u8]>) {
        let Chosen { port, at, draw, cell, ttl, .. } = chosen;
        let to = || self.fib.lookup(packet.destination()).map(|next| next.port);
        let out = chosen.out.or_else(to).unwrap_or(u16::MAX);
        // As it was before it was sent on.
        packet.set_ttl(ttl);
        let hop = Hop { draw, cell, ..self.hop((port, out), ttl, at) };
        if self.vantage.as_mut().is_some_and(|v| v.retell(hop, packet)) {
            self.speak(packet, (port, out));
        }
    }

    /// Answers the sender of a packet that cannot go on, as often as the limit allows.
    #[cold]
    pub(super) fn complain<T: AsRef<[u8]>>(
        &mut self,
        port: u16,
        packet: &Packet<T>,
        problem: Problem,
        at: Nanos,
    ) -> Verdict<'_> {
        if self.mute {
            return Verdict::Dropped;
        }
        let second = at.0 / 1_000_000_000;
        if self.answers.0 != second {
            self.answers = (second, 0);
        }
        let addresses = self.ports.get(usize::from(port)).map_or(&[][..], |p| &p.addresses);
        let from = addresses.iter().find(|a| a.is_ipv6() == packet.is_v6() && routable(**a));
        let next = self.fib.lookup(packet.source());
        let (Some(from), Some(next)) = (from, next) else { return Verdict::Dropped };
        if self.answers.1 >= ANSWERS_PER_SECOND
            || !icmp::answer(&mut self.scratch, packet, problem, *from)
        {
            return Verdict::Dropped;
        }
        self.answers.1 += 1;
        self.counters.answered += 1;
        let to = next.via.unwrap_or(packet.source());
        Verdict::Answer { packet: &self.scratch, port: next.port, to }
    }
}
