//! RIHT: every packet carries its whole path in 32 bits, with tables that do not grow with traffic.
//!
//! Idea: a mark is a number whose digits are the links that the packet came by. When it is full, the
//! router looks the pair of mark and link up in a table, makes an entry where there is none, and
//! starts the mark again from the entry's index. Packets of one path meet the same entries, so a
//! table holds as many as there are paths, however many packets come.
//!
//! Paper: Yang, Yang, "RIHT: A Novel Hybrid IP Traceback Scheme", IEEE TIFS 7(2), 2012 (yang2012).
//!
//! ```text
//!  31                                0     Identification, flags and fragment offset; IPv6: reserved room
//! | mark * (degree + 1) + link + 1    |     digit 0: the rest is an index, 0 where the packet entered
//! ```
//! Departs: entries are numbered in order of their making instead of by a hash with probing. A mark of
//! all ones says that some table was full; it is passed on as it is and leads nowhere, where the
//! paper has no rule.
//!
//! Cost: one product for each packet; one look-up after every dozen routers.

use super::digits::{Back, Digits, Mark};
use crate::case::{Case, Evidence, Gap, Step};
use crate::handed::Handed;
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Keeper, Marked, Names, Place, Scheme};
use crate::slot::Slot;
use crate::table::{MOST_ENTRIES, Table};
use serde::{Deserialize, Serialize};

/// The mark of a packet that met a full table.
const LOST: u32 = u32::MAX;

/// RIHT at work.
#[derive(Debug, Clone, Copy)]
pub struct Riht;

/// RIHT has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Scheme for Riht {
    const CARD: Card = Card {
        id: "riht",
        title: "Path in 32 bits, with a table's index fed back",
        paper: "Yang, Yang, IEEE TIFS 7(2), 2012",
        v4: Slot::IdFlagsOffset,
        v6: Slot::Room,
        records: false,
        keeper: Keeper::Routers,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "overwrites Identification, flags and fragment offset of every IPv4 packet: fragments are \
                destroyed, and marked packets look like fragments until somebody clears them; believes \
                that the first router takes part, else a sender forges the end of the path",
        state: "12 bytes for each path that ends a mark here",
    };
    type Params = Params;
    type Local = ();
    type Mark = Mark;
    type Ledger = Table;

    fn new(_: &Params) -> Result<Self, BadParams> {
        Ok(Self)
    }

    fn local(&self, _: &Place) {}

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![0]
    }

    fn entries(&self) -> Option<u32> {
        Some(MOST_ENTRIES)
    }

    #[inline]
    fn mark(&self, (): &(), hop: &Hop, _: &Invariant, before: Mark) -> Marked<Mark> {
        // A border router's own mark: whatever the sender chose is wiped.
        if hop.edge == 1 {
            return Mark(0).into();
        }
        if before.0 == LOST {
            return before.into();
        }
        let base = u64::from(hop.degree) + 1;
        let below = |new: u64| u32::try_from(new).ok().filter(|new| *new != LOST);
        if let Some(new) = below(u64::from(before.0) * base + u64::from(hop.link) + 1) {
            return Mark(new).into();
        }
        let need = u64::from(before.0) << 16 | u64::from(hop.link);
        let found = below(u64::from(hop.cell) * base).filter(|_| hop.cell > 0);
        // The first time round nothing was looked up yet; the second time, the table is full.
        let need = found.is_none().then_some(need);
        Marked { need, ..Mark(found.unwrap_or(LOST)).into() }
    }

    fn observe(&self, _: &Hop, _: &Invariant, _: Mark, _: &[u8], _: &mut Table) {}

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Table>) -> Result<Step, Gap> {
        self.trace(case, evidence)
    }

    fn handed(&self, case: &Case, evidence: &Evidence<Table>) -> Vec<Handed> {
        self.over(case, evidence)
    }
}

impl Digits for Riht {
    const SLOTS: [Slot; 2] = [Self::CARD.v4, Self::CARD.v6];

    fn back(&self, degree: u16, mark: u32, _: u64) -> Back {
        let base = u32::from(degree) + 1;
        match (mark % base, mark / base) {
            _ if mark == LOST => Back::Lost,
            (0, 0) => Back::Source,
            (0, index) => Back::Ask(index.into(), 0),
            (digit, before) => Back::By(u16::try_from(digit - 1).unwrap_or(u16::MAX), before),
        }
    }

    fn told(&self, value: u64, _: u16) -> (u16, u32) {
        ((value & 0xffff) as u16, (value >> 16 & 0xffff_ffff) as u32)
    }
}

#[cfg(test)]
#[path = "riht_tests.rs"]
mod tests;
