//! The userspace router: ports of one namespace around one [`Router`], in one thread.
//!
//! ```text
//! frame in -> ours? -> finish checksum -> Router::forward -> neighbour's address -> frame out
//!                                              |                  | unknown
//!                                              v                  v
//!                                         ICMP error       waits, kernel asks
//! ```
//! The kernel keeps its part: it answers ARP and ND, takes packets for the host itself, and holds the
//! tables that [`super::watch`] follows. A frame is copied once on its way and nothing is allocated,
//! except for packets that wait for a neighbour.

use super::desk::{Counter, Neighbour, Share};
use super::finish::finish;
use super::outgoing::{Flushed, Outgoing};
use super::port::Port;
use super::serve::{BATCH, Work};
use super::tables::{Mac, Tables};
use super::waiting::{Held, Waiting};
use crate::latency::{Nanoseconds, Watch};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use traceback::case::{Answer, Query};
use traceback::fib::NextHop;
use traceback::report::Counters;
use traceback::router::{ETHERNET, Far, Router, Spread, Verdict, ethertype};
use traceback::vantage::{Harms, Vantage};
use traceback::{Nanos, Place};

/// A router at work.
#[derive(Debug)]
pub struct Forwarder {
    ports: Vec<Port>,
    outgoing: Vec<Outgoing>,
    rest: Rest,
    frame: Vec<u8>,
}

/// All but the receiving side, so that a received frame can be borrowed while the rest changes.
#[derive(Debug)]
struct Rest {
    router: Router,
    place: Place,
    far: Vec<Far>,
    tables: Tables,
    waiting: Waiting,
    watch: Watch,
    spread: Spread,
    harms: Harms,
    lost: u64,
}

impl Forwarder {
    /// A router with these ports, whose other ends stand in the same order; it forwards nothing until
    /// it has [`Tables`], and spreads packets over next hops that are equally good as `spread` says.
    pub fn new(
        place: Place,
        ports: Vec<Port>,
        far: Vec<Far>,
        vantage: Box<dyn Vantage>,
        sample_1_in: u32,
        spread: Spread,
    ) -> Self {
        let mut router = Router::new(place, vec![], &[], traceback::fib::Fib::default());
        router.vantage = Some(vantage);
        let rest = Rest {
            router,
            place,
            far,
            tables: Tables::default(),
            waiting: Waiting::default(),
            watch: Watch::new(sample_1_in),
            spread,
            harms: Harms::default(),
            lost: 0,
        };
        let outgoing = ports.iter().map(|_| Outgoing::default()).collect();
        Self { ports, outgoing, rest, frame: Vec::with_capacity(1 << 17) }
    }

    /// Whether the router keeps its errors to itself ([`Router::mute`]).
    pub fn mute(&mut self, mute: bool) {
        self.rest.router.mute = mute;
    }

    /// Queues `self.frame` for a neighbour, or lets it wait for the neighbour's address.
    fn send(&mut self, (port, to): Neighbour, transit: bool, at: Nanos, counter: &Counter) {
        let Rest { router, tables, waiting, .. } = &mut self.rest;
        let Counters { forwarded, unroutable, .. } = &mut router.counters;
        let Some(mac) = tables.neighbours.get(&(port, to)) else {
            let held = waiting.hold((port, to), &self.frame, transit, at);
            // The router has counted it as forwarded; that it will be when it leaves.
            *forwarded -= u64::from(transit);
            match held {
                Held::Refused => *unroutable += u64::from(transit),
                Held::Waits => {}
                Held::Ask => counter.want((port, to)),
            }
            return;
        };
        address(&mut self.frame, mac, tables, port);
        if self.outgoing[usize::from(port)].push(&self.frame, transit) {
            self.flush(usize::from(port));
        }
    }

    fn flush(&mut self, port: usize) {
        if self.outgoing[port].is_empty() {
            return;
        }
        let Flushed { refused, .. } = self.ports[port].flush(&mut self.outgoing[port]);
        self.rest.router.counters.forwarded -= refused;
        self.rest.router.counters.overrun += refused;
    }

    fn one(&mut self, socket: usize, at: Nanos, counter: &Counter) -> bool {
        let Some(frame) = self.ports[socket].receive() else { return false };
        self.frame.clear();
        self.frame.extend_from_slice(frame);
        let port = u16::try_from(socket).expect("invariant: fewer than 65536 ports");
        match self.rest.decide(port, &mut self.frame, at) {
            Decision::Done => {}
            Decision::Forward(to) => self.send(to, true, at, counter),
            // An error message that cannot be sent is no loss of a packet on its way.
            Decision::Answer(to) => self.send(to, false, at, counter),
        }
        if let Some((port, to, message)) = self.rest.router.take_message() {
            carry(&mut self.frame, &message);
            self.send((port, to), false, at, counter);
        }
        true
    }
}

enum Decision {
    Done,
    Forward(Neighbour),
    Answer(Neighbour),
}

