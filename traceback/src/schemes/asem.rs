//! ASEM: edge marking between autonomous systems.
//!
//! Idea: paths of four or five ASes need far fewer packets than paths of fifteen routers, and names that fit
//! a header need no fragments. One router acts for each AS, where the packet comes in. The first AS always
//! marks, so that nothing a sender writes goes past it; the others mark with probability `p`, which is
//! best at one over the path's length; the AS after the writer turns the name into an edge.
//!
//! Paper: Gao, Ansari, "A Practical and Robust Inter-Domain Marking Scheme for IP Traceback", Computer
//! Networks 51(3), 2007 (gao2007).
//!
//! ```text
//!  24          20 19     16 15                     0     IPv4; IPv6: reserved room
//! | TOS: distance | spared | Identification: edge   |    AS number, or two of them XORed
//! ```
//! Departs: known to us from abstracts, not from its text: the fields and their widths are ours, which
//! leave ECN alone. The paper takes the path's length from BGP's AS path; here `p` is a parameter, 1/5 by
//! default. AS numbers above 65,535 are marked as AS_TRANS (RFC 6793), as routers do that have 16 bits for
//! them. Edges are checked against the links of the map between ASes. Numbers of ASes are no
//! random bits, so that two edges at one distance may have the same XOR; the map decides then.
//!
//! Cost: two comparisons; at borders one write of 25 bits.

use super::ases;
use super::walk::{Hashes, Seen, Values, Walk, only};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::ledger::Ledger;
use crate::marks::Marks;
use crate::scheme::{
    BadParams, Card, Chance, Field, Hop, Marked, Place, RouterId, Scheme, probability,
};
use crate::stats::whole;
use serde::{Deserialize, Serialize};

/// Distances are counted up to this one, which means "this or more".
pub const FAR: u8 = 31;
/// The number that stands for all that are longer than 16 bits. Source: RFC 6793.
pub const AS_TRANS: u16 = 23_456;

/// ASEM at work.
#[derive(Debug, Clone, Copy)]
pub struct Asem {
    params: Params,
    /// A draw below this marks.
    threshold: u64,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability of every AS but the first.
    pub p: f64,
    /// Share of links on no path that match by chance, from which a distance says nothing.
    pub saturated: f64,
    /// Different marks that the ledger holds; more are counted as lost.
    pub capacity: usize,
}

impl Default for Params {
    /// For paths of five ASes.
    fn default() -> Self {
        Self { p: 0.2, saturated: 0.5, capacity: 1 << 16 }
    }
}

/// The 25 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// ASes since it was written, saturating at [`FAR`].
    pub distance: u8,
    /// The lower bits of TOS and the reserved flag, which stay as they are.
    pub spared: u8,
    /// An AS number, or two of them XORed.
    pub edge: u16,
}

impl Field for Mark {
    const BITS: u32 = 25;

    fn pack(self) -> u32 {
        u32::from(self.distance) << 20 | u32::from(self.spared) << 16 | u32::from(self.edge)
    }

    fn unpack(bits: u32) -> Self {
        let [distance, spared] = [20, 16].map(|shift| (bits >> shift & 31) as u8);
        Self { distance, spared: spared & 15, edge: (bits & 0xffff) as u16 }
    }
}

/// An AS as a mark holds it.
fn short(asn: u32) -> u16 {
    u16::try_from(asn).unwrap_or(AS_TRANS)
}

/// An edge is the XOR of its ends.
struct Xor;

impl Hashes for Xor {
    fn alone(&self, system: RouterId) -> Values {
        only(short(system.0).into())
    }

    fn under(&self, system: RouterId) -> Values {
        self.alone(system)
    }
}

impl Scheme for Asem {
    const CARD: Card = Card {
        id: "asem",
        title: "Edge marking between autonomous systems",
        paper: "Gao, Ansari, Computer Networks 51(3), 2007 (mechanism from abstracts)",
        harms: "overwrites the IPv4 Identification and five bits of TOS: fragments are left unmarked, marked \
                packets get DF; believes senders where the first AS takes no part",
        ..ases::CARD
    };
    type Params = Params;
    type Local = u16;
    type Mark = Mark;
    type Ledger = Marks;

    fn new(params: &Params) -> Result<Self, BadParams> {
        probability("saturated", params.saturated)?;
        Ok(Self { params: *params, threshold: probability("p", params.p)? })
    }

    fn local(&self, place: &Place) -> u16 {
        short(place.asn)
    }

    fn twin(&self, asn: &u16) -> Vec<u64> {
        vec![self.threshold, (*asn).into()]
    }

    fn chance(&self, hop: &Hop) -> Option<Chance> {
        let p = if hop.edge == 0 && hop.border == 1 { self.params.p } else { 1.0 };
        Some(Chance { p, bits: 0 })
    }

