//! IOAM pre-allocated trace: every node writes its hop limit and id into room that the source reserved.
//!
//! Idea: in-situ telemetry by the book. One packet gives the whole path, and Linux, switches and analysers
//! write and read the same bytes.
//!
//! Source: RFC 9197 section 4.4 (data), RFC 9486 (IPv6 hop-by-hop option). There is no such option in IPv4, where
//! every packet is counted as one without the slot.
//!
//! ```text
//! node data: hop limit as the packet leaves (8) | position in the map + 1 (24)      crate::ioam draws the option
//! ```
//! Departs: node ids are an operator's choice, and here the map's, so that nobody has to hand out a list. The
//! ledger keeps ids without hop limits. Only trace type 0x800000 in namespace 1 is known. RFC 9197 asks the
//! border of a domain to remove options that strangers bring; routers here do not, as the recorder's do not,
//! and a sender may write nodes of its own before the first.
//!
//! Cost: two words written; no checksum covers them.

use super::verbatim::{self, Params, Verbatim};
use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::ioam::Trace;
use crate::scheme::{BadParams, Card, Field, Hop, Keeper, Marked, Names, Place, RouterId, Scheme};
use crate::slot::Slot;

/// IOAM at work.
#[derive(Debug, Clone, Copy)]
pub struct Ioam {
    max_paths: usize,
}

/// One node's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeData {
    /// Hop limit with which the packet leaves the node.
    pub hop_limit: u8,
    /// The node, in 24 bits.
    pub node: u32,
}

impl Field for NodeData {
    const BITS: u32 = 32;
    fn pack(self) -> u32 {
        u32::from(self.hop_limit) << 24 | self.node & NODE
    }
    fn unpack(bits: u32) -> Self {
        Self { hop_limit: (bits >> 24) as u8, node: bits & NODE }
    }
}

/// A router's node id: never 0, which is room that nobody has written.
pub fn node_id(index: u16) -> u32 {
    u32::from(index) + 1
}

impl Scheme for Ioam {
    const CARD: Card = Card {
        id: "ioam",
        title: "IOAM pre-allocated trace (IPv6)",
        paper: "RFC 9197, section 4.4; RFC 9486",
        v4: Slot::IoamTrace,
        v6: Slot::IoamTrace,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "needs an option that the sender reserved, IPv6 only; hop-by-hop headers take slow paths elsewhere; a sender may forge nodes before the first",
        state: "none; the node id is the router's position in the map, plus one",
    };
    type Params = Params;
    type Local = u32;
    type Mark = NodeData;
    type Ledger = Verbatim;

    fn new(params: &Params) -> Result<Self, BadParams> {
        Ok(Self { max_paths: params.max_paths })
    }

    fn local(&self, place: &Place) -> u32 {
        node_id(place.index)
    }

    fn twin(&self, node: &u32) -> Vec<u64> {
        vec![(*node).into()]
    }

    #[inline]
    fn mark(&self, node: &u32, hop: &Hop, _: &Invariant, _: NodeData) -> Marked<NodeData> {
        NodeData { hop_limit: hop.ttl.wrapping_sub(1), node: *node }.into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, _: NodeData, option: &[u8], ledger: &mut Verbatim) {
        let Some(trace) = Trace::of(option) else { return };
        // An overflow hides who came later: the first byte says so.
        let mut path = vec![u8::from(trace.overflowed)];
        path.extend(trace.in_order().flat_map(|data| data.to_be_bytes().into_iter().skip(1)));
        ledger.add(&path, self.max_paths);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Verbatim>) -> Result<Step, Gap> {
        let path = |told: &[u8]| routers(case, told);
        verbatim::paths(evidence, path, "packets with whole traces by nodes on the map")
    }
}

/// The routers that a trace names, the farthest first; `None` where it is cut off or names a stranger.
fn routers(case: &Case, told: &[u8]) -> Option<Vec<RouterId>> {
    let (0, nodes) = told.split_first()? else { return None };
    let router = |id: &[u8]| {
        let index = u32::from_be_bytes([0, id[0], id[1], id[2]]).checked_sub(1)?;
        Some(case.map.by_index(u16::try_from(index).ok()?)?.id)
    };
    let whole = !nodes.is_empty() && nodes.len().is_multiple_of(3);
    whole.then(|| nodes.chunks_exact(3).map(router).collect()).flatten()
}

/// The bits of a node id.
const NODE: u32 = 0xff_ffff;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Finding;
    use crate::ioam;
    use crate::ledger::Ledger;
    use crate::schemes::rig;
    use std::collections::BTreeSet;

    fn case() -> Case {
        rig::case(rig::line(&[11, 12, 13]), vec![])
    }

    fn scheme() -> Ioam {
        Ioam::new(&Params::default()).unwrap()
    }

    /// A ledger of what options like these arrived as.
    fn ledger(options: &[Vec<u8>]) -> Verbatim {
        let mut ledger = Verbatim::default();
        for option in options {
            let mark = NodeData::unpack(0);
            scheme().observe(&Hop::default(), &Invariant::NONE, mark, option, &mut ledger);
        }
        ledger
    }

    fn option(nodes: &[u32], overflowed: bool) -> Vec<u8> {
        let mut option = ioam::trace(nodes.len());
        let newest_first = nodes.iter().rev().flat_map(|n| (0x3f00_0000 | n).to_be_bytes());
        option.splice(12.., newest_first);
        option[7] = 0;
        option[6] |= u8::from(overflowed) << 2;
        option
    }

    fn reconstruct(options: &[Vec<u8>]) -> Result<Step, Gap> {
        let case = case();
        let evidence =
            Evidence { ledgers: [(case.gateway, ledger(options))].into(), ..Evidence::default() };
        scheme().reconstruct(&case, &evidence)
    }

    #[test]
    fn one_packet_gives_the_path_and_doubtful_ones_are_set_aside() {
        let strange = option(&[4, 1], false);
        let cut = option(&[1, 2], true);
        let found = reconstruct(&[option(&[3, 2, 1], false), strange.clone(), cut.clone()]);
        let Ok(Step::Done(Finding::Paths(graph))) = found else { panic!("{found:?}") };
        let map = case().map;
        let path = [2_u16, 1, 0].map(|i| map.by_index(i).unwrap().id).to_vec();
        assert_eq!((graph.paths, graph.set_aside), (BTreeSet::from([path]), 2));
        assert!(matches!(reconstruct(&[strange, cut]), Err(Gap::Nothing { .. })));
        assert!(matches!(reconstruct(&[ioam::trace(3)]), Err(Gap::Nothing { .. })));
    }

    #[test]
    fn the_hop_limit_is_that_of_the_leaving_packet() {
        let place = Place { id: RouterId(1), index: 0x0102, degree: 2, asn: 0 };
        let hop = Hop { ttl: 64, ..Hop::default() };
        let local = scheme().local(&place);
        let written = scheme().mark(&local, &hop, &Invariant::NONE, NodeData::unpack(0)).mark;
        assert_eq!(written.pack(), 0x3f00_0103);
    }

    #[test]
    fn hostile_ledgers_name_nobody() {
        let case = case();
        for told in
            [vec![], vec![0], vec![0, 0, 0], vec![0, 0, 0, 0], vec![0, 1, 0, 0], vec![2, 0, 0, 1]]
        {
            assert_eq!(routers(&case, &told), None, "{told:?}");
        }
        let mut bytes = vec![];
        ledger(&[option(&[1], false)]).encode(&mut bytes);
        assert_eq!(Verbatim::decode(&bytes).unwrap(), ledger(&[option(&[1], false)]));
    }
}
