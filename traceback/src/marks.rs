//! A ledger that counts marks wider than 16 bits, of which few different ones are seen.
//!
//! [`crate::counts::Counts`] holds every 16-bit mark in a table; a table of wider ones would let an
//! attacker fill memory, so this one keeps a bounded number of marks and counts what found no room.

use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::shelf::Shelf;

/// Packets by mark.
///
/// ```text
/// encoding: lost, number of marks, then for each in rising order: step from the one before, packets
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Marks {
    packets: Shelf<u32, u64>,
    lost: u64,
}

impl Marks {
    /// Counts one packet; a new mark beyond `capacity` is counted as lost.
    pub fn add(&mut self, mark: u32, capacity: usize) {
        if let Some(packets) = self.packets.value_mut(mark) {
            *packets = packets.saturating_add(1);
        } else if self.packets.len() < capacity {
            self.packets.insert(mark, 1);
        } else {
            self.lost += 1;
        }
    }

    /// Marks that were seen, rising, with their packets.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.packets.iter()
    }

    /// Whether a mark was seen.
    pub fn contains(&self, mark: u32) -> bool {
        self.packets.value(mark).is_some()
    }

    /// Packets in all.
    pub fn packets(&self) -> u64 {
        self.iter().fold(0, |sum, (_, n)| sum.saturating_add(n))
    }
}

impl Ledger for Marks {
    fn merge(&mut self, other: &Self) {
        for (mark, packets) in other.iter() {
            let mine = self.packets.value(mark).unwrap_or(0);
            self.packets.insert(mark, mine.saturating_add(packets));
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.packets.len() as u64);
        let mut last = 0;
        for (mark, packets) in self.iter() {
            put_varint(out, (mark - last).into());
            put_varint(out, packets);
            last = mark;
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut marks = Self { lost: read.varint()?, ..Self::default() };
        let mut last = None;
        for _ in 0..read.varint()? {
            let step = u32::try_from(read.varint()?).map_err(|_| BadBytes)?;
            let mark = match last {
                None => step,
                Some(_) if step == 0 => return Err(BadBytes),
                Some(last) => step.checked_add(last).ok_or(BadBytes)?,
            };
            marks.packets.insert(mark, read.varint()?);
            last = Some(mark);
        }
        read.end()?;
        Ok(marks)
    }

    fn footprint(&self) -> usize {
        self.packets.len() * size_of::<(u32, u64)>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_beyond_the_capacity_are_lost_and_known_ones_count_on() {
        let mut marks = Marks::default();
        [7, 1 << 24, 9, 7, 9].iter().for_each(|mark| marks.add(*mark, 2));
        assert_eq!(marks.iter().collect::<Vec<_>>(), [(7, 2), (1 << 24, 1)]);
        assert_eq!((marks.lost(), marks.packets()), (2, 3));
        let mut bytes = vec![];
        marks.encode(&mut bytes);
        assert_eq!(Marks::decode(&bytes), Ok(marks));
    }
}
