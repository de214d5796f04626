//! What the victim keeps until keys are out: marks with their packets' digests and times of arrival.

use super::Mark;
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::{Field, Nanos};
use std::collections::BTreeSet;

/// One packet's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When it arrived, by the victim's clock.
    pub at: Nanos,
    /// What its routers hashed.
    pub digest: u64,
    /// What they left.
    pub mark: Mark,
}

/// Marks in the order of their arrival.
///
/// ```text
/// encoding: lost, number of marks, then for each: nanoseconds since the one before, digest (8), mark (2)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Buffer {
    kept: BTreeSet<(u64, u64, u16)>,
    lost: u64,
}

impl Buffer {
    /// Keeps one mark; beyond `capacity` it is counted as lost.
    pub fn add(&mut self, kept: Kept, capacity: usize) {
        if self.kept.len() < capacity {
            let bits = (kept.mark.pack() & 0xffff) as u16;
            self.kept.insert((kept.at.0, kept.digest, bits));
        } else {
            self.lost += 1;
        }
    }

    /// Marks that were kept.
    pub fn iter(&self) -> impl Iterator<Item = Kept> + '_ {
        self.kept.iter().map(|(at, digest, bits)| Kept {
            at: Nanos(*at),
            digest: *digest,
            mark: Mark::unpack((*bits).into()),
        })
    }

    /// Number of marks.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl Ledger for Buffer {
    fn merge(&mut self, other: &Self) {
        self.kept.extend(&other.kept);
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.kept.len() as u64);
        let mut last = 0;
        for (at, digest, bits) in &self.kept {
            put_varint(out, at - last);
            out.extend(digest.to_le_bytes());
            out.extend(bits.to_le_bytes());
            last = *at;
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut buffer = Self { lost: read.varint()?, ..Self::default() };
        let mut last = 0_u64;
        for _ in 0..read.varint()? {
            last = last.checked_add(read.varint()?).ok_or(BadBytes)?;
            let kept = (last, read.u64()?, read.u16()?);
            // What never is kept, or not in this order, was not written by us.
            let far = Mark::unpack(kept.2.into()).distance >= super::FAR;
            if far || buffer.kept.last().is_some_and(|before| *before >= kept) {
                return Err(BadBytes);
            }
            buffer.kept.insert(kept);
        }
        read.end()?;
        Ok(buffer)
    }

    fn footprint(&self) -> usize {
        self.kept.len() * size_of::<(u64, u64, u16)>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}
