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
//! ```text
//! page: m bits; a digest sets k bits at  h1 + i * h2  (i = 0..k), scaled to m;  h1, h2 by page salt
//! ```
//! Departs: the digest is [`crate::invariant`]'s, which leaves out the Identification because marking
//! schemes write there. A page closes when it holds `bits / 12` packets (the paper's example of 12
//! bits a packet and 8 hashes) or its epoch ends. Transformed packets (the paper's TLT) are not traced.
//!
//! Cost: one hash of 40 bytes and k memory writes for each packet.

use crate::case::{Answer, Case, Evidence, Gap, Query, Step, Window};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::invariant::{Invariant, mix2};
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{
    BadParams, Card, Hop, Keeper, LogPage, LogShape, Marked, Names, Nanos, Place, RouterId, Scheme,
};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Paths listed at most for one packet; with sound pages there is one.
const MAX_PATHS: usize = 1_000;
/// Bits of a page at most.
const MAX_BITS: u64 = 1 << 32;
/// Cells of one packet at most.
const MAX_HASHES: u64 = 64;

/// SPIE at work.
#[derive(Debug, Clone, Copy)]
pub struct Spie {
    params: Params,
}

/// What a scenario may set; `ashiato plan` sizes `bits` and `hashes` where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Bits of a page, m.
    pub bits: u64,
    /// Bits set for each packet, k.
    pub hashes: u32,
    /// Packets after which a page closes, n.
    pub packets: u64,
    /// Longest life of an open page, in milliseconds.
    pub epoch_ms: u64,
    /// Pages kept; the oldest goes first.
    pub pages: usize,
}

impl Default for Params {
    /// 12 bits a packet, 8 hashes, one minute. Source: snoeren2001 section 5.1.
    fn default() -> Self {
        Self { bits: 12 << 17, hashes: 8, packets: 1 << 17, epoch_ms: 60_000, pages: 8 }
    }
}

/// One Bloom filter and when it was filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    window: (Nanos, Nanos),
    salt: u64,
    hashes: u32,
    inserted: u64,
    bits: u64,
    words: Vec<u64>,
}

impl Page {
    /// An empty page of `bits` bits.
    pub fn new(bits: u64, hashes: u32, salt: u64, at: Nanos) -> Self {
        let words = usize::try_from(bits.div_ceil(64)).unwrap_or(usize::MAX);
        Self { window: (at, at), salt, hashes, inserted: 0, bits, words: vec![0; words] }
    }

    /// Remembers a digest.
    pub fn insert(&mut self, digest: u64) {
        for cell in cells(self.bits, self.hashes, self.salt, digest) {
            self.words[(cell >> 6) as usize] |= 1 << (cell & 63);
        }
        self.inserted += 1;
    }

    /// Whether the digest may have been remembered; never wrong when it says no.
    pub fn contains(&self, digest: u64) -> bool {
        let mut cells = cells(self.bits, self.hashes, self.salt, digest);
        cells.all(|cell| self.words[(cell >> 6) as usize] & 1 << (cell & 63) != 0)
    }
}

/// Bits of a page that a digest sets, by double hashing: Kirsch and Mitzenmacher, ESA 2006.
fn cells(bits: u64, hashes: u32, salt: u64, digest: u64) -> impl Iterator<Item = u64> {
    let both = mix2(digest, salt);
    let (first, step) = (both >> 32, both | 1);
    let walk = (0..u64::from(hashes)).map(move |i| first.wrapping_add(step.wrapping_mul(i)));
    // Uniform over 0..bits without a division; 32 bits of hash suffice for as many cells.
    walk.map(move |hash| ((hash & 0xffff_ffff) * bits) >> 32)
}

/// The pages of one router, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pages {
    pages: Vec<Page>,
}

impl Pages {
    /// Keeps a page, the youngest; the oldest goes where there are too many.
    fn add(&mut self, page: Page, most: usize) {
        if self.pages.len() >= most {
            self.pages.remove(0);
        }
        self.pages.push(page);
    }

