//! The recorder: every router writes its short name into room that the sender reserved.
//!
//! Idea: node append (record route). One packet gives the whole path, which makes it the testbed's
//! gold standard. It is never a competitor: it needs a sender that co-operates, and an attacker could
//! fill the room beforehand.
//!
//! Paper: Savage et al., SIGCOMM 2000, section 4.1 (savage2000), "node append".
//!
//! ```text
//! room: used | flags | index of router 1 (16) | index of router 2 (16) | ...     see crate::room
//! ```
//! Departs: the paper appends 32-bit addresses and so lengthens packets; here nothing changes length,
//! and names are the 16-bit indices of the map. A packet whose room was full says so, and is no evidence.
//!
//! Cost: two bytes written and a checksum repaired for each packet.

use super::verbatim::{self, Params, Verbatim};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Keeper, Marked, Names, Place, Scheme};
use crate::slot::Slot;

/// The recorder at work.
#[derive(Debug, Clone, Copy)]
pub struct Recorder {
    max_paths: usize,
}

impl Scheme for Recorder {
    const CARD: Card = Card {
        id: "recorder",
        title: "Recorder (node append into reserved room): the gold standard",
        paper: "Savage, Wetherall, Karlin, Anderson, SIGCOMM 2000, section 4.1",
        v4: Slot::None,
        v6: Slot::None,
        records: true,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "needs room that the sender reserved; IPv4 options and hop-by-hop headers take slow paths elsewhere",
        state: "none",
    };
    type Params = Params;
    type Local = u16;
    type Mark = ();
    type Ledger = Verbatim;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { max_paths: params.max_paths })
    }

    fn local(&self, place: &Place) -> u16 {
        place.index
    }

    fn twin(&self, index: &u16) -> Vec<u64> {
        vec![(*index).into()]
    }

    #[inline]
    fn mark(&self, index: &u16, _: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        Marked { record: Some(*index), ..().into() }
    }

    fn observe(&self, _: &Hop, _: &Invariant, (): (), records: &[u8], ledger: &mut Verbatim) {
        if !records.is_empty() {
            ledger.add(records, self.max_paths);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Verbatim>) -> Result<Step, Gap> {
        let index = |c: &[u8]| u16::from_be_bytes([c[0], c[1]]);
        let router = |c: &[u8]| Some(case.map.by_index(index(c))?.id);
        let path = |records: &[u8]| records.chunks_exact(2).map(router).collect();
        verbatim::paths(evidence, path, "packets with records of routers on the map")
    }
}
