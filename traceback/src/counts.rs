//! A ledger that counts marks: packets by 16-bit mark, whatever the scheme puts into the bits.

use crate::ledger::{BadBytes, Ledger, Reader, put_varint};

const MARKS: usize = 1 << 16;

/// Packets by mark. The table (256 KiB) is made by the first observation, then nothing allocates.
///
/// ```text
/// encoding: number of marks, then for each in rising order: step from the one before, packets - 1
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    table: Vec<u32>,
}

impl Counts {
    /// Counts one packet.
    pub fn add(&mut self, mark: u16) {
        self.add_many(mark, 1);
    }

    fn add_many(&mut self, mark: u16, packets: u32) {
        if self.table.is_empty() {
            self.table = vec![0; MARKS];
        }
        let count = &mut self.table[usize::from(mark)];
        // Saturates: a count this high says "always there", and schemes ask for no more.
        *count = count.saturating_add(packets);
    }

    /// Marks that were seen, rising, with their packets.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u32)> + '_ {
        (0..=u16::MAX).zip(self.table.iter().copied()).filter(|(_, n)| *n > 0)
    }

    /// Packets in all.
    pub fn packets(&self) -> u64 {
        self.table.iter().copied().map(u64::from).sum()
    }
}

impl Ledger for Counts {
    fn merge(&mut self, other: &Self) {
        for (mark, packets) in other.iter() {
            self.add_many(mark, packets);
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.iter().count() as u64);
        let mut last = 0;
        for (mark, packets) in self.iter() {
            put_varint(out, u64::from(mark - last));
            put_varint(out, u64::from(packets - 1));
            last = mark;
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut counts = Self::default();
        let mut last = None;
        for _ in 0..read.varint()? {
            let step = u16::try_from(read.varint()?).map_err(|_| BadBytes)?;
            let mark = match last {
                None => step,
                Some(_) if step == 0 => return Err(BadBytes),
                Some(last) => step.checked_add(last).ok_or(BadBytes)?,
            };
            let packets = u32::try_from(read.varint()?).ok().and_then(|n| n.checked_add(1));
            counts.add_many(mark, packets.ok_or(BadBytes)?);
            last = Some(mark);
        }
        read.end()?;
        Ok(counts)
    }

    fn footprint(&self) -> usize {
        self.table.len() * size_of::<u32>()
    }
}
