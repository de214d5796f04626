//! IOAM direct export: packets carry a flow and a number, routers report them, nothing is written.
//!
//! Idea: a postcard for each packet and node. The packet asks for it with an option of constant length, so a
//! path of any length fits, and what the nodes said is joined with what the victim got by flow and sequence
//! number. Exact where SPIE is probable, and as large as that sounds.
//!
//! Source: RFC 9326 sections 3 and 4. IPv6 only; IPv4 packets are counted as ones without the slot.
//!
//! ```text
//! export of a node: flow (32) | sequence (32) -> hop limit as the packet leaves (8)   crate::ioam draws the option
//! ```
//! Departs: an exporting node pushes to a collector; here exports wait at the node and are asked for, as every
//! log of this testbed, so that no record crosses a border unasked. Of the data that a trace type can ask for,
//! nodes give hop limit and identity (their answer's own). A table that is full exports no more and counts
//! what it could not hold. The flow's number is the sender's word: who repeats another's hides behind it, since
//! the first export of a pair stays.
//!
//! Cost: an entry of a table for each packet.

use super::inquiry;
use crate::case::{Answer, Case, Evidence, Gap, Query, Sample, Step};
use crate::invariant::Invariant;
use crate::ioam;
use crate::ledger::{BadBytes, Ledger, Reader, put_varint};
use crate::packet::Packet;
use crate::scheme::{BadParams, Card, Hop, Keeper, Marked, Names, Place, Scheme};
use crate::shelf::Shelf;
use crate::slot::Slot;
use crate::table::MOST_ENTRIES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Direct export at work.
#[derive(Debug, Clone, Copy)]
pub struct Dex {
    entries: u32,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Exports that wait at one router; more are counted as lost.
    pub entries: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self { entries: MOST_ENTRIES }
    }
}

/// What one router exports: hop limits by flow and sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exports {
    hop_limits: Shelf<u64, u8>,
    lost: u64,
}

impl Exports {
    /// The first export under a key stays.
    fn add(&mut self, key: u64, hop_limit: u8, capacity: u32) {
        if self.hop_limits.value(key).is_some() {
            return;
        }
        if self.hop_limits.len() < capacity as usize {
            self.hop_limits.insert(key, hop_limit);
        } else {
            self.lost += 1;
        }
    }
}

impl Ledger for Exports {
    fn merge(&mut self, other: &Self) {
        for (key, limit) in other.hop_limits.iter() {
            let most = self.hop_limits.value(key).map_or(limit, |mine| mine.max(limit));
            self.hop_limits.insert(key, most);
        }
        self.lost = self.lost.saturating_add(other.lost);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.lost);
        put_varint(out, self.hop_limits.len() as u64);
        for (key, limit) in self.hop_limits.iter() {
            out.extend(key.to_le_bytes());
            out.push(limit);
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        let mut read = Reader(bytes);
        let mut exports = Self { lost: read.varint()?, ..Self::default() };
        for _ in 0..read.varint()? {
            let (key, limit) = (read.u64()?, read.u8()?);
            if exports.hop_limits.last_key().is_some_and(|last| last >= key) {
                return Err(BadBytes);
            }
            exports.hop_limits.insert(key, limit);
        }
        read.end()?;
        Ok(exports)
    }

    fn footprint(&self) -> usize {
        self.hop_limits.len() * size_of::<(u64, u8)>()
    }

    fn lost(&self) -> u64 {
        self.lost
    }

    fn adopt(&mut self, entries: &mut dyn Iterator<Item = (u64, u32)>) {
        let limit = |value: u32| u8::try_from(value & 0xff).unwrap_or(0);
        self.hop_limits = Shelf::default();
        for (key, value) in entries {
            self.hop_limits.insert(key, limit(value));
        }
    }

    fn answer(&self, query: &Query) -> Answer {
        let limit = |key: &u64| self.hop_limits.value(*key).map(u64::from);
        Answer { values: query.keys.iter().map(limit).collect() }
    }
}

impl Scheme for Dex {
    const CARD: Card = Card {
        id: "dex",
        title: "IOAM direct export (IPv6)",
        paper: "RFC 9326",
        v4: Slot::IoamExport,
        v6: Slot::IoamExport,
        records: false,
        keeper: Keeper::Routers,
        names: Names::Paths,
        needs_map: true,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "needs an option that the sender adds, IPv6 only; hop-by-hop headers take slow paths elsewhere; believes the sender's flow and sequence number",
        state: "an entry for each packet",
    };
    type Params = Params;
    type Local = ();
    type Mark = ();
    type Ledger = Exports;

