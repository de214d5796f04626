//! Messages of a router whose packets stay in the kernel: its program chooses packets and hands their heads
//! over (`agent/bpf/tell.h`); what is said about them, and to whom, is the library's router's.

use crate::config::{self, Vantage as Config};
use crate::datapath::desk::{Counter, Neighbour};
use crate::datapath::serve::BATCH;
use crate::datapath::socket::{Opening, PacketSocket};
use crate::datapath::tables::{Mac, Tables};
use crate::datapath::waiting::{Held, Waiting};
use anyhow::Context;
use aya::maps::{MapData, RingBuf};
use std::os::fd::{AsFd, BorrowedFd};
use traceback::fib::Fib;
use traceback::packet::Packet;
use traceback::router::{Chosen, ETHERNET, Far, Router, ethertype};
use traceback::vantage::Vantage;
use traceback::{Nanos, Place};

/// A packet that the program chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What the router knew of it.
    pub chosen: Chosen,
    /// As much of it as there is, with zeros for the rest.
    pub packet: Vec<u8>,
}

/// Bytes of `struct told` before the packet.
const HEAD: usize = 32;

impl Told {
    /// Reads what the program wrote; `interfaces` are the router's, by port. `None` for a packet that came
    /// in elsewhere.
    pub fn read(bytes: &[u8], interfaces: &[u32]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
        let port = |index: u32| {
            interfaces.iter().position(|i| *i == index).and_then(|p| u16::try_from(p).ok())
        };
        let at = Nanos(u64::from_ne_bytes(*bytes.first_chunk()?));
        let chosen = Chosen {
            port: port(word(8)?)?,
            out: port(word(12)?),
            at,
            draw: word(16)?,
            cell: word(20)?,
            ttl: u8::try_from(word(28)?).ok()?,
        };
        let len = usize::try_from(word(24)?).ok()?;
        let mut packet = bytes.get(HEAD..HEAD + len)?.to_vec();
        // Messages quote a head; what was cut off matters to its length alone.
        let long = |at: usize| Some(usize::from(u16::from_be_bytes(*packet[at..].first_chunk()?)));
        let total = if packet.first()? >> 4 == 4 { long(2)? } else { 40 + long(4)? };
        packet.resize(total.max(len), 0);
        Some(Self { chosen, packet })
    }
}

/// Writes and sends a router's messages.
pub(super) struct Teller {
    ring: RingBuf<MapData>,
    interfaces: Vec<u32>,
    router: Router,
    place: Place,
    far: Vec<Far>,
    tables: Tables,
    sockets: Vec<PacketSocket>,
    waiting: Waiting,
}

impl Teller {
    /// A teller for the packets that come by `ring`; it sends from the calling thread's namespace.
    ///
    /// # Errors
    /// No such interface, or no privilege.
    pub(super) fn open(
        config: &Config,
        ring: RingBuf<MapData>,
        interfaces: Vec<u32>,
        vantage: Box<dyn Vantage>,
    ) -> anyhow::Result<Self> {
        let socket = |port: &config::Port| {
            let interface = Some(port.ifname.as_str());
            let opening =
                Opening { interface, ethertype: 0, bypass_queue: true, ..Opening::default() };
            PacketSocket::open(&opening).with_context(|| format!("send by {}", port.ifname))
        };
        let sockets = config.ports.iter().map(socket).collect::<Result<_, _>>()?;
        let place = config.place();
        let mut router = Router::new(place, vec![], &[], Fib::default());
        router.vantage = Some(vantage);
        let far = config.ports.iter().map(config::Port::far).collect();
        let (tables, waiting) = (Tables::default(), Waiting::default());
        Ok(Self { ring, interfaces, router, place, far, tables, sockets, waiting })
    }

    /// The ring, to be polled.
    pub(super) fn ring(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }

    /// Tells about packets that wait in the ring, and returns how many there were.
    pub(super) fn batch(&mut self, at: Nanos, counter: &Counter) -> usize {
        for taken in 0..BATCH {
            let Some(item) = self.ring.next() else { return taken };
            let told = Told::read(&item, &self.interfaces);
            drop(item);
            let Some(Told { chosen, mut packet }) = told else { continue };
            let Ok(mut packet) = Packet::parse(&mut packet[..]) else { continue };
            self.router.retell(chosen, &mut packet);
            if let Some((port, to, message)) = self.router.take_message() {
                self.send((port, to), &message, at, counter);
            }
        }
        BATCH
    }

    fn send(&mut self, to: Neighbour, message: &[u8], at: Nanos, counter: &Counter) {
        let mut frame = vec![0; ETHERNET];
        frame[12..].copy_from_slice(&ethertype(message));
        frame.extend_from_slice(message);
        match self.tables.neighbours.get(&to).copied() {
            Some(mac) => self.put(to.0, &mac, &mut frame),
            // What finds no room is a message less, which nobody counts on.
            None => match self.waiting.hold(to, &frame, false, at) {
                Held::Ask => counter.want(to),
                Held::Waits | Held::Refused => {}
            },
        }
    }

    fn put(&self, port: u16, mac: &Mac, frame: &mut [u8]) {
        let port = usize::from(port);
        let (Some(socket), Some(link)) = (self.sockets.get(port), self.tables.links.get(port))
        else {
            return;
        };
        frame[..6].copy_from_slice(mac);
        frame[6..12].copy_from_slice(&link.mac);
        if let Err(e) = socket.send(frame) {
            tracing::debug!("a message was not sent: {e}");
        }
    }

    /// Takes over new tables.
    pub(super) fn set_tables(&mut self, tables: Tables) {
        let mut router = tables.router(self.place, &self.far);
        router.vantage = self.router.vantage.take();
        router.counters = self.router.counters;
        (self.router, self.tables) = (router, tables);
        for entry in self.waiting.release(|n| self.tables.neighbours.contains_key(n)) {
            let Some(mac) = self.tables.neighbours.get(&entry.neighbour) else { continue };
            for mut frame in entry.frames {
                self.put(entry.neighbour.0, mac, &mut frame.bytes);
            }
        }
    }

    /// Gives up on neighbours that do not answer; true where messages still wait.
    pub(super) fn tick(&mut self, at: Nanos) -> bool {
        self.waiting.expire(at);
        !self.waiting.is_empty()
    }

    /// Messages since the last call.
    pub(super) fn answered(&mut self) -> u64 {
        std::mem::take(&mut self.router.counters.answered)
    }
}
