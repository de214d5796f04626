//! From hashed links back to paths, with a map: from the gateway outwards, one distance at a time.
//!
//! Advanced marking I and II, and fragment marking where a map is at hand, ask the same question: do the
//! marks at this distance hold what the link between these two routers of the map would have left there?
//! The work is linear in the map's links around routers that were found.
//!
//! A link that is on no path matches by chance with a probability that the number of different marks
//! tells exactly. Once it passes a limit, the distance says nothing ([`Gap::Saturated`]), unless there
//! are more different marks than the map has links to make them: then they are bits that senders chose,
//! what lies nearer stands, and the rest is counted as set aside.
//!
//! Source: song2001 sections 3 and 4. Departs: the paper starts at routers next to the victim; a case
//! names the one that delivers to it.

use crate::case::{Case, Gap};
use crate::graph::{AttackGraph, Edge};
use crate::scheme::RouterId;
use crate::stats::whole;
use std::collections::HashSet;

/// Paths listed at most; a lawful tree of routers has far fewer.
pub const MAX_PATHS: usize = 10_000;
/// Functions of a link that a mark can hold one of, at most.
pub const FUNCTIONS: usize = 8;
/// Distances of this and more are not used: marks saturate there.
const FAR: u16 = 31;

/// What a link leaves in marks, one value for each function.
pub type Values = [u32; FUNCTIONS];

/// The value of a scheme that has one function.
pub(super) fn only(value: u32) -> Values {
    let mut values = [0; FUNCTIONS];
    values[0] = value;
    values
}

/// How routers are hashed into marks.
pub trait Hashes {
    /// What a router writes.
    fn alone(&self, router: RouterId) -> Values;
    /// What it XORs into the mark of the router before it.
    fn under(&self, router: RouterId) -> Values;
}

/// Which values were seen, by distance and function.
#[derive(Debug, Clone)]
pub struct Seen {
    functions: usize,
    bits: u32,
    cells: Vec<Cell>,
}

/// The values of one function at one distance: as bits where there are few, else as a set.
#[derive(Debug, Clone)]
enum Cell {
    Bits(Vec<u64>),
    Set(HashSet<u32>),
}

impl Cell {
    fn new(bits: u32) -> Self {
        if bits <= 16 {
            Self::Bits(vec![0; (1_usize << bits).div_ceil(64)])
        } else {
            Self::Set(HashSet::new())
        }
    }

    fn add(&mut self, value: u32) {
        match self {
            Self::Bits(words) => words[value as usize >> 6] |= 1 << (value & 63),
            Self::Set(set) => _ = set.insert(value),
        }
    }

    fn holds(&self, value: u32) -> bool {
        match self {
            Self::Bits(words) => words[value as usize >> 6] >> (value & 63) & 1 == 1,
            Self::Set(set) => set.contains(&value),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bits(words) => words.iter().map(|w| u64::from(w.count_ones())).sum(),
            Self::Set(set) => set.len() as u64,
        }
    }
}

impl Seen {
    /// Nothing yet, of so many functions (at most [`FUNCTIONS`]) of so many bits (at most 32).
    pub fn new(functions: usize, bits: u32) -> Self {
        let functions = functions.min(FUNCTIONS);
        let cells = (0..usize::from(FAR) * functions).map(|_| Cell::new(bits)).collect();
        Self { functions, bits, cells }
    }

    /// A mark was seen; what lies beyond the last distance is ignored. `value` has no more than the bits
    /// that were said.
    pub fn add(&mut self, distance: u8, function: u8, value: u32) {
        if u16::from(distance) < FAR && usize::from(function) < self.functions {
            let cell = usize::from(distance) * self.functions + usize::from(function);
            self.cells[cell].add(value);
        }
    }

    fn at(&self, distance: u16) -> &[Cell] {
        let start = usize::from(distance) * self.functions;
        &self.cells[start..start + self.functions]
    }

    /// Different values of each function at one distance.
    fn distinct(&self, distance: u16) -> impl Iterator<Item = u64> + '_ {
        self.at(distance).iter().map(Cell::len)
    }

    /// How many functions of a link match at one distance.
    fn matches(&self, distance: u16, alone: &Values, under: &Values) -> usize {
        let links = alone.iter().zip(under).map(|(a, b)| a ^ b);
        self.at(distance).iter().zip(links).filter(|(cell, link)| cell.holds(*link)).count()
    }

    /// Probability that a link on no path matches in at least `need` functions at one distance.
    ///
    /// Source: the law of [`crate::law::filter::false_match`], with the share of each function's values
    /// that were in fact seen.
    pub fn false_match(&self, distance: u16, need: usize) -> f64 {
        let values = f64::from(self.bits).exp2();
        let mut matching = vec![1.0];
        for seen in self.distinct(distance) {
            let q = crate::stats::real(seen) / values;
            let fewer = matching.iter().map(|p| p * (1.0 - q)).chain([0.0]);
            let more = [0.0].into_iter().chain(matching.iter().map(|p| p * q));
            matching = fewer.zip(more).map(|(a, b)| a + b).collect();
        }
        matching.into_iter().skip(need).sum()
    }
}

