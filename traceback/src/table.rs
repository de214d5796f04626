//! A ledger that is a table: entries that a router's step finds or makes ([`crate::scheme::Marked::need`]).
//!
//! Every key gets an index, 1 and up, that a mark can carry. Questions come in two kinds:
//!
//! ```text
//! key below 2^32:  an index; the answer is the entry's key
//! key from there:  a tag in the upper half; the answer is the lower half of the only key with that tag
//! ```
//! A table that is full makes no entries and counts what it could not hold. Kernel twins keep the same
//! in a map of theirs (`table.h`), which the agent hands over whole.

use crate::case::{Answer, Query};
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::Nanos;
use crate::shelf::Shelf;

/// Entries of a table at most.
pub const MOST_ENTRIES: u32 = 1 << 20;

/// Keys with their indices.
#[derive(Debug, Clone, Default)]
pub struct Table {
    by_key: Shelf<u64, u32>,
    /// The largest index that was ever given.
    last: u32,
    lost: u64,
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        (&self.by_key, self.lost) == (&other.by_key, other.lost)
    }
}

impl Eq for Table {}

impl Table {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    fn insert(&mut self, key: u64, index: u32) {
        self.by_key.insert(key, index);
        self.last = self.last.max(index);
    }

    /// The least key of each index that is asked for. Indices are asked for rarely and many at a time, so one walk
    /// over all entries stands for a second map.
    fn keys_of(&self, mut asked: Vec<u32>) -> Shelf<u32, u64> {
        asked.sort_unstable();
        let mut found = Shelf::default();
        if asked.is_empty() {
            return found;
        }
        for (key, index) in self.by_key.iter() {
            if asked.binary_search(&index).is_ok() && found.value(index).is_none() {
                found.insert(index, key);
            }
        }
        found
    }

    /// The lower half of the only key with a tag.
    fn tagged(&self, asked: u64) -> Option<u64> {
        let low = asked >> 32 << 32;
        let mut tagged = self.by_key.range(low..=low | u64::from(u32::MAX));
        // Of two keys with one tag, nobody can say which is meant.
        let (only, more) = (tagged.next(), tagged.next());
        only.filter(|_| more.is_none()).map(|(key, _)| key & u64::from(u32::MAX))
    }
}

impl Ledger for Table {
    fn merge(&mut self, other: &Self) {
        for (key, index) in other.by_key.iter() {
            let least = self.by_key.value(key).map_or(index, |mine| mine.min(index));
            self.insert(key, least);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.by_key.len() as u64);
        for (key, index) in self.by_key.iter() {
            out.extend(key.to_le_bytes());
            put_varint(out, index.into());
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut table = Self { lost: read.varint()?, ..Self::default() };
        for _ in 0..read.varint()? {
            let key = read.u64()?;
            let index = u32::try_from(read.varint()?).map_err(|_| BadBytes)?;
            if table.by_key.last_key().is_some_and(|last| last >= key) {
                return Err(BadBytes);
            }
            table.insert(key, index);
        }
        read.end()?;
        Ok(table)
    }

    fn footprint(&self) -> usize {
        self.by_key.len() * size_of::<(u64, u32)>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    fn cell(&mut self, key: u64, _: Nanos) -> u32 {
        if let Some(index) = self.by_key.value(key) {
            return index;
        }
        let index = self.last.saturating_add(1);
        if index > MOST_ENTRIES {
            self.lost += 1;
            return 0;
        }
        self.insert(key, index);
        index
    }

    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>) {
        (self.by_key, self.last) = Default::default();
        entries.for_each(|(key, index)| self.insert(key, index));
    }

    fn answer(&self, query: &Query) -> Answer {
        let indices = query.keys.iter().filter_map(|key| u32::try_from(*key).ok()).collect();
        let keys = self.keys_of(indices);
        let value = |asked: &u64| match u32::try_from(*asked) {
            Ok(index) => keys.value(index),
            Err(_) => self.tagged(*asked),
        };
        Answer { values: query.keys.iter().map(value).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(table: &Table, keys: &[u64]) -> Vec<Option<u64>> {
        table.answer(&Query { keys: keys.to_vec(), from: Nanos(0), to: Nanos(0) }).values
    }

    #[test]
    fn entries_are_found_by_index_and_by_tag() {
        let mut table = Table::default();
        let key = 9 << 32 | 77;
        assert_eq!([key, 5, key].map(|k| table.cell(k, Nanos(0))), [1, 2, 1]);
        assert_eq!(ask(&table, &[1, 2, 3, 0, 9 << 32]), [Some(key), Some(5), None, None, Some(77)]);
        // A second entry under the same tag: nobody can say which is meant.
        table.cell(9 << 32 | 78, Nanos(0));
        assert_eq!(ask(&table, &[9 << 32]), [None]);
    }

    #[test]
    fn a_full_table_makes_no_entries_and_says_so() {
        let mut table = Table::default();
        (0..u64::from(MOST_ENTRIES) + 5).for_each(|key| {
            table.cell(key, Nanos(0));
        });
        assert_eq!((table.len(), table.lost()), (MOST_ENTRIES as usize, 5));
        assert_eq!(table.cell(u64::MAX, Nanos(0)), 0);
        assert_eq!(table.cell(3, Nanos(0)), 4);
    }

    #[test]
    fn codec_and_merge() {
        let mut table = Table::default();
        (0..9).for_each(|key| {
            table.cell(key * key, Nanos(0));
        });
        let mut bytes = vec![];
        table.encode(&mut bytes);
        assert_eq!(Table::decode(&bytes), Ok(table.clone()));
        let mut merged = table.clone();
        merged.merge(&table);
        assert_eq!(merged, table);
    }
}
