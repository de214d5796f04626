//! Addresses in segments that a digest of the whole address holds together: what hash-based DPM and
//! FDPM share.
//!
//! ```text
//! | digest (d) | index (s) | segment (a) |      k = 2^s = 32 / a segments of a bits, digest of all 32
//! ```
//! All marks of one address carry the same digest, so the victim sorts marks by digest into areas,
//! puts one segment of each index together in every way, and keeps the addresses whose digest is
//! that of their area. With several digest functions an address has marks in as many areas; ours
//! builds candidates in the first one's area only, and then looks the marks of the others up, which
//! gives the same addresses for a fraction of the work.
//!
//! Source: Belenky, Ansari, PACRIM 2003 (belenky2003a). Departs: the digests are the upper bits of
//! [`mix2`]. The paper's victim hashes every permutation; so does ours, within the case's budget.

use crate::case::{Budget, Gap};
use crate::invariant::mix2;
use crate::marks::Marks;
use crate::scheme::{BadParams, RouterId};
use std::collections::BTreeSet;

/// Digest functions at most.
pub const MOST_FUNCTIONS: u32 = 8;
/// Different marks of one router at most: as many segments as an address has bits, by each function.
pub const MOST_MARKS: usize = 32 * MOST_FUNCTIONS as usize;
/// Bits of an address.
const ADDRESS: u32 = 32;

/// How a mark is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bits of a segment, a.
    pub a: u32,
    /// Bits of its index, s.
    pub s: u32,
    /// Bits of the digest, d.
    pub d: u32,
    /// Digest functions, f.
    pub f: u32,
}

impl Layout {
    /// A mark of `bits` bits that carries `a` bits of address; `f` functions digest it.
    ///
    /// # Errors
    /// [`BadParams`] for other widths than 1, 2, 4 and 8, or no or too many functions.
    pub fn new(bits: u32, a: u32, f: u32) -> Result<Self, BadParams> {
        if !matches!(a, 1 | 2 | 4 | 8) {
            return Err(BadParams { key: "a", must: "must be 1, 2, 4 or 8", got: a.to_string() });
        }
        if f == 0 || f > MOST_FUNCTIONS {
            return Err(BadParams { key: "f", must: "must be 1 to 8", got: f.to_string() });
        }
        let s = (ADDRESS / a).trailing_zeros();
        match bits.checked_sub(a + s) {
            Some(d @ 1..) => Ok(Self { a, s, d, f }),
            Some(0) | None => {
                let must = "must leave at least one bit for the digest";
                Err(BadParams { key: "a", must, got: a.to_string() })
            }
        }
    }

    /// Segments of an address, k.
    pub fn segments(&self) -> u32 {
        1 << self.s
    }

    /// Different marks of one router, f k.
    pub fn marks(&self) -> u32 {
        self.f << self.s
    }

    /// One of the marks of an address.
    pub fn mark(&self, address: u32, function: u32, index: u32) -> u32 {
        let segment = address >> (self.a * index) & ((1 << self.a) - 1);
        (self.digest(address, function) << self.s | index) << self.a | segment
    }

    /// All marks of one router, by function and then by index.
    pub fn all(&self, address: u32) -> impl Iterator<Item = u32> + use<> {
        let layout = *self;
        (0..self.f).flat_map(move |function| {
            (0..layout.segments()).map(move |index| layout.mark(address, function, index))
        })
    }

    /// The mark that a draw chooses, every mark being equally likely.
    pub fn drawn(&self, address: u32, draw: u32) -> u32 {
        let function = ((draw >> 16) * self.f) >> 16;
        self.mark(address, function, draw & (self.segments() - 1))
    }

    /// A digest of a whole address.
    fn digest(&self, address: u32, function: u32) -> u32 {
        (mix2(address.into(), function.into()) >> 32) as u32 >> (32 - self.d)
    }

    /// Addresses all of whose marks were seen.
    ///
    /// # Errors
    /// [`Gap::Budget`] before anything is tried, where areas make more combinations than it allows.
    pub fn addresses(&self, seen: &Marks, budget: &Budget) -> Result<BTreeSet<RouterId>, Gap> {
        let areas = self.areas(seen);
        let census = areas.iter().map(Area::combinations).fold(0, u64::saturating_add);
        if census > budget.candidates {
            return Err(Gap::Budget { budget: budget.candidates, distance: 0, census });
        }
        let mut found = BTreeSet::new();
        for area in &areas {
            area.combine(self.a, &mut |address| {
                if self.digest(address, 0) == area.digest && self.rest_seen(address, seen) {
                    found.insert(RouterId(address));
                }
            });
        }
        Ok(found)
    }