/// A reconstruction over a map.
#[derive(Debug, Clone, Copy)]
pub struct Walk<'a, H> {
    /// What is asked.
    pub case: &'a Case,
    /// The marks.
    pub seen: &'a Seen,
    /// How marks come about.
    pub hashes: &'a H,
    /// Functions that must match.
    pub need: usize,
    /// False matches per link from which a distance says nothing.
    pub saturated: f64,
}

/// Links found at one distance, as positions in the map of the farther and the nearer router, sorted.
type Found = Vec<(u32, u32)>;

impl<H: Hashes> Walk<'_, H> {
    /// The paths; no edges at all where even the gateway's own marks are missing.
    ///
    /// # Errors
    /// [`Gap::Nothing`] where the map does not know the gateway, [`Gap::Saturated`] where marks at some
    /// distance match almost any router, [`Gap::Budget`] where the case's budget is spent.
    pub fn paths(&self) -> Result<AttackGraph, Gap> {
        let gateway = self.case.gateway;
        let Some(start) = self.case.map.index(gateway) else {
            return Err(Gap::Nothing { what: "a map that shows the gateway".into() });
        };
        let mut edges = vec![];
        // The gateway stands for a link to itself, which no map has.
        let mut found = Found::new();
        if self.seen.matches(0, &self.hashes.alone(gateway), &[0; FUNCTIONS]) >= self.need {
            edges.push(Edge { distance: 0, from: gateway, to: None });
            found.push((start, start));
        }
        let (mut left, mut set_aside) = (self.case.budget.candidates, 0);
        for distance in 1..self.case.budget.hops.min(FAR) {
            if self.seen.distinct(distance).filter(|n| *n > 0).count() < self.need {
                break;
            }
            let candidates = self.candidates(start, &found);
            let rate = self.seen.false_match(distance, self.need);
            if rate > self.saturated {
                if self.seen.distinct(distance).all(|n| n <= candidates) {
                    let false_ppm = u32::try_from(whole(rate * 1e6)).unwrap_or(u32::MAX);
                    return Err(Gap::Saturated { distance, false_ppm, candidates });
                }
                set_aside = candidates;
                break;
            }
            let budget = self.case.budget.candidates;
            let spent = Gap::Budget { budget, distance, census: candidates };
            left = left.checked_sub(candidates).ok_or(spent)?;
            found = self.step(distance, start, &found);
            edges.extend(found.iter().map(|(from, to)| self.edge(distance, *from, *to)));
        }
        let graph = AttackGraph::from_edges(edges.into_iter().collect(), MAX_PATHS);
        Ok(AttackGraph { set_aside, ..graph })
    }

    fn edge(&self, distance: u16, from: u32, to: u32) -> Edge {
        Edge { distance, from: self.id(from), to: Some(self.id(to)) }
    }

    /// Of a position that the map gave.
    fn id(&self, index: u32) -> RouterId {
        self.case.map.routers()[index as usize].id
    }

    /// Links of the map that lead on from routers found.
    fn candidates(&self, start: u32, found: &Found) -> u64 {
        by_router(found).map(|(to, below)| self.beyond(start, to, below).count() as u64).sum()
    }

    /// Neighbours from which a packet can have come: not where it goes to next, and not the gateway at
    /// `start`, which it passes last.
    fn beyond<'b>(
        &'b self,
        start: u32,
        router: u32,
        below: &'b [(u32, u32)],
    ) -> impl Iterator<Item = u32> + 'b {
        let neighbours = self.case.map.linked(router).iter().copied();
        neighbours
            .filter(move |from| *from != start && below.binary_search(&(router, *from)).is_err())
    }

    fn step(&self, distance: u16, start: u32, found: &Found) -> Found {
        let mut next = Found::new();
        for (to, below) in by_router(found) {
            let under = self.hashes.under(self.id(to));
            let matches = |from: &u32| {
                self.seen.matches(distance, &self.hashes.alone(self.id(*from)), &under) >= self.need
            };
            next.extend(self.beyond(start, to, below).filter(matches).map(|from| (from, to)));
        }
        next.sort_unstable();
        next
    }
}

/// Each router found, with the links over which it was.
fn by_router(found: &Found) -> impl Iterator<Item = (u32, &[(u32, u32)])> {
    found.chunk_by(|a, b| a.0 == b.0).map(|links| (links[0].0, links))
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
