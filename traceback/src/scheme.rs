//! What a traceback scheme is.
//!
//! A scheme marks packets, logs them, or both, and rebuilds paths from what was seen. All impurity
//! is an argument: place, time and chance come in through [`Hop`], so one implementation serves the
//! simulator, the userspace router, capture files and (as a C twin) the kernel. To add one, write
//! one file under `schemes/` and one line in its registry: see `CONTRIBUTING.md`.
//!
//! Why it has this shape is in `docs/decisions.md`.

use crate::case::{Case, Evidence, Gap, Step};
use crate::handed::Handed;
use crate::invariant::{Invariant, Key};
use crate::ledger::Ledger;
use crate::packet::Packet;
use crate::slot::Slot;
use crate::stats::whole;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// A router's name on the wire: its loopback address in the plan, as a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(pub u32);

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0).fmt(f)
    }
}
impl From<Ipv4Addr> for RouterId {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.into())
    }
}
impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Self {
        id.0.into()
    }
}

/// A point in time: nanoseconds since the run's own zero.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Nanos(pub u64);

/// What does not change about one router while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The router.
    pub id: RouterId,
    /// Its position in the map, the short name that the recorder writes.
    pub index: u16,
    /// Number of its links to other routers.
    pub degree: u16,
    /// Its autonomous system.
    pub asn: u32,
}

/// One packet's visit to one router, seen on arrival, before the TTL is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub struct Hop {
    /// When.
    pub at: Nanos,
    /// This router.
    pub me: RouterId,
    /// The neighbour that sent the packet; 0 where it is a host or unknown.
    pub from: RouterId,
    /// 32 random bits, fresh for each packet and router.
    pub draw: u32,
    /// The router that gets the packet next; 0 where it is a host or unknown.
    pub to: RouterId,
    /// What the ledger had for [`Marked::need`]; 0 before it was asked, or where it has no room.
    pub cell: u32,
    /// Index of the ingress port, 0 ..
    pub port: u16,
    /// Links to other routers.
    pub degree: u16,
    /// Rank of `from` among the router's neighbours, ordered by identity, 0 ..; 0 for hosts.
    pub link: u16,
    /// TTL or hop limit on arrival.
    pub ttl: u8,
    /// 1 where the ingress port faces hosts, not routers.
    pub edge: u8,
    /// 1 where the packet comes from a router of another autonomous system.
    pub border: u8,
    /// 1 where the router that gets the packet next takes no part.
    pub legacy: u8,
    /// 1 where the packet is a fragment, whose Identification is its own.
    pub fragment: u8,
    /// 1 where the packet's destination asks for messages about its traffic ([`Scheme::wants`]).
    pub wanted: u8,
}

impl Hop {
    /// Number of this hop from the sender, 1 for the first router, from the TTL alone: the sender
    /// started at the next of 64, 128 or 255. At the victim, [`hops_before`] is the path's length.
    pub fn number(&self) -> u8 {
        hops_before(self.ttl).saturating_add(1)
    }
}

/// Routers passed by a packet that arrives with this TTL.
///
/// Source: pint2020 section 4.2 numbers hops by TTL; the three initial values are those of common
/// systems. An attacker who lies about the TTL misleads every scheme that needs this.
pub fn hops_before(ttl: u8) -> u8 {
    match ttl {
        0..=64 => 64 - ttl,
        65..=128 => 128 - ttl,
        129..=255 => 255 - ttl,
    }
}

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
    /// A key to look up in this router's ledger ([`Ledger::cell`]); the step is then asked again,
    /// once, with what was found in [`Hop::cell`], and everything else said here is void.
    pub need: Option<u64>,
    /// To which end of the packet's way this router sends a message about it ([`Scheme::message`]).
    pub tell: Option<End>,
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

/// Who keeps a scheme's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// An observer at the victim: marks travel inside packets.
    Victim,
    /// Every router, which answers questions and hands nothing out.
    Routers,
    /// Nobody.
    None,
}

/// What a scheme's answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Whole router paths.
    Paths,
    /// The routers where traffic entered.
    Ingress,
    /// Whole paths of autonomous systems.
    AsPaths,
    /// Fingerprints of paths, without routers.
    Classes,
    /// Nothing: the control.
    Nothing,
}

