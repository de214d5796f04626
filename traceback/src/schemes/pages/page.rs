//! One page of a log: a Bloom filter.

use crate::invariant::mix2;
use crate::scheme::Nanos;

/// One Bloom filter and when it was filled.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Page {
    pub(super) window: (Nanos, Nanos),
    pub(super) salt: u64,
    pub(super) hashes: u32,
    pub(super) inserted: u64,
    pub(super) bits: u64,
    pub(super) words: Vec<u64>,
}

impl Page {
    /// An empty page of `bits` bits.
    pub fn new(bits: u64, hashes: u32, salt: u64, at: Nanos) -> Self {
        let words = usize::try_from(bits.div_ceil(64)).unwrap_or(usize::MAX);
        Self { window: (at, at), salt, hashes, inserted: 0, bits, words: vec![0; words] }
    }

    /// Remembers a digest.
    pub fn insert(&mut self, digest: u64) {
        cells(self.bits, self.hashes, self.salt, digest).for_each(|cell| self.set(cell));
        self.inserted += 1;
    }

    /// Whether the digest may have been remembered; never wrong when it says no.
    pub fn contains(&self, digest: u64) -> bool {
        self.contains_with(digest, &[])
    }

    /// The same for a page where some more cells are to be set.
    pub(super) fn contains_with(&self, digest: u64, late: &[u32]) -> bool {
        let is_set = |cell: u32| self.words[cell as usize >> 6] & 1 << (cell & 63) != 0;
        let mut cells = cells(self.bits, self.hashes, self.salt, digest);
        cells.all(|cell| is_set(cell) || late.contains(&cell))
    }

    pub(super) fn set(&mut self, cell: u32) {
        self.words[cell as usize >> 6] |= 1 << (cell & 63);
    }
}

/// Bits of a page that a digest sets, by double hashing: Kirsch and Mitzenmacher, ESA 2006.
#[inline]
pub(super) fn cells(bits: u64, hashes: u32, salt: u64, digest: u64) -> impl Iterator<Item = u32> {
    let both = mix2(digest, salt);
    let (first, step) = (both >> 32, both | 1);
    let walk = (0..u64::from(hashes)).map(move |i| first.wrapping_add(step.wrapping_mul(i)));
    // Uniform over 0..bits without a division; 32 bits of hash suffice for as many cells.
    walk.map(move |hash| (((hash & 0xffff_ffff) * bits) >> 32) as u32)
}
