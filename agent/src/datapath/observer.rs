//! The observer at a victim: sees what comes in by its interfaces and lets it pass.

use super::afpacket::since;
use super::desk::{Counter, Share};
use super::serve::{BATCH, Work};
use super::socket::{ALL_ETHERTYPES, Opening, PacketSocket};
use super::tables::Tables;
use crate::latency::{Nanoseconds, Watch};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;
use traceback::Nanos;
use traceback::case::{Answer, Query};
use traceback::packet::Packet;
use traceback::report::Counters;
use traceback::router::{ETHERNET, Stopwatch};
use traceback::vantage::{Harms, Vantage};

/// Receive buffer: an observer may not lose what the victim got.
const BUFFER: usize = 32 << 20;
const FRAME: usize = (64 << 10) + 64;

/// An observer at work.
pub struct Observer {
    sockets: Vec<PacketSocket>,
    vantage: Box<dyn Vantage>,
    counters: Counters,
    harms: Harms,
    lost: u64,
    watch: Watch,
    frame: Vec<u8>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

impl Observer {
    /// Listens to interfaces of the calling thread's network namespace.
    ///
    /// # Errors
    /// No such interface, or no privilege.
    pub fn open(
        interfaces: &[&str],
        vantage: Box<dyn Vantage>,
        sample_1_in: u32,
    ) -> io::Result<Self> {
        let open = |name: &&str| {
            PacketSocket::open(&Opening {
                interface: Some(name),
                ethertype: ALL_ETHERTYPES,
                receive_buffer: Some(BUFFER),
                ..Opening::default()
            })
        };
        Ok(Self {
            sockets: interfaces.iter().map(open).collect::<io::Result<_>>()?,
            vantage,
            counters: Counters::default(),
            harms: Harms::default(),
            lost: 0,
            watch: Watch::new(sample_1_in),
            frame: vec![0; FRAME],
        })
    }

    fn see(&mut self, len: usize, at: Nanos) {
        self.counters.received += 1;
        let Some((header, body)) = self.frame[..len].split_at_checked(ETHERNET) else {
            self.counters.malformed += 1;
            return;
        };
        if !matches!(header[12..], [0x08, 0x00] | [0x86, 0xdd]) {
            self.counters.local += 1;
            return;
        }
        match Packet::parse(body) {
            Ok(packet) => {
                self.watch.start();
                self.vantage.see(at, &packet);
                self.watch.stop();
            }
            Err(_) => self.counters.malformed += 1,
        }
    }
}

impl Work for Observer {
    fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd).collect()
    }

    fn batch(&mut self, socket: usize, at: Nanos, _: &Counter) -> usize {
        for taken in 0..BATCH {
            let got = self.sockets[socket].recv(&mut self.frame, Duration::ZERO);
            let Ok(Some(len)) = got else { return taken };
            self.see(len.min(self.frame.len()), at);
        }
        BATCH
    }

    fn error(&mut self, socket: usize) {
        // Reading takes the error, so that polling rests again.
        let _ = self.sockets[socket].recv(&mut self.frame, Duration::ZERO);
    }

    fn tables(&mut self, _: Tables) {}

    fn tick(&mut self, _: Nanos) -> bool {
        false
    }

    fn cut(&mut self, fresh: Nanoseconds) -> Share {
        let drops = |s: &PacketSocket| s.statistics().map_or(0, |s| u64::from(s.drops));
        let drops: u64 = self.sockets.iter().map(drops).sum();
        let mut counters = std::mem::take(&mut self.counters);
        counters.overrun += drops;
        counters.received += drops;
        counters.harms = since(self.vantage.harms(), &mut self.harms);
        let footprint = self.vantage.footprint() as u64;
        let ledger = self.vantage.cut();
        let lost = self.vantage.lost() - self.lost;
        self.lost += lost;
        let latency = std::mem::replace(&mut self.watch.times, fresh);
        Share { counters, lost, footprint, ledger, latency }
    }

    fn answer(&mut self, query: &Query) -> Answer {
        self.vantage.answer(query)
    }
}