/// Whom a scheme needs on every way for its answers to be sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliance {
    /// Nobody: what routers that stay silent do not write is missing, and nothing else is.
    Nobody,
    /// The first router, which begins the mark.
    Entrance,
    /// Every router, since hops are numbered by the TTL.
    Everybody,
}

/// A scheme's fact sheet. The CLI, the documents and the comparison tables are made from it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Card {
    /// The scheme's one word: file, id, TOML key.
    pub id: &'static str,
    /// Full name.
    pub title: &'static str,
    /// Authors, venue, year, section.
    pub paper: &'static str,
    /// Where the mark lives in IPv4.
    pub v4: Slot,
    /// Where it lives in IPv6.
    pub v6: Slot,
    /// Whether it appends records to room that the sender reserved.
    pub records: bool,
    /// Who keeps the ledger.
    pub keeper: Keeper,
    /// What it names.
    pub names: Names,
    /// Whether reconstruction needs a map of routers and links.
    pub needs_map: bool,
    /// Whether packets must be grouped by flow to be decoded; mixed paths give [`Gap::Mixed`].
    pub groups_by_flow: bool,
    /// Whether the router's step draws from chance.
    pub draws: bool,
    /// Whether the router's step hashes the packet, with default parameters.
    pub hashes: bool,
    /// A mark in a fragment's Identification breaks its reassembly.
    pub harms: &'static str,
    /// State at a router.
    pub state: &'static str,
}

impl Card {
    /// Where the mark lives in packets of one version of IP.
    #[inline]
    pub const fn slot(&self, v6: bool) -> Slot {
        if v6 { self.v6 } else { self.v4 }
    }
}

/// Parameters out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} {must}, not {got}")]
pub struct BadParams {
    /// The parameter's key in the scenario.
    pub key: &'static str,
    /// What it must be, e.g. "must lie between 0 and 1".
    pub must: &'static str,
    /// What was given.
    pub got: String,
}

/// The number of 32-bit draws, of 2^32, that lie below probability `p`.
///
/// # Errors
/// [`BadParams`] under `key` where `p` is no probability above 0.
pub fn probability(key: &'static str, p: f64) -> Result<u64, BadParams> {
    if p > 0.0 && p <= 1.0 {
        Ok(whole((p * f64::from(u32::MAX) + p).round()))
    } else {
        Err(BadParams { key, must: "must lie above 0 and at most at 1", got: p.to_string() })
    }
}

/// A question to a router's draw: is it small, which it is with probability `p`, and which of 2^`bits`
/// equally likely values are its low bits?
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chance {
    /// Probability of a small draw: 0 is one, unless `p` is 0, and `u32::MAX` is none, unless it is 1.
    pub p: f64,
    /// Low bits that count, whatever the rest.
    pub bits: u32,
}

/// The hash log that a scheme keeps at a router, as a kernel twin fills it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogShape {
    /// Cells of one page, in bits.
    pub bits: u64,
    /// Packets after which a page closes.
    pub packets: u64,
    /// Longest life of an open page, in milliseconds.
    pub epoch_ms: u64,
}

/// One page that a kernel twin filled, or is still filling.
#[derive(Debug, Clone, Copy)]
pub struct LogPage<'a> {
    /// From its opening to its closing, or to now.
    pub window: (Nanos, Nanos),
    /// Its own hash family; also what it is known by.
    pub salt: u64,
    /// Packets in it.
    pub inserted: u64,
    /// Its cells, 64 to a word, the first in the lowest bit.
    pub words: &'a [u64],
}