    fn new(params: &Params) -> Result<Self, BadParams> {
        if (1..=MOST_ENTRIES).contains(&params.entries) {
            return Ok(Self { entries: params.entries });
        }
        let must = "must lie between 1 and 1048576";
        Err(BadParams { key: "entries", must, got: params.entries.to_string() })
    }

    fn local(&self, _: &Place) {}

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![]
    }

    fn entries(&self) -> Option<u32> {
        Some(self.entries)
    }

    #[inline]
    fn mark(&self, (): &(), _: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        ().into()
    }

    fn observe(&self, hop: &Hop, _: &Invariant, (): (), option: &[u8], ledger: &mut Exports) {
        if let Some(packet) = ioam::exported(option) {
            ledger.add(key(packet), hop.ttl.wrapping_sub(1), self.entries);
        }
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Exports>) -> Result<Step, Gap> {
        let keys: BTreeSet<u64> = case.samples.iter().filter_map(sampled).collect();
        inquiry::next(case, &evidence.answers, keys.into_iter().collect())
    }
}

fn key((flow, sequence): (u32, u32)) -> u64 {
    u64::from(flow) << 32 | u64::from(sequence)
}

/// What a packet that the victim kept was exported under.
fn sampled(sample: &Sample) -> Option<u64> {
    let packet = Packet::parse(sample.bytes.as_slice()).ok()?;
    ioam::exported(packet.export_option()).map(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Finding;
    use crate::scheme::{Nanos, RouterId};
    use crate::schemes::rig;

    fn sample(sequence: u32) -> Sample {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 24, 0, 61];
        bytes.extend([0x20; 32]);
        bytes.extend([59, 2, 1, 0]);
        bytes.extend(ioam::export(5, sequence));
        Sample { bytes, at: Nanos(0) }
    }

    fn exports(packets: &[u32], entries: u32) -> Exports {
        let scheme = Dex::new(&Params { entries }).unwrap();
        let mut ledger = Exports::default();
        for sequence in packets {
            let hop = Hop { ttl: 62, ..Hop::default() };
            let option = ioam::export(5, *sequence);
            scheme.observe(&hop, &Invariant::NONE, (), &option, &mut ledger);
        }
        ledger
    }

    /// Asks every router of a fork what it is told to ask.
    fn trace(samples: Vec<Sample>, logs: &[(u32, Exports)]) -> Result<Finding, Gap> {
        let map = rig::map(&[14, 13, 12, 11], &[(0, 2), (1, 2), (2, 3)]);
        let (case, scheme) = (rig::case(map, samples), Dex::new(&Params::default()).unwrap());
        let mut evidence = Evidence::default();
        loop {
            match scheme.reconstruct(&case, &evidence)? {
                Step::Done(finding) => return Ok(finding),
                Step::Ask(questions) => evidence.answers.extend(questions.into_iter().map(|q| {
                    let log = logs.iter().find(|(id, _)| RouterId(*id) == q.0);
                    (q.clone(), log.map(|(_, log)| log.answer(&q.1)))
                })),
            }
        }
    }

    #[test]
    fn exports_and_a_sample_join_to_the_path() {
        let log = |packets: &[u32]| exports(packets, 100);
        let logs = [(11, log(&[1, 2])), (12, log(&[1, 2])), (13, log(&[2])), (14, log(&[1]))];
        let Ok(Finding::Paths(graph)) = trace(vec![sample(1)], &logs) else { panic!() };
        assert_eq!(graph.paths, [vec![RouterId(14), RouterId(12), RouterId(11)]].into());
        // Nobody exported packet 9; without an option there is nothing to ask about.
        assert!(matches!(trace(vec![sample(9)], &logs), Err(Gap::Nothing { .. })));
        let bare = Sample { bytes: vec![0x45; 30], at: Nanos(0) };
        assert!(matches!(trace(vec![bare], &logs), Err(Gap::Nothing { .. })));
    }

    #[test]
    fn a_full_table_keeps_what_it_has_and_counts_the_rest() {
        let full = exports(&[1, 2, 3, 1, 4], 2);
        assert_eq!((full.footprint() / size_of::<(u64, u8)>(), full.lost()), (2, 2));
        let mut bytes = vec![];
        full.encode(&mut bytes);
        assert_eq!(Exports::decode(&bytes), Ok(full));
        assert!(Dex::new(&Params { entries: 0 }).is_err());
    }
}