impl Rest {
    /// Lets the router decide, and leaves in `frame` what is to be sent.
    fn decide(&mut self, port: u16, frame: &mut Vec<u8>, at: Nanos) -> Decision {
        let mac = self.tables.links.get(usize::from(port)).map(|l| l.mac);
        if frame.len() >= ETHERNET && mac.is_some_and(|m| frame[..6] != m) {
            // To somebody else, or to all: never to be passed on (RFC 1812 section 5.3.4).
            self.router.counters.received += 1;
            self.router.counters.local += 1;
            return Decision::Done;
        }
        if let Some(body) = frame.get_mut(ETHERNET..) {
            finish(body);
        }
        match self.router.forward(port, frame, at, &mut self.watch) {
            Verdict::Send(&NextHop { port, via }) => {
                frame.truncate(ETHERNET + total(&frame[ETHERNET..]));
                let to = via.unwrap_or_else(|| destination(&frame[ETHERNET..]));
                Decision::Forward((port, to))
            }
            Verdict::Answer { packet, port, to } => {
                carry(frame, packet);
                Decision::Answer((port, to))
            }
            Verdict::Local | Verdict::Dropped => Decision::Done,
        }
    }

    fn rebuild(&mut self, tables: Tables) {
        let mut router = tables.router(self.place, &self.far);
        // Looking up without a choice is quicker.
        router.spread = router.forks().then_some(self.spread);
        router.vantage = self.router.vantage.take();
        router.counters = self.router.counters;
        router.mute = self.router.mute;
        self.router = router;
        self.tables = tables;
    }
}

impl Work for Forwarder {
    fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.ports.iter().map(AsFd::as_fd).collect()
    }

    fn batch(&mut self, socket: usize, at: Nanos, counter: &Counter) -> usize {
        let taken = (0..BATCH).take_while(|_| self.one(socket, at, counter)).count();
        for port in 0..self.ports.len() {
            self.flush(port);
        }
        taken
    }

    fn note(&mut self) {
        self.ports.iter_mut().for_each(Port::note);
    }

    fn owes(&self) -> bool {
        self.ports.iter().any(Port::owes)
    }

    fn error(&mut self, socket: usize) {
        self.ports[socket].clear_error();
    }

    fn tables(&mut self, tables: Tables) {
        self.rest.rebuild(tables);
        let Rest { router, tables, waiting, .. } = &mut self.rest;
        for entry in waiting.release(|n| tables.neighbours.contains_key(n)) {
            let port = entry.neighbour.0;
            let Some(mac) = tables.neighbours.get(&entry.neighbour) else { continue };
            let outgoing = &mut self.outgoing[usize::from(port)];
            for mut frame in entry.frames {
                address(&mut frame.bytes, mac, tables, port);
                // Fewer frames wait for one neighbour than make a batch.
                outgoing.push(&frame.bytes, frame.transit);
            }
            let Flushed { sent, refused } = self.ports[usize::from(port)].flush(outgoing);
            router.counters.forwarded += sent;
            router.counters.overrun += refused;
        }
    }

    fn tick(&mut self, at: Nanos) -> bool {
        if self.rest.waiting.is_empty() {
            return false;
        }
        self.rest.router.counters.unroutable += self.rest.waiting.expire(at);
        !self.rest.waiting.is_empty()
    }

    fn cut(&mut self, fresh: Nanoseconds) -> Share {
        let drops: u64 = self.ports.iter_mut().map(Port::drops).sum();
        let rest = &mut self.rest;
        let mut counters: Counters = std::mem::take(&mut rest.router.counters);
        counters.overrun += drops;
        counters.received += drops;
        let vantage = rest.router.vantage.as_deref().expect("invariant: new() gives a vantage");
        counters.harms = since(vantage.harms(), &mut rest.harms);
        let lost = vantage.lost() - rest.lost;
        rest.lost += lost;
        // A router's ledger stays at home and is asked; a ledger that travels is the victim's.
        let (footprint, ledger) = (vantage.footprint() as u64, None);
        let latency = std::mem::replace(&mut rest.watch.times, fresh);
        Share { counters, lost, footprint, ledger, latency }
    }

    fn answer(&mut self, query: &Query) -> Answer {
        let vantage = self.rest.router.vantage.as_deref();
        vantage.expect("invariant: new() gives a vantage").answer(query)
    }
}

/// The growth of a count, which becomes the new base.
pub(super) fn since(now: Harms, base: &mut Harms) -> Harms {
    let grown = Harms {
        marked: now.marked - base.marked,
        fragments_skipped: now.fragments_skipped - base.fragments_skipped,
        df_set: now.df_set - base.df_set,
        ttl_changed: now.ttl_changed - base.ttl_changed,
        no_slot: now.no_slot - base.no_slot,
        no_room: now.no_room - base.no_room,
        merged: now.merged - base.merged,
    };
    *base = now;
    grown
}

/// Writes both Ethernet addresses.
fn address(frame: &mut [u8], to: &Mac, tables: &Tables, port: u16) {
    frame[..6].copy_from_slice(to);
    if let Some(link) = tables.links.get(usize::from(port)) {
        frame[6..12].copy_from_slice(&link.mac);
    }
}

/// Puts a packet of the router's own in place of what a frame carried.
fn carry(frame: &mut Vec<u8>, packet: &[u8]) {
    frame.resize(ETHERNET, 0);
    frame.extend_from_slice(packet);
    frame[12..ETHERNET].copy_from_slice(&ethertype(packet));
}

/// The receiver of an IP packet that the router has checked.
fn destination(packet: &[u8]) -> IpAddr {
    match packet[0] >> 4 {
        4 => <[u8; 4]>::try_from(&packet[16..20]).map(IpAddr::from),
        _ => <[u8; 16]>::try_from(&packet[24..40]).map(IpAddr::from),
    }
    .expect("invariant: slices of these lengths")
}

/// Length of an IP packet that the router has checked; what follows it in a frame is padding.
fn total(packet: &[u8]) -> usize {
    let word = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    if packet[0] >> 4 == 4 { word(2) } else { 40 + word(4) }
}