/// One published traceback scheme.
pub trait Scheme: Sized + Send + Sync + 'static {
    /// Fact sheet.
    const CARD: Card;
    /// Whether routers send messages of their own ([`Marked::tell`]).
    const SPEAKS: bool = false;
    /// Whether it is chance if a router changes the mark that it finds, so that no processor guesses it: the mark is
    /// written either way then. Not for slots that grow with what is written.
    const CHANGES_BY_CHANCE: bool = false;
    /// Whom it needs on every way.
    const RELIES_ON: Reliance = Reliance::Nobody;
    /// Parameters as a scenario gives them; `Default` is what the paper uses.
    type Params: Serialize + DeserializeOwned + Default + Clone + Send + Sync;
    /// What one router computes once.
    type Local: Copy + Send + Sync;
    /// What a router writes into packets.
    type Mark: Field;
    /// What the keeper accumulates.
    type Ledger: Ledger;

    /// Checks parameters.
    ///
    /// # Errors
    /// [`BadParams`] names the key and its range.
    fn new(params: &Self::Params) -> Result<Self, BadParams>;

    /// What the router at `place` precomputes.
    fn local(&self, place: &Place) -> Self::Local;

    /// What the kernel twin knows of the scheme and of one router: the fields of `struct scheme` in
    /// the header beside the scheme's file, in their order.
    fn twin(&self, local: &Self::Local) -> Vec<u64>;

    /// The scheme as somebody runs it who knows all of it but routers' secrets, where it has any.
    fn outsider(&self) -> Option<Self> {
        None
    }

    /// The log that a kernel twin keeps, where routers keep one.
    fn log(&self) -> Option<LogShape> {
        None
    }

    /// Why no kernel twin can do this with these parameters, where none can.
    fn userspace_only(&self) -> Option<&'static str> {
        None
    }

    /// Entries of the table that a kernel twin keeps, where the step asks for them ([`Marked::need`]).
    fn entries(&self) -> Option<u32> {
        None
    }

    /// What a packet is logged under, `mark` being what it carries when it leaves; `None` where it is
    /// not logged. For schemes that have such a log.
    fn log_key(&self, _: &Hop, inv: &Invariant, _mark: Self::Mark) -> Option<u64> {
        Some(inv.digest)
    }

    /// Cells that a packet with this key takes in a page with this salt.
    fn cells(&self, _salt: u64, _key: u64) -> Vec<u64> {
        vec![]
    }

    /// Takes a page of such a log into the ledger, in place of what it knew of the same page.
    fn absorb(&self, _page: LogPage<'_>, _ledger: &mut Self::Ledger) {}

    /// The one question that the step at this hop asks of [`Hop::draw`], or `None` where it asks more than
    /// one or looks at the packet. What may be drawn directly ([`crate::arrivals`]) depends on it.
    fn chance(&self, _hop: &Hop) -> Option<Chance> {
        (!Self::CARD.draws && !Self::CARD.hashes).then_some(Chance { p: 1.0, bits: 0 })
    }

    /// Whether the step hashes the packet, as it does where this is not said otherwise.
    fn hashes(&self) -> bool {
        Self::CARD.hashes
    }

    /// The router's step on one packet.
    fn mark(
        &self,
        local: &Self::Local,
        hop: &Hop,
        inv: &Invariant,
        before: Self::Mark,
    ) -> Marked<Self::Mark>;

    /// The keeper's step on one packet; `records` is what the packet's room holds.
    fn observe(
        &self,
        hop: &Hop,
        inv: &Invariant,
        mark: Self::Mark,
        records: &[u8],
        ledger: &mut Self::Ledger,
    );

    /// Whether the forwarding entry of a destination asks for messages; where [`Self::SPEAKS`].
    fn wants(&self, _destination: IpAddr) -> bool {
        true
    }

    /// Writes the message that [`Marked::tell`] asked for, a whole IP packet; says whether there is one.
    fn message(&self, _about: &About<'_>, _out: &mut Vec<u8>) -> bool {
        false
    }

    /// The keeper's step on a packet that may be such a message; says whether it is one.
    fn hear(&self, _hop: &Hop, _packet: &Packet<&[u8]>, _ledger: &mut Self::Ledger) -> bool {
        false
    }

    /// Rebuilds paths, or says which routers must be asked what before it can.
    ///
    /// It is called again with the answers; it keeps no state between calls.
    ///
    /// # Errors
    /// [`Gap`] says what is missing: a result, not a failure.
    fn reconstruct(&self, case: &Case, evidence: &Evidence<Self::Ledger>) -> Result<Step, Gap>;

    /// Once paths are rebuilt: who beyond the case's part of the network may have handed its samples over, and
    /// what they bore then. For schemes whose routers keep logs of packets that change on their way.
    fn handed(&self, _: &Case, _: &Evidence<Self::Ledger>) -> Vec<Handed> {
        vec![]
    }
}
