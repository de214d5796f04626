//! A router as a pure function of frames: parse, look up, mark or log, lower the TTL, say where to.
//!
//! The simulator and the `afpacket` datapath run exactly this code. It holds no socket, no clock and
//! no link-layer addresses: the shell that calls it resolves the neighbour it names and sends.

mod decisions;
mod messages;
mod own;
mod port;
mod spread;

pub use messages::Chosen;
pub use own::routable;
pub use port::{Far, Port, ranks};
pub use spread::Spread;

use crate::fib::{Fib, NextHop};
use crate::icmp::Problem;
use crate::invariant::Invariant;
use crate::packet::Packet;
use crate::report::Counters;
use crate::scheme::{Hop, Nanos, Place};
use crate::vantage::Vantage;
use decisions::{Decision, Decisions, Kind};
use own::Own;
use std::net::IpAddr;

/// Length of an Ethernet header.
pub const ETHERNET: usize = 14;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;

/// Measures the marking step; the simulator passes `()`, which does nothing.
pub trait Stopwatch {
    /// Called just before the step.
    fn start(&mut self);
    /// Called just after the step.
    fn stop(&mut self);
}

impl Stopwatch for () {
    fn start(&mut self) {}
    fn stop(&mut self) {}
}

/// What to do with a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Send the frame, as changed in place, by this port to this neighbour, whose link-layer address it needs;
    /// to its receiver where that is on the link.
    Send(&'a NextHop),
    /// Send this IP packet by this port: an error message to the frame's sender.
    Answer {
        /// The whole IP packet.
        packet: &'a [u8],
        /// Egress port.
        port: u16,
        /// Whose link-layer address it needs.
        to: IpAddr,
    },
    /// For this host, or not IP at all: the host's own stack deals with it.
    Local,
    /// Gone, and counted.
    Dropped,
}

/// Why a packet does not go on.
enum Refused {
    /// It is for this host.
    Local,
    /// Its sender is told.
    For(Problem),
}

/// One router.
pub struct Router {
    place: Place,
    ports: Vec<Port>,
    /// [`ranks`] of the ports.
    links: Vec<u16>,
    own: Own,
    fib: Fib,
    decisions: Decisions,
    /// How it chooses between next hops that are equally near; `None`: the first takes everything.
    pub spread: Option<Spread>,
    /// Whether it keeps its errors to itself, since their source would tell an address that its domain does
    /// not show.
    pub mute: bool,
    /// The scheme at work here; `None` where the router takes no part.
    pub vantage: Option<Box<dyn Vantage>>,
    /// What happened so far; harms are the vantage's.
    pub counters: Counters,
    scratch: Vec<u8>,
    answers: (u64, u64),
    /// A message of the scheme's about the packet just forwarded; empty where there is none.
    message: Vec<u8>,
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("place", &self.place).field("ports", &self.ports).finish()
    }
}

impl Router {
    /// A router with its links and addresses of its own (loopback) beside those of the ports.
    pub fn new(place: Place, ports: Vec<Port>, own: &[IpAddr], fib: Fib) -> Self {
        let own = Own::new(ports.iter().flat_map(|p| &p.addresses).chain(own));
        let far: Vec<Far> = ports.iter().map(|p| p.far).collect();
        Self {
            place,
            links: ranks(&far),
            ports,
            own,
            fib,
            decisions: Decisions::default(),
            spread: None,
            mute: false,
            vantage: None,
            counters: Counters::default(),
            scratch: Vec::with_capacity(2048),
            answers: (0, 0),
            message: vec![],
        }
    }

    /// Gives the router another forwarding table.
    pub fn reroute(&mut self, fib: Fib) {
        self.fib = fib;
        self.decisions.forget();
    }

    /// Whether it has several next hops for some destination.
    pub fn forks(&self) -> bool {
        self.fib.forks()
    }