    fn log(&mut self, params: &Params, hop: &Hop, digest: u64) {
        let full = self.pages.last().is_none_or(|p| {
            p.inserted >= params.packets
                || hop.at.0.saturating_sub(p.window.0.0) >= params.epoch_ms * 1_000_000
        });
        if full {
            // A hash family of its own for each page and router (snoeren2001 section 4.2).
            let salt = mix2(hop.at.0, u64::from(hop.me.0) << 32 | self.pages.len() as u64);
            self.add(Page::new(params.bits, params.hashes, salt, hop.at), params.pages);
        }
        let page = self.pages.last_mut().expect("invariant: a page was pushed if there was none");
        page.window.1 = page.window.1.max(hop.at);
        page.insert(digest);
    }
}

impl Ledger for Pages {
    fn merge(&mut self, other: &Self) {
        self.pages.extend(other.pages.iter().cloned());
        self.pages.sort();
        self.pages.dedup();
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.pages.len() as u64);
        for page in &self.pages {
            for n in [page.window.0.0, page.window.1.0, page.salt, page.inserted, page.bits] {
                put_varint(out, n);
            }
            put_varint(out, page.hashes.into());
            page.words.iter().for_each(|w| out.extend(w.to_le_bytes()));
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut pages = vec![];
        for _ in 0..read.varint()? {
            let window = (Nanos(read.varint()?), Nanos(read.varint()?));
            let (salt, inserted, bits) = (read.varint()?, read.varint()?, read.varint()?);
            let hashes = u32::try_from(read.varint()?).map_err(|_| BadBytes)?;
            if bits == 0 || bits > MAX_BITS {
                return Err(BadBytes);
            }
            let len = usize::try_from(bits.div_ceil(64)).map_err(|_| BadBytes)?;
            let words = read.take(len.checked_mul(8).ok_or(BadBytes)?)?;
            let word = |c: &[u8]| u64::from_le_bytes(c.try_into().expect("invariant: 8 bytes"));
            let words = words.chunks_exact(8).map(word).collect();
            pages.push(Page { window, salt, hashes, inserted, bits, words });
        }
        read.end()?;
        if pages.is_sorted() { Ok(Self { pages }) } else { Err(BadBytes) }
    }

    fn footprint(&self) -> usize {
        self.pages.iter().map(|p| p.words.len() * 8).sum()
    }

