//! PINT's decoder: packets are grouped by path, and each group strikes out candidates for its hops.

use super::{Act, Base, Mark, Pint, Seen};
use crate::case::{Case, Gap, Step};
use crate::graph::{AttackGraph, Finding};
use crate::scheme::{Field, RouterId};
use crate::stats::whole;
use std::collections::BTreeMap;

/// Longest path that is decoded.
const MAX_HOPS: u8 = 64;

/// The paths that packets took over a map: grouped by flow and length, or by length alone where no flow is
/// long enough.
pub(super) fn paths(pint: &Pint, case: &Case, seen: Vec<Seen>) -> Result<Step, Gap> {
    let ids: Vec<RouterId> = case.map.routers().iter().map(|r| r.id).collect();
    let about = (case, &ids[..]);
    let mut groups: BTreeMap<(u64, u8), Vec<Seen>> = BTreeMap::new();
    let mut lengths: BTreeMap<u8, Vec<Seen>> = BTreeMap::new();
    for packet in seen {
        groups.entry((packet.flow, packet.hops)).or_default().push(packet);
        lengths.entry(packet.hops).or_default().push(packet);
    }
    let mut tally = Tally::default();
    groups.iter().for_each(|((_, hops), g)| pint.settle(about, *hops, g, &mut tally));
    if tally.paths.is_empty() && tally.mixed == 0 {
        // No flow is long enough by itself, as when each packet has another source.
        lengths.iter().for_each(|(hops, g)| pint.settle(about, *hops, g, &mut tally));
        // Length alone tells paths apart only if it does so for all of them.
        if tally.mixed > 0 {
            return Err(Gap::Mixed { packets: tally.mixed });
        }
    }
    tally.verdict()
}

/// What the groups came to.
#[derive(Debug, Default)]
struct Tally {
    paths: Vec<Vec<RouterId>>,
    mixed: u64,
    open: u64,
    want: u64,
}

impl Tally {
    fn verdict(self) -> Result<Step, Gap> {
        if !self.paths.is_empty() {
            let graph =
                AttackGraph { set_aside: self.mixed, ..AttackGraph::from_paths(self.paths) };
            return Ok(Step::Done(Finding::Paths(graph)));
        }
        if self.mixed > 0 {
            return Err(Gap::Mixed { packets: self.mixed });
        }
        Err(Gap::TooFew { have: self.open, want: self.want })
    }
}

impl Pint {
    /// Decodes one group of packets that should share a path.
    fn settle(
        &self,
        (case, ids): (&Case, &[RouterId]),
        hops: u8,
        group: &[Seen],
        tally: &mut Tally,
    ) {
        if hops == 0 || hops > MAX_HOPS {
            return;
        }
        // Fewer packets than this cannot carry the path's information: hops x log2(candidates) bits.
        let bits = f64::from(hops) * (ids.len() as f64).log2();
        let least = whole((bits / f64::from(Mark::BITS)).ceil());
        let packets = group.len() as u64;
        tally.want = tally.want.max(2 * least);
        if packets < least.max(1) {
            tally.open += packets;
            return;
        }
        let mut decoder = Decoder::new(*self, ids.to_vec(), hops);
        for packet in group {
            decoder.add(packet.digest, Mark(packet.mark.to_be_bytes()));
        }
        match (decoder.contradicted(), decoder.path()) {
            (false, Some(path)) if leads_there(case, &path) => tally.paths.push(path),
            // Few packets, or forged ones, may spell what is no way to the victim.
            (true, _) | (false, Some(_)) => tally.mixed += packets,
            (false, None) => tally.open += packets,
        }
    }
}

/// Whether a path ends at the gateway and follows links of the map; routers of one name are one after the other.
fn leads_there(case: &Case, path: &[RouterId]) -> bool {
    let linked = |a, b| a == b || case.map.neighbours(b).any(|near| near == a);
    path.last() == Some(&case.gateway) && path.windows(2).all(|pair| linked(pair[0], pair[1]))
}

/// Decodes packets of one path, one after the other (pint2020 section 4.2, "decoding").
#[derive(Debug, Clone)]
pub struct Decoder {
    pint: Pint,
    /// Candidates left for each hop, the router nearest the sender first.
    candidates: Vec<Vec<RouterId>>,
    /// Packets of layer 1 that still mix unknown hops: base, digest, hops.
    pending: Vec<(Base, u8, u64)>,
    contradicted: bool,
}