    /// Where this router is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Decides about one Ethernet frame that came in by `port`, and changes it in place.
    pub fn forward(
        &mut self,
        port: u16,
        frame: &mut [u8],
        at: Nanos,
        watch: &mut impl Stopwatch,
    ) -> Verdict<'_> {
        self.counters.received += 1;
        let Some((header, body)) = frame.split_at_mut_checked(ETHERNET) else {
            return self.malformed();
        };
        match u16::from_be_bytes([header[12], header[13]]) {
            ETHERTYPE_IPV4 if body.first().is_some_and(|b| b >> 4 == 4) => {}
            ETHERTYPE_IPV6 if body.first().is_some_and(|b| b >> 4 == 6) => {}
            ETHERTYPE_IPV4 | ETHERTYPE_IPV6 => return self.malformed(),
            _ => return self.local(),
        }
        match Packet::parse(body) {
            Ok(packet) => self.route((port, at), packet, &mut None, watch),
            Err(_) => self.malformed(),
        }
    }

    /// Decides about a packet that came in by a port at some time, and that was found lawful; its hashes may
    /// be `known` ([`Vantage::forward_known`]). Who carries packets from router to router in one process parses
    /// each once ([`Packet::lend`]), and keeps its hashes until somebody changes its addresses.
    pub fn pass_on(
        &mut self,
        at: (u16, Nanos),
        packet: Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
    ) -> Verdict<'_> {
        self.counters.received += 1;
        self.route(at, packet, known, &mut ())
    }

    #[inline]
    fn route(
        &mut self,
        (port, at): (u16, Nanos),
        mut packet: Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
        watch: &mut impl Stopwatch,
    ) -> Verdict<'_> {
        let (kind, sound) = Kind::of(port, &packet);
        let may_go_on = sound && packet.ttl() > 1;
        if may_go_on && self.decisions.hold_for(kind, packet.total_len()) {
            return self.send_on((port, at), kind.place(), &mut packet, known, watch);
        }
        self.route_anew((port, at), &mut packet, known, watch)
    }

    /// The same for a packet about whose kind nothing is decided yet.
    #[cold]
    fn route_anew(
        &mut self,
        (port, at): (u16, Nanos),
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
        watch: &mut impl Stopwatch,
    ) -> Verdict<'_> {
        match self.decide(port, packet) {
            Ok(place) => self.send_on((port, at), place, packet, known, watch),
            Err(Refused::Local) => self.local(),
            Err(Refused::For(problem)) => self.complain(port, packet, problem, at),
        }
    }

    /// Does the work on a packet that goes where the decision at a place says.
    #[inline(always)]
    fn send_on(
        &mut self,
        (port, at): (u16, Nanos),
        place: usize,
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
        watch: &mut impl Stopwatch,
    ) -> Verdict<'_> {
        // The scheme is told in place: a copy for each packet would cost more than what is new in it.
        let Decision { hop, next, silent, .. } = self.decisions.at(place);
        (hop.at, hop.ttl) = (at, packet.ttl());
        let out = next.port;
        watch.start();
        let speaks =
            !*silent && self.vantage.as_mut().is_some_and(|v| v.forward_known(hop, packet, known));
        watch.stop();
        if speaks {
            self.speak(packet, (port, out));
        }
        packet.decrement_ttl();
        self.counters.forwarded += 1;
        Verdict::Send(&self.decisions.at(place).next)
    }

    /// Looks up where a packet goes on, for itself and those of its kind, and says where the decision stands.
    #[cold]
    fn decide<T: AsRef<[u8]>>(&mut self, port: u16, packet: &Packet<T>) -> Result<usize, Refused> {
        let (kind, sound) = Kind::of(port, packet);
        let to = packet.destination();
        if !sound || self.own.keeps(to) {
            return Err(Refused::Local);
        }
        if packet.ttl() <= 1 {
            self.counters.expired += 1;
            return Err(Refused::For(Problem::TimeExceeded));
        }
        let next = match self.spread {
            None => self.fib.lookup(to),
            Some(spread) => self.fib.spread(to, || spread.hash(self.place.id, &self.read(packet))),
        };
        let Some(&next) = next else {
            self.counters.unroutable += 1;
            return Err(Refused::For(Problem::NoRoute));
        };
        let mtu = self.ports.get(usize::from(next.port)).map_or(0, |p| p.mtu);
        let silent = self.ports.get(usize::from(port)).is_some_and(|p| p.far.silent);
        let hop = self.hop((port, next.port), 0, Nanos(0));
        // Where packets of one destination part, each is decided about by itself.
        let holds = self.spread.is_none() || !self.fib.forks();
        self.decisions.take(kind, holds, Decision { hop, next, mtu, silent });
        if packet.as_bytes().len() > usize::from(mtu) {
            // Departs: a router would fragment a packet that allows it; this one counts and answers.
            self.counters.expired += 1;
            return Err(Refused::For(Problem::TooBig(mtu)));
        }
        Ok(kind.place())
    }

    /// A packet as it was sent: bits that a mark took from it choose no way.
    fn read<'p, T: AsRef<[u8]>>(&self, packet: &'p Packet<T>) -> Packet<&'p [u8]> {
        let mut packet = packet.view();
        if self.vantage.as_ref().is_some_and(|vantage| vantage.owns_fragment_bits()) {
            packet.own_fragment_bits();
        }
        packet
    }

    /// What it tells its scheme about a packet that comes by `port` and leaves by `out`.
    pub fn hop(&self, (port, out): (u16, u16), ttl: u8, at: Nanos) -> Hop {
        let far = |port: u16| self.ports.get(usize::from(port)).map_or(Far::default(), |p| p.far);
        let (before, after) = (far(port), far(out));
        Hop {
            at,
            me: self.place.id,
            from: before.neighbour.unwrap_or_default(),
            to: after.neighbour.unwrap_or_default(),
            port,
            degree: self.place.degree,
            link: self.links.get(usize::from(port)).copied().unwrap_or(0),
            ttl,
            edge: before.neighbour.is_none().into(),
            border: before.border.into(),
            legacy: after.legacy.into(),
            ..Hop::default()
        }
    }

    fn malformed(&mut self) -> Verdict<'_> {
        self.counters.malformed += 1;
        Verdict::Dropped
    }

    fn local(&mut self) -> Verdict<'_> {
        self.counters.local += 1;
        Verdict::Local
    }
}

/// The EtherType of an IP packet, by its version.
///
/// # Panics
/// If there is not even one byte.
pub fn ethertype(packet: &[u8]) -> [u8; 2] {
    if packet[0] >> 4 == 4 { ETHERTYPE_IPV4.to_be_bytes() } else { ETHERTYPE_IPV6.to_be_bytes() }
}