    fn answer(&self, query: &Query) -> Answer {
        let asked = Window { from: query.from, to: query.to };
        let open = |p: &&Page| asked.meets(&Window { from: p.window.0, to: p.window.1 });
        let seen = |key: &u64| self.pages.iter().filter(open).any(|p| p.contains(*key));
        Answer { values: query.keys.iter().map(|k| seen(k).then_some(1)).collect() }
    }
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
        let (cells, any) = ("must be at least 1 and at most 64", "must be at least 1");
        let bounds = [
            ("bits", params.bits, MAX_BITS, "must be at least 1 and at most 2^32"),
            ("hashes", params.hashes.into(), MAX_HASHES, cells),
            ("packets", params.packets, u64::MAX, any),
            ("epoch_ms", params.epoch_ms, u64::MAX, any),
            ("pages", params.pages as u64, u64::MAX, any),
        ];
        for (key, value, most, must) in bounds {
            if value == 0 || value > most {
                return Err(BadParams { key, must, got: value.to_string() });
            }
        }
        Ok(Self { params: *params })
    }

    fn local(&self, _: &Place) {}

    fn mark(&self, (): &(), _: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        ().into()
    }

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![self.params.bits, self.params.hashes.into()]
    }

    fn log(&self) -> Option<LogShape> {
        let Params { bits, packets, epoch_ms, .. } = self.params;
        Some(LogShape { bits, packets, epoch_ms })
    }

    fn cells(&self, salt: u64, digest: u64) -> Vec<u64> {
        cells(self.params.bits, self.params.hashes, salt, digest).collect()
    }

    fn absorb(&self, page: LogPage<'_>, ledger: &mut Pages) {
        let LogPage { window, salt, inserted, words } = page;
        let Params { bits, hashes, pages, .. } = self.params;
        let page = Page { window, salt, hashes, inserted, bits, words: words.to_vec() };
        match ledger.pages.iter_mut().find(|p| p.salt == salt) {
            Some(known) => *known = page,
            None => ledger.add(page, pages),
        }
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, (): (), _: &[u8], ledger: &mut Pages) {
        ledger.log(&self.params, hop, inv.digest);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Pages>) -> Result<Step, Gap> {
        let keys = case.digests();
        if keys.is_empty() {
            return Err(Gap::Nothing { what: "a sampled packet to ask about".into() });
        }
        let query = Query { keys, from: case.window.from, to: case.window.to };
        let ours = evidence.answers.iter().filter(|((_, asked), _)| *asked == query);
        let answers = ours.map(|((router, _), answer)| (*router, answer.as_ref())).collect();
        let mut graph = AttackGraph::default();
        let mut ask = BTreeSet::new();
        for key in 0..query.keys.len() {
            let edges = walk(case, &answers, key, &mut ask);
            graph.join(AttackGraph::from_edges(edges, MAX_PATHS));
        }
        if !ask.is_empty() {
            return Ok(Step::Ask(ask.into_iter().map(|r| (r, query.clone())).collect()));
        }
        if graph.edges.is_empty() {
            return Err(Gap::Nothing { what: "a gateway that saw a sampled packet".into() });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

/// Follows one packet from the gateway outwards as far as answers go, and notes whom to ask next.
///
/// Routes of fewest hops have no shortcuts, so a router that saw the packet lies exactly as far out
/// as the walk reaches it.
fn walk(
    case: &Case,
    answers: &BTreeMap<RouterId, Option<&Answer>>,
    key: usize,
    ask: &mut BTreeSet<RouterId>,
) -> BTreeSet<Edge> {
    let saw = |router: RouterId| {
        let answer = answers.get(&router)?;
        Some(answer.is_some_and(|a| a.values.get(key).is_some_and(Option::is_some)))
    };
    let mut edges = BTreeSet::new();
    let mut placed = BTreeSet::from([case.gateway]);
    let mut front: Vec<(RouterId, Option<RouterId>)> = vec![(case.gateway, None)];
    for distance in 0..case.budget.hops {
        let mut next = vec![];
        for (from, to) in front {
            match saw(from) {
                None => {
                    ask.insert(from);
                }
                Some(false) => {}
                Some(true) => {
                    edges.insert(Edge { distance, from, to });
                    next.extend(case.map.neighbours(from).map(|n| (n, Some(from))));
                }
            }
        }
        next.retain(|(router, _)| !placed.contains(router));
        placed.extend(next.iter().map(|(router, _)| *router));
        front = next;
    }
    edges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::mix;

    #[test]
    fn pages_never_forget_what_they_keep() {
        let spie = Spie::new(&Params { packets: 100, bits: 1200, pages: 3, ..Params::default() });
        let params = spie.unwrap().params;
        let mut pages = Pages::default();
        for digest in 0..300_u64 {
            let hop = Hop { at: Nanos(digest), me: RouterId(1), ..Hop::default() };
            pages.log(&params, &hop, mix(digest));
        }
        let ask = |from, to, n: u64| {
            let query = Query { keys: vec![mix(n)], from: Nanos(from), to: Nanos(to) };
            pages.answer(&query).values[0].is_some()
        };
        assert!((0..300).all(|n| ask(0, 1000, n)));
        // The window leaves out other pages.
        assert!(!ask(250, 1000, 50));
        // The fourth page pushes the first out.
        let mut more = pages.clone();
        more.log(&params, &Hop { at: Nanos(301), ..Hop::default() }, 7);
        assert_eq!(more.pages.len(), 3);
        assert_eq!(more.pages[0].window.0, Nanos(100));
    }
}
