//! SPIE: hash-based traceback of single packets.
//!
//! Idea: every router remembers a digest of every packet it forwards in Bloom filters, one page after
//! the other. Asked about one packet, the victim's gateway says yes, then those of its neighbours
//! that say yes are asked about theirs, until nobody further has seen it. Logs stay at the routers:
//! the question travels, not the data.
//!
//! Paper: Snoeren, Partridge, Sanchez, Jones, Tchakountio, Kent, Strayer, "Hash-Based IP Traceback",
//! SIGCOMM 2001, sections 4 and 5 (snoeren2001).
//!
//! Bits: none in packets; `pages.rs` draws a page of the log.
//!
//! Departs: the digest is [`crate::invariant`]'s, which leaves out the Identification because marking
//! schemes write there. A page closes when it holds `bits / 12` packets (the paper's example of 12
//! bits a packet and 8 hashes) or its epoch ends. Transformed packets (the paper's TLT) are not traced.
//!
//! Cost: one hash of 40 bytes and k memory writes for each packet.

use super::inquiry;
use super::pages::{Pages, Params};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::scheme::{
    BadParams, Card, Hop, Keeper, LogPage, LogShape, Marked, Names, Place, Scheme,
};
use crate::slot::Slot;

/// SPIE at work.
#[derive(Debug, Clone, Copy)]
pub struct Spie {
    params: Params,
}

impl Scheme for Spie {
    const CARD: Card = Card {
        id: "spie",
        title: "Hash-based traceback (source path isolation engine)",
        paper: "Snoeren et al., SIGCOMM 2001",
        v4: Slot::None,
        v6: Slot::None,
        records: false,
        keeper: Keeper::Routers,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: true,
        harms: "none to packets; routers remember what they forwarded",
        state: "12 bits for each packet and page",
    };
    type Params = Params;
    type Local = ();
    type Mark = ();
    type Ledger = Pages;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { params: params.checked()? })
    }

    fn local(&self, _: &Place) {}

    #[inline]
    fn mark(&self, (): &(), _: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        ().into()
    }

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![self.params.bits, self.params.hashes.into()]
    }

    fn log(&self) -> Option<LogShape> {
        Some(self.params.shape())
    }

    fn cells(&self, salt: u64, digest: u64) -> Vec<u64> {
        self.params.cells(salt, digest)
    }

    fn absorb(&self, page: LogPage<'_>, ledger: &mut Pages) {
        ledger.absorb(page, &self.params);
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, (): (), _: &[u8], ledger: &mut Pages) {
        ledger.log(&self.params, hop, inv.digest);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Pages>) -> Result<Step, Gap> {
        inquiry::next(case, &evidence.answers, case.digests())
    }
}
