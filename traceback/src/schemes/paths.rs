//! A ledger of whole paths, as packets that carry all of theirs tell them: the recorder's and IOAM's.

use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use std::collections::BTreeMap;

/// Distinct paths that an observer holds, where a scenario does not say.
pub const USUAL: usize = 65_536;

/// Packets by what they recorded, in the scheme's own bytes. Bounded: what is new beyond the capacity is
/// counted as lost.
///
/// ```text
/// encoding: lost, number of paths, then for each in rising order: length, bytes, packets
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths {
    packets: BTreeMap<Vec<u8>, u64>,
    lost: u64,
}

impl Paths {
    /// Counts one packet; a new path beyond `capacity` is counted as lost.
    pub fn add(&mut self, path: &[u8], capacity: usize) {
        if let Some(packets) = self.packets.get_mut(path) {
            *packets = packets.saturating_add(1);
        } else if self.packets.len() < capacity {
            self.packets.insert(path.to_vec(), 1);
        } else {
            self.lost += 1;
        }
    }

    /// Paths with their packets, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> + '_ {
        self.packets.iter().map(|(path, packets)| (path.as_slice(), *packets))
    }
}

impl Ledger for Paths {
    fn merge(&mut self, other: &Self) {
        for (path, packets) in &other.packets {
            let count = self.packets.entry(path.clone()).or_default();
            *count = count.saturating_add(*packets);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.packets.len() as u64);
        for (path, packets) in &self.packets {
            put_varint(out, path.len() as u64);
            out.extend(path);
            put_varint(out, *packets);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut paths = Self { lost: read.varint()?, ..Self::default() };
        let mut last = None;
        for _ in 0..read.varint()? {
            let len = usize::try_from(read.varint()?).map_err(|_| BadBytes)?;
            let path = read.take(len)?.to_vec();
            if last.is_some_and(|l| l >= path) {
                return Err(BadBytes);
            }
            paths.packets.insert(path.clone(), read.varint()?);
            last = Some(path);
        }
        read.end()?;
        Ok(paths)
    }

    fn footprint(&self) -> usize {
        self.packets.keys().map(|p| p.len() + size_of::<(Vec<u8>, u64)>()).sum()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}
