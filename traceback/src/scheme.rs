//! What a traceback scheme is.
//!
//! A scheme marks packets, logs them, or both, and rebuilds paths from what was seen. All impurity
//! is an argument: place, time and chance come in through [`Hop`], so one implementation serves the
//! simulator, the userspace router, capture files and (as a C twin) the kernel. To add one, write
//! one file under `schemes/` and one line in its registry: see `CONTRIBUTING.md`.
//!
//! Why it has this shape is in `docs/decisions.md`.

mod card;
mod chance;
mod hop;
mod log;
mod mark;
mod place;

pub use card::{Card, Keeper, Names, Reliance};
pub use chance::{Chance, probability};
pub use hop::{Hop, Nanos, hops_before};
pub use log::{LogPage, LogShape};
pub use mark::{About, End, Field, Marked};
pub use place::{Place, RouterId};

use crate::case::{Case, Evidence, Gap, Step};
use crate::handed::Handed;
use crate::invariant::Invariant;
use crate::ledger::Ledger;
use crate::packet::Packet;
use serde::{Serialize, de::DeserializeOwned};
use std::net::IpAddr;

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
