//! PINT: probabilistic in-band network telemetry, path tracing.
//!
//! Idea: a packet carries a few bits. Whether a router overwrites them with a hash of its name, XORs
//! one in, or leaves them alone is decided by hashes of the packet and of the hop's number, so the
//! victim replays every decision and knows which hops made the bits it reads. Each packet strikes out
//! most candidates for a hop; packets that mix several hops give the last one away once the others
//! are known.
//!
//! Paper: Ben Basat, Ramanathan, Li, Antichi, Yu, Mitzenmacher, "PINT", SIGCOMM 2020, sections 4.2
//! and 6.3 (pint2020): two instances of 8 bits, one XOR layer.
//!
//! ```text
//!  15             8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | instance 0     | instance 1     |
//! layer 0 (probability tau): hop i overwrites with probability 1/i, so every hop is equally likely
//! layer 1: every hop XORs with probability p
//! ```
//! Departs: the paper's sender starts the bits at zero; here the first hop does, because an attacker
//! would not. Hashes are ours. The published decoder allows only routers of the path as candidates
//! and XORs raw names; ours allows every router of the map, hashes in both layers, and takes a path that the map
//! does not have, or that ends elsewhere than at the gateway, for a mixture. Hop numbers come from the TTL, which a
//! sender can forge.
//!
//! Cost: two or three hashes of two words for each packet. The decoder is in `pint/decode.rs`; `pint/loops.rs` has what
//! the paper's appendix does with such bits against loops.

mod decode;
pub mod loops;

pub use decode::Decoder;

use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::{Invariant, addend, mix2};
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{
    BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, Reliance, RouterId, Scheme,
    hops_before, probability,
};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::hint::select_unpredictable;

/// Instances that share the 16 bits.
pub const INSTANCES: usize = 2;

/// PINT at work.
#[derive(Debug, Clone, Copy)]
pub struct Pint {
    /// Draws below this go to layer 0.
    tau: u64,
    /// Draws below this take part in layer 1.
    p: u64,
    capacity: usize,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Share of packets in layer 0.
    pub tau: f64,
    /// Probability that a hop takes part in layer 1.
    pub p: f64,
    /// Packets that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// One half and one tenth. Source: the program with which pint2020's experiments were made.
    fn default() -> Self {
        Self { tau: 0.5, p: 0.1, capacity: 65_536 }
    }
}

/// The digests of both instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(pub [u8; INSTANCES]);

impl Field for Mark {
    const BITS: u32 = 16;

    fn pack(self) -> u32 {
        u16::from_be_bytes(self.0).into()
    }

    fn unpack(bits: u32) -> Self {
        let [_, _, first, second] = bits.to_be_bytes();
        Self([first, second])
    }
}

/// One packet as the victim keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    flow: u64,
    hops: u8,
    digest: u64,
    mark: u16,
}

/// Packets kept for decoding.
#[derive(Debug, Clone, Default)]
pub struct Packets {
    seen: Vec<Seen>,
    lost: u64,
}

impl Packets {
    fn sorted(&self) -> Vec<Seen> {
        let mut seen = self.seen.clone();
        seen.sort_unstable();
        seen
    }
}

/// Equal where the same packets were seen, in any order.
impl PartialEq for Packets {
    fn eq(&self, other: &Self) -> bool {
        self.lost == other.lost && self.sorted() == other.sorted()
    }
}

impl Ledger for Packets {
    fn merge(&mut self, other: &Self) {
        self.seen.extend(&other.seen);
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.seen.len() as u64);
        for seen in self.sorted() {
            out.extend(seen.flow.to_le_bytes());
            out.push(seen.hops);
            out.extend(seen.digest.to_le_bytes());
            out.extend(seen.mark.to_le_bytes());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut packets = Self { lost: read.varint()?, seen: vec![] };
        for _ in 0..read.varint()? {
            packets.seen.push(Seen {
                flow: read.u64()?,
                hops: read.u8()?,
                digest: read.u64()?,
                mark: read.u16()?,
            });
        }
        read.end()?;
        if packets.seen.is_sorted() { Ok(packets) } else { Err(BadBytes) }
    }

    fn footprint(&self) -> usize {
        self.seen.capacity() * size_of::<Seen>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// What hop `number` does in one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Overwrite,
    Xor,
    Pass,
}

/// What one instance draws from one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Base {
    digest: u64,
    /// Decides the layer.
    layer: u64,
    instance: u8,
}

