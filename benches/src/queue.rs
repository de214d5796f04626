//! Marking by NFQUEUE, what a user without eBPF would pick: the kernel hands packets over one by one,
//! gets them back changed, and forwards them.

use anyhow::Context;
use nfq::{Queue, Verdict};
use std::fmt;
use std::io::ErrorKind;
use traceback::invariant::Key;
use traceback::packet::Packet;
use traceback::scheme::Hop;
use traceback::schemes;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Place, RouterId};

const PLACE: Place = Place { id: RouterId(0xc613_0001), index: 1, degree: 2, asn: 0 };
const NUMBER: u16 = 7;

/// A queue and the scheme that marks its packets.
pub struct Marker {
    queue: Queue,
    vantage: Box<dyn Vantage>,
}

impl fmt::Debug for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Marker").finish_non_exhaustive()
    }
}

impl Marker {
    /// The rule that fills the queue. Packets go on unmarked where nobody reads it.
    pub const RULE: &str = "iptables -A FORWARD -j NFQUEUE --queue-num 7 --queue-bypass";

    /// Opens the queue in the calling thread's namespace.
    ///
    /// # Errors
    /// No such scheme, no privilege, or the queue is taken.
    pub fn open(scheme: &str) -> anyhow::Result<Self> {
        let scheme = schemes::entry(scheme)?.build(&serde_json::json!({}))?;
        let setting =
            Setting { place: PLACE, key: Key(1, 2), draws: Draws::Seeded(1), filter: None };
        let mut queue = Queue::open().context("open NFQUEUE")?;
        queue.bind(NUMBER).context("bind to a queue")?;
        queue.set_nonblocking(true);
        Ok(Self { queue, vantage: scheme.vantage(setting) })
    }

    /// Marks and hands back every packet that is queued.
    ///
    /// # Errors
    /// When the kernel does not take one back.
    pub fn work_off(&mut self) -> anyhow::Result<()> {
        loop {
            let mut message = match self.queue.recv() {
                Ok(message) => message,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e).context("receive from NFQUEUE"),
            };
            if let Ok(mut packet) = Packet::parse(message.get_payload_mut()) {
                // The kernel has lowered the TTL already.
                let ttl = packet.ttl().wrapping_add(1);
                let hop = Hop { me: PLACE.id, degree: PLACE.degree, ttl, ..Hop::default() };
                self.vantage.forward(hop, &mut packet);
            }
            message.set_verdict(Verdict::Accept);
            self.queue.verdict(message).context("answer NFQUEUE")?;
        }
    }
}