    /// Whether all marks of the functions after the first were seen.
    fn rest_seen(&self, address: u32, seen: &Marks) -> bool {
        let all = |function| {
            (0..self.segments()).all(|index| seen.contains(self.mark(address, function, index)))
        };
        (1..self.f).all(all)
    }

    /// Segments by index of every digest that was seen.
    fn areas(&self, seen: &Marks) -> Vec<Area> {
        let mut areas: Vec<Area> = vec![];
        for (mark, _) in seen.iter() {
            let (segment, index) = (mark & ((1 << self.a) - 1), mark >> self.a);
            let (index, digest) = (index & (self.segments() - 1), index >> self.s);
            if areas.last().is_none_or(|area| area.digest != digest) {
                areas.push(Area { digest, values: vec![vec![]; self.segments() as usize] });
            }
            if let Some(area) = areas.last_mut() {
                area.values[index as usize].push(segment);
            }
        }
        areas
    }
}

/// What was seen under one digest.
struct Area {
    digest: u32,
    values: Vec<Vec<u32>>,
}

impl Area {
    fn combinations(&self) -> u64 {
        self.values.iter().map(|v| v.len() as u64).fold(1, u64::saturating_mul)
    }

    /// Calls `each` with every address that takes one segment of each index.
    fn combine(&self, a: u32, each: &mut impl FnMut(u32)) {
        if self.values.iter().any(Vec::is_empty) {
            return;
        }
        let mut at = vec![0; self.values.len()];
        loop {
            let parts = at.iter().zip(&self.values).map(|(i, values)| values[*i]);
            each(parts.rev().fold(0, |address, segment| address << a | segment));
            let next = (0..at.len()).find(|&i| at[i] + 1 < self.values[i].len());
            let Some(i) = next else { return };
            at[i] += 1;
            at[..i].fill(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(layout: &Layout, addresses: &[u32]) -> Marks {
        let mut marks = Marks::default();
        for address in addresses {
            for function in 0..layout.f {
                for index in 0..layout.segments() {
                    marks.add(layout.mark(*address, function, index), usize::MAX);
                }
            }
        }
        marks
    }

    #[test]
    fn triples_of_the_paper() {
        for (a, s, d) in [(4, 3, 10), (2, 4, 11), (1, 5, 11)] {
            assert_eq!(Layout::new(17, a, 1), Ok(Layout { a, s, d, f: 1 }));
        }
        for (bits, a, f) in [(17, 3, 1), (17, 4, 0), (17, 4, 9), (7, 4, 1)] {
            assert!(Layout::new(bits, a, f).is_err(), "{bits} {a} {f}");
        }
    }

    #[test]
    fn addresses_come_back_and_one_mark_less_hides_them() {
        for (a, f) in [(1, 1), (2, 3), (4, 1), (4, 4), (8, 2)] {
            let layout = Layout::new(17, a, f).unwrap();
            let addresses = [0xc613_0001, 0x0aff_1234, 0];
            let all = seen(&layout, &addresses);
            let found = layout.addresses(&all, &Budget::default()).unwrap();
            assert!(addresses.iter().all(|address| found.contains(&RouterId(*address))));
            let mut less = Marks::default();
            let missing = layout.mark(addresses[0], f - 1, 0);
            all.iter().filter(|(m, _)| *m != missing).for_each(|(m, _)| less.add(m, usize::MAX));
            let found = layout.addresses(&less, &Budget::default()).unwrap();
            assert!(!found.contains(&RouterId(addresses[0])), "{a} {f}");
        }
    }

    #[test]
    fn every_mark_is_drawn_alike() {
        let layout = Layout::new(17, 8, 3).unwrap();
        let mut marks = Marks::default();
        (0..12_000_u64).for_each(|n| {
            marks.add(layout.drawn(0xc613_0001, (mix2(n, 0) >> 32) as u32), usize::MAX);
        });
        assert_eq!(marks.iter().count(), 12);
        // 1,000 each, with a standard deviation of 30.
        assert!(marks.iter().all(|(_, n)| (850..1_150).contains(&n)));
    }

    #[test]
    fn all_marks_at_once_are_a_gap_with_their_census() {
        let layout = Layout::new(17, 4, 1).unwrap();
        let mut marks = Marks::default();
        (0..1 << 17).for_each(|mark| marks.add(mark, usize::MAX));
        let gap = layout.addresses(&marks, &Budget::default());
        assert_eq!(gap, Err(Gap::Budget { budget: 50_000_000, distance: 0, census: 1 << 42 }));
    }
}
