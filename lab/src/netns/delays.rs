//! How long packets were on their way, from one call to another: the sender's, just before it sends, to
//! the victim's, just after it has received.
//!
//! Senders write down when each packet left, the victim's sink when it came; both ask the same host's
//! clock. The times of waking up at both ends are contained, and are the same for every scheme: what a
//! scheme adds is the difference to the control's row. Turns follow one another, so a difference below
//! the host's own unrest between turns means nothing; the benchmark `e2e_latency` alternates packet by
//! packet and gives an interval.

use crate::plan::Plan;
use crate::tape::Tape;
use crate::traffic::{self, Tag};
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use traceback::Nanos;
use traceback::packet::Packet;

/// Bytes of one departure: flow, number, time.
const RECORD: usize = 4 + 8 + 8;

/// Departures of one sender, as it writes them down.
#[derive(Debug, Default)]
pub(super) struct Departures(Vec<u8>);

impl Departures {
    /// A packet leaves, this long after the plan's zero.
    pub(super) fn add(&mut self, tag: Tag, at: Nanos) {
        self.0.extend(tag.flow.to_le_bytes());
        self.0.extend(tag.seq.to_le_bytes());
        self.0.extend(at.0.to_le_bytes());
    }

    /// Leaves them to the lab.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn keep(&self, path: &Path) -> Result<()> {
        fs::write(path, &self.0)
            .with_context(|| format!("cannot write departures to {}", path.display()))
    }
}

/// When packets left, by flow and number.
#[derive(Debug, Default)]
pub(crate) struct Left(HashMap<(u32, u64), Nanos>);

impl Left {
    /// Adds what one sender wrote.
    ///
    /// # Errors
    /// When the file cannot be read or was cut short.
    pub(super) fn read(&mut self, path: &Path) -> Result<()> {
        let bytes = fs::read(path)
            .with_context(|| format!("cannot read departures from {}", path.display()))?;
        ensure!(bytes.len().is_multiple_of(RECORD), "{} was cut short", path.display());
        self.0.extend(bytes.chunks_exact(RECORD).filter_map(|record| {
            let (flow, rest) = record.split_first_chunk()?;
            let (seq, at) = rest.split_first_chunk()?;
            let at = Nanos(u64::from_le_bytes(at.try_into().ok()?));
            Some(((u32::from_le_bytes(*flow), u64::from_le_bytes(*seq)), at))
        }));
        Ok(())
    }

    /// Times on the way of what arrived; the plan's zero lay `zero` after that of the arrivals' clock.
    pub(super) fn delays(&self, plan: &Plan, tape: &Tape, zero: Nanos) -> Result<Histogram<u64>> {
        let mut delays = Histogram::new(3)?;
        let mut player = tape.play();
        while let Some((at, bytes)) = player.next() {
            let packet = Packet::parse(bytes).ok();
            let tag = packet.and_then(|p| traffic::tag(plan.key.0, &p));
            let left = tag.and_then(|tag| self.0.get(&(tag.flow, tag.seq)));
            if let Some(left) = left {
                delays.record(at.0.saturating_sub(zero.0 + left.0).max(1))?;
            }
        }
        Ok(delays)
    }
}