    #[inline]
    fn mark(&self, asn: &u16, hop: &Hop, _: &Invariant, mut mark: Mark) -> Marked<Mark> {
        if !ases::enters(hop) {
            return mark.into();
        }
        if hop.edge == 1 || u64::from(hop.draw) < self.threshold {
            return Mark { distance: 0, edge: *asn, ..mark }.into();
        }
        if mark.distance == 0 {
            mark.edge ^= asn;
        }
        // Saturates: a wrapped distance would let the attacker forge nearby edges.
        mark.distance = FAR.min(mark.distance + 1);
        mark.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, mark: Mark, _: &[u8], ledger: &mut Marks) {
        ledger.add(Mark { spared: 0, ..mark }.pack(), self.params.capacity);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Marks>) -> Result<Step, Gap> {
        let case = ases::case_of(case)?;
        let (mut seen, mut all) = (Seen::new(1, 16), Marks::default());
        evidence.ledgers.values().for_each(|ledger| all.merge(ledger));
        for (bits, _) in all.iter() {
            let mark = Mark::unpack(bits);
            seen.add(mark.distance, 0, mark.edge.into());
        }
        let saturated = self.params.saturated;
        let walk = Walk { case: &case, seen: &seen, hashes: &Xor, need: 1, saturated };
        let paths = walk.paths()?.paths;
        if paths.is_empty() {
            let want = whole(self.params.p.recip().ceil());
            return Err(Gap::TooFew { have: all.packets(), want });
        }
        Ok(Step::Done(ases::finding(paths)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Finding;
    use crate::schemes::ases::tests::case;

    /// What arrives of a packet that passes two routers of each AS, which draw in turn.
    fn send(ases: &[u32], draws: &[u32], mut mark: Mark) -> Mark {
        let asem = Asem::new(&Params::default()).unwrap();
        for (i, asn) in ases.iter().enumerate() {
            for second in [0, 1] {
                let (edge, border) = (u8::from(i == 0) & !second, u8::from(i > 0) & !second);
                let hop = Hop { draw: draws[i], edge, border, ..Hop::default() };
                mark = asem.mark(&short(*asn), &hop, &Invariant::NONE, mark).mark;
            }
        }
        mark
    }

    fn trace(ases: &[u32], marks: &[Mark]) -> Result<Step, Gap> {
        let mut evidence = Evidence::default();
        let ledger: &mut Marks = evidence.ledgers.entry(RouterId(1)).or_default();
        marks.iter().for_each(|mark| ledger.add(mark.pack(), 100));
        Asem::new(&Params::default()).unwrap().reconstruct(&case(ases), &evidence)
    }

    #[test]
    fn layout_leaves_ecn_and_the_flag_alone() {
        for bits in [0, 1, 0x01ff_ffff, 0x0123_4567, 31 << 20, 15 << 16] {
            assert_eq!(Mark::unpack(bits).pack(), bits);
        }
        let sent = Mark { distance: 7, spared: 0xb, edge: 99 };
        assert_eq!(send(&[7], &[0], sent), Mark { distance: 0, spared: 0xb, edge: 7 });
    }

    #[test]
    fn the_first_system_always_marks_and_each_marks_once() {
        let forged = Mark { distance: 0, spared: 0, edge: 4711 };
        let none = u32::MAX;
        let arrived = |draws: &[u32]| send(&[7, 5, 9], draws, forged);
        assert_eq!(arrived(&[none; 3]), Mark { distance: 2, spared: 0, edge: 7 ^ 5 });
        assert_eq!(arrived(&[none, 0, none]), Mark { distance: 1, spared: 0, edge: 5 ^ 9 });
        assert_eq!(arrived(&[none, none, 0]), Mark { distance: 0, spared: 0, edge: 9 });
    }

    #[test]
    fn one_edge_of_each_distance_is_a_path_and_none_is_a_gap() {
        let ases = [7, 5, 70_000, 9];
        let marks: Vec<Mark> = (0..4)
            .map(|writer| {
                let draws = [0, 1, 2, 3].map(|i| if i == writer { 0 } else { u32::MAX });
                send(&ases, &draws, Mark::unpack(0))
            })
            .collect();
        let paths = [ases.to_vec()].into();
        assert_eq!(trace(&ases, &marks), Ok(Step::Done(Finding::AsPaths { paths })));
        assert!(matches!(trace(&ases, &[]), Err(Gap::TooFew { have: 0, want: 5 })));
        // An edge that the map does not have.
        let wrong = [Mark { distance: 0, spared: 0, edge: 8 }];
        assert!(matches!(trace(&ases, &wrong), Err(Gap::TooFew { have: 1, .. })));
    }
}