impl Base {
    /// One hash serves all instances, each of which takes its own bits of it. Layer, act and name are
    /// hashed apart from each other, with a space of numbers each, so that none waits for another.
    #[inline]
    fn of(digest: u64, instance: u8) -> Self {
        Self { digest, layer: mix2(digest, 2 << 32), instance }
    }

    /// Its 32 bits of a word: the upper ones for instance 0.
    #[inline]
    fn half(self, word: u64) -> u64 {
        word >> (32 * (1 - self.instance)) & 0xffff_ffff
    }

    /// Its digest of a router's name.
    #[inline]
    fn hash(self, router: RouterId) -> u8 {
        let word = mix2(self.digest, 1 << 32 | u64::from(router.0));
        (word >> (8 * self.instance) & 0xff) as u8
    }
}

impl Pint {
    #[inline]
    fn layer0(&self, base: Base) -> bool {
        base.half(base.layer) < self.tau
    }

    #[inline]
    fn acts(&self, base: Base, number: u8) -> bool {
        let draw = base.half(mix2(base.digest, number.into()));
        // 1/i: reservoir sampling leaves each hop with the same chance.
        let overwrites = draw * u64::from(number) < 1 << 32;
        let layer0 = self.layer0(base);
        layer0 & overwrites | !layer0 & (draw < self.p)
    }

    fn act(&self, base: Base, number: u8) -> Act {
        match (self.acts(base, number), self.layer0(base)) {
            (true, true) => Act::Overwrite,
            (true, false) => Act::Xor,
            (false, _) => Act::Pass,
        }
    }

    /// An instance's digest behind a router. Branches would follow chance, and a processor that guesses wrong
    /// every other time loses more than it computes.
    #[inline]
    fn digest(&self, base: Base, number: u8, me: RouterId, old: u8) -> u8 {
        let kept = select_unpredictable(self.layer0(base), 0, old);
        select_unpredictable(self.acts(base, number), kept ^ base.hash(me), old)
    }
}

impl Scheme for Pint {
    const CARD: Card = Card {
        id: "pint",
        title: "Probabilistic in-band telemetry, path tracing, 2 x 8 bits",
        paper: "Ben Basat et al., SIGCOMM 2020, sections 4.2 and 6.3",
        v4: Slot::Id,
        v6: Slot::FlowLabel,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: true,
        draws: false,
        hashes: true,
        harms: "overwrites the IPv4 Identification: fragments are left unmarked, marked packets get DF; believes the TTL",
        state: "none",
    };
    const CHANGES_BY_CHANCE: bool = true;
    const RELIES_ON: Reliance = Reliance::Everybody;
    type Params = Params;
    type Local = RouterId;
    type Mark = Mark;
    type Ledger = Packets;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let (tau, p) = (probability("tau", params.tau)?, probability("p", params.p)?);
        Ok(Self { tau, p, capacity: params.capacity })
    }

    fn local(&self, place: &Place) -> RouterId {
        place.id
    }

    fn twin(&self, me: &RouterId) -> Vec<u64> {
        vec![self.tau, self.p, addend(1 << 32 | u64::from(me.0))]
    }

    #[inline]
    fn mark(&self, me: &RouterId, hop: &Hop, inv: &Invariant, mut mark: Mark) -> Marked<Mark> {
        let number = hop.number();
        if number == 1 {
            mark = Mark([0; INSTANCES]);
        }
        for (instance, digest) in (0..).zip(&mut mark.0) {
            *digest = self.digest(Base::of(inv.digest, instance), number, *me, *digest);
        }
        mark.into()
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, mark: Mark, _: &[u8], ledger: &mut Packets) {
        if ledger.seen.len() >= self.capacity {
            ledger.lost += 1;
            return;
        }
        if ledger.seen.capacity() == 0 {
            ledger.seen.reserve_exact(self.capacity.min(RESERVED));
        }
        let mark = u16::from_be_bytes(mark.0);
        let hops = hops_before(hop.ttl);
        ledger.seen.push(Seen { flow: inv.flow, hops, digest: inv.digest, mark });
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Packets>) -> Result<Step, Gap> {
        let seen: Vec<Seen> = evidence.ledgers.values().flat_map(|l| l.seen.clone()).collect();
        if seen.is_empty() || case.map.routers().is_empty() {
            return Err(Gap::Nothing { what: "marked packets and a map".into() });
        }
        decode::paths(self, case, seen)
    }
}

/// Packets that memory is taken for at once; a larger ledger grows.
const RESERVED: usize = 1 << 16;
