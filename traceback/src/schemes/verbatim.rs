//! A ledger of what packets say, word for word: paths in reserved room, routers' messages.

use crate::case::{Evidence, Gap, Step};
use crate::graph::{AttackGraph, Finding};
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::scheme::RouterId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Different sayings that an observer holds, where a scenario does not say.
pub const USUAL: usize = 65_536;

/// What a scenario may set for schemes whose packets list their path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Distinct paths that the ledger holds; more are counted as lost.
    pub max_paths: usize,
}

impl Default for Params {
    fn default() -> Self {
        Self { max_paths: USUAL }
    }
}

/// Paths as packets list them; packets of which `read` makes none are set aside.
///
/// # Errors
/// [`Gap::Nothing`], with what is missing, where no packet lists a path.
pub(super) fn paths(
    evidence: &Evidence<Verbatim>,
    read: impl Fn(&[u8]) -> Option<Vec<RouterId>>,
    what: &str,
) -> Result<Step, Gap> {
    let mut set_aside = 0;
    let mut paths = vec![];
    for (said, packets) in evidence.ledgers.values().flat_map(Verbatim::iter) {
        match read(said) {
            Some(path) => paths.push(path),
            None => set_aside += packets,
        }
    }
    if paths.is_empty() {
        return Err(Gap::Nothing { what: what.into() });
    }
    let graph = AttackGraph { set_aside, ..AttackGraph::from_paths(paths) };
    Ok(Step::Done(Finding::Paths(graph)))
}

/// Packets by what they said, in the scheme's own bytes. Bounded: what is new beyond the capacity is
/// counted as lost.
///
/// ```text
/// encoding: lost, number of sayings, then for each in rising order: length, bytes, packets
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verbatim {
    packets: BTreeMap<Vec<u8>, u64>,
    lost: u64,
}

impl Verbatim {
    /// Counts one packet; a new saying beyond `capacity` is counted as lost.
    pub fn add(&mut self, said: &[u8], capacity: usize) {
        if let Some(packets) = self.packets.get_mut(said) {
            *packets = packets.saturating_add(1);
        } else if self.packets.len() < capacity {
            self.packets.insert(said.to_vec(), 1);
        } else {
            self.lost += 1;
        }
    }

    /// Sayings with their packets, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> + '_ {
        self.packets.iter().map(|(said, packets)| (said.as_slice(), *packets))
    }
}

impl Ledger for Verbatim {
    fn merge(&mut self, other: &Self) {
        for (said, packets) in &other.packets {
            let count = self.packets.entry(said.clone()).or_default();
            *count = count.saturating_add(*packets);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.packets.len() as u64);
        for (said, packets) in &self.packets {
            put_varint(out, said.len() as u64);
            out.extend(said);
            put_varint(out, *packets);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut all = Self { lost: read.varint()?, ..Self::default() };
        let mut last = None;
        for _ in 0..read.varint()? {
            let len = usize::try_from(read.varint()?).map_err(|_| BadBytes)?;
            let said = read.take(len)?.to_vec();
            if last.is_some_and(|l| l >= said) {
                return Err(BadBytes);
            }
            all.packets.insert(said.clone(), read.varint()?);
            last = Some(said);
        }
        read.end()?;
        Ok(all)
    }

    fn footprint(&self) -> usize {
        self.packets.keys().map(|said| said.len() + size_of::<(Vec<u8>, u64)>()).sum()
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}