impl Decoder {
    /// A decoder for a path of `hops` routers out of `ids`.
    pub fn new(pint: Pint, ids: Vec<RouterId>, hops: u8) -> Self {
        let candidates = vec![ids; usize::from(hops.min(MAX_HOPS))];
        Self { pint, candidates, pending: vec![], contradicted: false }
    }

    /// Takes one packet's evidence.
    pub fn add(&mut self, digest: u64, mark: Mark) {
        for (instance, mark) in (0..).zip(mark.0) {
            let base = Base::of(digest, instance);
            if self.pint.layer0(base) {
                // The last hop that overwrote is the one that is read; hop 1 always did.
                if let Some(hop) = self.acting(base, Act::Overwrite).last() {
                    self.strike(hop, base, mark);
                }
            } else {
                let hops = self.acting(base, Act::Xor).fold(0, |set, hop| set | 1 << hop);
                self.pending.push((base, mark, hops));
            }
        }
        self.peel();
    }

    /// The path, the router nearest the sender first, once every hop has one candidate left.
    pub fn path(&self) -> Option<Vec<RouterId>> {
        let one = |c: &Vec<RouterId>| if let [one] = c[..] { Some(one) } else { None };
        self.candidates.iter().map(one).collect()
    }

    /// Whether some hop has no candidate left: the packets took more than one path, or lie.
    pub fn contradicted(&self) -> bool {
        self.contradicted
    }

    /// Hops that act so on this packet, by position.
    fn acting(&self, base: Base, act: Act) -> impl Iterator<Item = usize> + '_ {
        let number = |hop: usize| u8::try_from(hop + 1).unwrap_or(u8::MAX);
        (0..self.candidates.len()).filter(move |hop| self.pint.act(base, number(*hop)) == act)
    }

    /// Keeps the candidates for a hop that hash to what was read; says whether that settled it.
    fn strike(&mut self, hop: usize, base: Base, mark: u8) -> bool {
        let candidates = &mut self.candidates[hop];
        let before = candidates.len();
        candidates.retain(|id| base.hash(*id) == mark);
        self.contradicted |= candidates.is_empty();
        before != 1 && candidates.len() == 1
    }

    /// Takes known hops out of mixed packets until nothing more follows.
    fn peel(&mut self) {
        let mut again = true;
        while again && !self.contradicted {
            again = false;
            for (base, mark, hops) in std::mem::take(&mut self.pending) {
                let (mut mark, mut left) = (mark, 0_u64);
                for hop in (0..self.candidates.len()).filter(|hop| hops >> hop & 1 == 1) {
                    match self.candidates[hop][..] {
                        [known] => mark ^= base.hash(known),
                        _ => left |= 1 << hop,
                    }
                }
                match left.count_ones() {
                    0 => self.contradicted |= mark != 0,
                    1 => again |= self.strike(left.trailing_zeros() as usize, base, mark),
                    _ => self.pending.push((base, mark, left)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::{Invariant, mix};
    use crate::scheme::{Hop, Scheme};
    use crate::schemes::pint::Params;

    fn send(pint: &Pint, path: &[RouterId], digest: u64) -> Mark {
        let inv = Invariant { digest, flow: 0 };
        path.iter().zip(0_u8..).fold(Mark([0xa5, 0x5a]), |mark, (me, i)| {
            let hop = Hop { me: *me, ttl: 255 - i, ..Hop::default() };
            pint.mark(me, &hop, &inv, mark).mark
        })
    }

    #[test]
    fn one_path_is_decoded_and_two_contradict() {
        let pint = Pint::new(&Params::default()).unwrap();
        let ids: Vec<_> = (0..753).map(|i| RouterId(0xc613_0001 + i)).collect();
        let (one, two) = (&ids[10..20], &ids[300..310]);
        let mut decoder = Decoder::new(pint, ids.clone(), 10);
        let mut packets = 0;
        while decoder.path().is_none() {
            packets += 1;
            decoder.add(mix(packets), send(&pint, one, mix(packets)));
        }
        assert_eq!(decoder.path().unwrap(), one);
        assert!((6..200).contains(&packets), "{packets} packets");
        assert!(!decoder.contradicted());
        (1000..1020).for_each(|n| decoder.add(mix(n), send(&pint, two, mix(n))));
        assert!(decoder.contradicted());
    }
}
