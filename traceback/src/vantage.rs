//! A scheme at work at one place, behind an interface that does not name the scheme.
//!
//! [`Vantage`] is what datapaths, the simulator and `observe` hold: it marks and logs packets, cuts
//! ledgers into reports, and answers questions. [`At`] makes one from any [scheme](crate::scheme::Scheme).

mod at;

pub(crate) use at::field_mask;
pub use at::{At, keyed_draw};

use crate::case::{Answer, Filter, Query};
use crate::invariant::{Invariant, Key};
use crate::packet::Packet;
use crate::scheme::{Hop, LogPage, Nanos, Place};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where a router's chance comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draws {
    /// A hash of key, router and packet: every world marks every packet alike.
    Keyed,
    /// A generator seeded by the caller.
    Seeded(u64),
}

/// What marking did to packets that somebody may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Harms {
    /// Packets whose mark changed.
    pub marked: u64,
    /// Fragments left unmarked, because a mark would break their reassembly.
    pub fragments_skipped: u64,
    /// Packets that got "don't fragment", so that nobody fragments them behind the mark.
    pub df_set: u64,
    /// Packets whose TTL a mark changed beyond the router's own step.
    #[serde(default)]
    pub ttl_changed: u64,
    /// Packets without the slot that the scheme needs.
    pub no_slot: u64,
    /// Packets whose reserved room was full or missing.
    pub no_room: u64,
    /// Frames that the kernel had merged from several packets, left unmarked.
    #[serde(default)]
    pub merged: u64,
}

impl Harms {
    /// Adds another count.
    pub fn add(&mut self, other: &Self) {
        self.marked += other.marked;
        self.fragments_skipped += other.fragments_skipped;
        self.df_set += other.df_set;
        self.ttl_changed += other.ttl_changed;
        self.no_slot += other.no_slot;
        self.no_room += other.no_room;
        self.merged += other.merged;
    }
}

/// One scheme at one place.
pub trait Vantage: Send {
    /// The router's step: marks and, where routers keep the ledger, logs. Says whether the router has a message
    /// to send about the packet.
    fn forward(&mut self, mut hop: Hop, packet: &mut Packet<&mut [u8]>) -> bool {
        self.forward_known(&mut hop, packet, &mut None)
    }

    /// The same for a packet whose hashes a router before it may have left in `known`, or that leaves them
    /// there: no router on the way changes what they are made of. All share a scheme and the run's key. What the
    /// step itself draws and finds is filled in, whatever stood there.
    fn forward_known(
        &mut self,
        hop: &mut Hop,
        packet: &mut Packet<&mut [u8]>,
        known: &mut Option<Invariant>,
    ) -> bool;
    /// The step on a packet that a kernel twin chose for a message: `hop` holds the draw and what was owed.
    /// Says whether there is a message to write.
    fn retell(&mut self, _hop: Hop, _packet: &Packet<&mut [u8]>) -> bool {
        false
    }
    /// Writes that message, a whole IP packet, about the packet just forwarded; says whether there is
    /// one. `out` is the egress port, `from` the router's addresses where the packet came in.
    fn speak(
        &mut self,
        _packet: &Packet<&mut [u8]>,
        _out: u16,
        _from: &[IpAddr],
        _message: &mut Vec<u8>,
    ) -> bool {
        false
    }
    /// Whether its marks stand in IPv4's flags and fragment offset, which then say nothing of fragments.
    fn owns_fragment_bits(&self) -> bool {
        false
    }
    /// The victim's step on a packet that arrived; packets that the filter leaves out do not count.
    fn see(&mut self, at: Nanos, packet: &Packet<&[u8]>);
    /// Takes the ledger's encoding and starts an empty one. `None` where the ledger stays at home.
    fn cut(&mut self) -> Option<Vec<u8>>;
    /// Takes over a page that a kernel twin filled here.
    fn absorb(&mut self, page: LogPage<'_>);
    /// Takes over the table that a kernel twin keeps here, as it stands.
    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>);
    /// Answers a question about what was logged.
    fn answer(&self, query: &Query) -> Answer;
    /// What marking did so far.
    fn harms(&self) -> Harms;
    /// Bytes of memory that the ledger takes.
    fn footprint(&self) -> usize;
    /// Observations that found no room in the ledger.
    fn lost(&self) -> u64;
}

/// How a vantage is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The router; for an observer at the victim, the victim's gateway.
    pub place: Place,
    /// The run's key.
    pub key: Key,
    /// Chance.
    pub draws: Draws,
    /// What an observer counts; `None` for routers, which treat all packets alike.
    pub filter: Option<Filter>,
}
