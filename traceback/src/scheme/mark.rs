//! What a router does to a packet: the mark that it writes, and whom it tells.

use super::Hop;
use crate::invariant::Key;
use std::fmt;
use std::net::IpAddr;

/// A value that fits a slot.
pub trait Field: Copy + PartialEq + fmt::Debug {
    /// Width in bits, at most that of the card's slots.
    const BITS: u32;
    /// As an integer, right-aligned.
    fn pack(self) -> u32;
    /// Inverse of [`Self::pack`]; bits above [`Self::BITS`] are ignored.
    fn unpack(bits: u32) -> Self;
}

/// The mark of schemes that write none.
impl Field for () {
    const BITS: u32 = 0;
    fn pack(self) -> u32 {
        0
    }
    fn unpack(_: u32) -> Self {}
}

/// What a router does to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marked<M> {
    /// The slot's new value.
    pub mark: M,
    /// A 16-bit record to append to the room that the sender reserved.
    pub record: Option<u16>,
    /// The TTL on arrival that the packet shall seem to have had; the router still lowers it by one.
    pub ttl: Option<u8>,
    /// A key to look up in this router's ledger ([`crate::ledger::Ledger::cell`]); the step is then asked again,
    /// once, with what was found in [`Hop::cell`], and everything else said here is void.
    pub need: Option<u64>,
    /// To which end of the packet's way this router sends a message about it ([`crate::Scheme::message`]).
    pub tell: Option<End>,
}

impl<M> Marked<M> {
    /// The TTL that a packet with this one gets, where that is another; at least 2, since the router has
    /// decided that the packet lives on.
    pub fn other_ttl(&self, ttl: u8) -> Option<u8> {
        self.ttl.filter(|new| *new != ttl).map(|new| new.max(2))
    }

    /// The same with another mark.
    pub fn map<N>(self, mark: impl FnOnce(M) -> N) -> Marked<N> {
        let Self { record, ttl, need, tell, .. } = self;
        Marked { mark: mark(self.mark), record, ttl, need, tell }
    }
}

impl<M> From<M> for Marked<M> {
    fn from(mark: M) -> Self {
        Self { mark, record: None, ttl: None, need: None, tell: None }
    }
}

/// One end of a packet's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where the packet says it comes from.
    Source,
    /// Where it goes.
    Destination,
}

/// What a router's message is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The run's key.
    pub key: Key,
    /// The packet's visit.
    pub hop: &'a Hop,
    /// Index of the egress port.
    pub out: u16,
    /// The router's addresses on the link by which the packet came.
    pub from: &'a [IpAddr],
    /// The whole IP packet.
    pub packet: &'a [u8],
    /// Who is told.
    pub to: IpAddr,
}
