//! What waits to be sent or acknowledged: a queue without any network.

use super::UplinkStats;
use super::wire::{Envelope, from_agent::Kind};
use std::collections::VecDeque;

/// Largest report; the protocol allows 32 MiB for a whole message.
const MAX_REPORT: usize = (32 << 20) - 1024;
/// Replies and ends of cuts that wait; a collector that asks more gets no answer to the rest.
const NOTES: usize = 4096;

/// Reports in order, and notes (replies, ends of cuts) between them.
#[derive(Debug)]
pub(super) struct Outbox {
    room: usize,
    /// Index and bytes of reports that are not acknowledged.
    reports: VecDeque<(u64, Vec<u8>)>,
    /// Notes, each to be sent when all reports up to this index have been.
    notes: VecDeque<(u64, Kind)>,
    /// Index of the last report, from 1.
    last: u64,
    /// The next index to send on this connection.
    cursor: u64,
    /// What is added to an index to make a sequence number; known from the first Welcome.
    base: Option<u64>,
    epoch: u64,
    closed: bool,
    stats: UplinkStats,
}

impl Outbox {
    pub(super) fn new(room: usize, epoch: u64) -> Self {
        Self {
            room,
            reports: VecDeque::new(),
            notes: VecDeque::new(),
            last: 0,
            cursor: 1,
            base: None,
            epoch,
            closed: false,
            stats: UplinkStats::default(),
        }
    }

    /// Takes a report in; false where it has to be given up.
    pub(super) fn report(&mut self, bytes: Vec<u8>) -> bool {
        self.last += 1;
        self.stats.reports += 1;
        let waiting = self.waiting_bytes() + bytes.len();
        // One report always finds room, however large: else it never would.
        let full = waiting > self.room && !self.reports.is_empty();
        if self.closed || full || bytes.len() > MAX_REPORT {
            self.stats.given_up += 1;
            return false;
        }
        self.reports.push_back((self.last, bytes));
        true
    }

    pub(super) fn note(&mut self, kind: Kind) {
        if !self.closed && self.notes.len() < NOTES {
            self.notes.push_back((self.last, kind));
        }
    }

    /// A connection begins: everything that is not settled will be sent again.
    pub(super) fn welcome(&mut self, through: u64, highest: u64) {
        self.stats.connections += 1;
        self.stats.last_error = None;
        self.base.get_or_insert(highest);
        self.cursor = 1;
        self.ack(through);
    }

    /// Everything up to this sequence number is settled.
    pub(super) fn ack(&mut self, through: u64) {
        let through = through.saturating_sub(self.base.unwrap_or(0));
        while self.reports.front().is_some_and(|(index, _)| *index <= through) {
            self.reports.pop_front();
            self.stats.acked += 1;
        }
    }

    pub(super) fn refused(&mut self) {
        self.stats.refused += 1;
    }

    pub(super) fn failed(&mut self, error: String) {
        self.stats.last_error = Some(error);
    }

    /// Nothing will be sent any more.
    pub(super) fn close(&mut self, why: String) {
        self.closed = true;
        self.stats.given_up += self.reports.len() as u64;
        self.stats.last_error = Some(why);
        self.reports.clear();
        self.notes.clear();
    }

    pub(super) fn has_next(&self) -> bool {
        !self.notes.is_empty()
            || self.reports.back().is_some_and(|(index, _)| *index >= self.cursor)
    }

    /// The next message to send, in order.
    pub(super) fn take_next(&mut self) -> Option<Kind> {
        let base = self.base.unwrap_or(0);
        let at = self.reports.partition_point(|(index, _)| *index < self.cursor);
        let report = self.reports.get(at);
        let note_first = match (self.notes.front(), report) {
            (Some((after, _)), Some((index, _))) => index > after,
            (note, _) => note.is_some(),
        };
        if note_first {
            let (after, mut kind) = self.notes.pop_front()?;
            if let Kind::CutDone(cut) = &mut kind {
                cut.through = base + after;
            }
            return Some(kind);
        }
        let (index, bytes) = report?;
        self.cursor = index + 1;
        self.stats.sent += 1;
        let seq = base + index;
        Some(Kind::Envelope(Envelope { epoch: self.epoch, seq, report: bytes.clone() }))
    }

    /// Whether nothing waits to be sent or acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty() && self.notes.is_empty()
    }

    pub(super) fn stats(&self) -> UplinkStats {
        UplinkStats { waiting_bytes: self.waiting_bytes() as u64, ..self.stats.clone() }
    }

    fn waiting_bytes(&self) -> usize {
        self.reports.iter().map(|(_, bytes)| bytes.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::{CutDone, Reply};
    use super::*;

    fn seqs(outbox: &mut Outbox) -> Vec<String> {
        let name = |kind| match kind {
            Kind::Envelope(e) => e.seq.to_string(),
            Kind::CutDone(c) => format!("cut through {}", c.through),
            Kind::Reply(_) => "reply".into(),
            Kind::Hello(_) => "hello".into(),
        };
        std::iter::from_fn(|| outbox.take_next().map(name)).collect()
    }

    #[test]
    fn keeps_order_and_sends_again_what_is_not_settled() {
        let mut outbox = Outbox::new(100, 1);
        assert!(outbox.report(vec![0; 10]) && outbox.report(vec![0; 10]));
        outbox.note(Kind::CutDone(CutDone { id: 1, through: 0 }));
        assert!(outbox.report(vec![0; 10]));
        outbox.welcome(0, 0);
        assert_eq!(seqs(&mut outbox), ["1", "2", "cut through 2", "3"]);
        outbox.ack(1);
        outbox.welcome(1, 1);
        assert_eq!(seqs(&mut outbox), ["2", "3"]);
        outbox.ack(3);
        assert!(outbox.is_empty());
        assert_eq!((outbox.stats().acked, outbox.stats().sent), (3, 5));
    }

    #[test]
    fn a_report_without_room_leaves_a_hole_in_the_numbers() {
        let mut outbox = Outbox::new(25, 1);
        assert!(outbox.report(vec![0; 20]));
        assert!(!outbox.report(vec![0; 20]));
        outbox.welcome(0, 0);
        assert_eq!(seqs(&mut outbox), ["1"]);
        outbox.ack(1);
        assert!(outbox.report(vec![0; 90]), "an empty outbox takes any size");
        outbox.note(Kind::Reply(Reply::default()));
        assert_eq!(seqs(&mut outbox), ["3", "reply"]);
        assert_eq!(outbox.stats().given_up, 1);
    }

    #[test]
    fn a_fresh_outbox_goes_on_behind_what_is_settled() {
        let mut outbox = Outbox::new(25, 1);
        assert!(outbox.report(vec![0; 5]));
        outbox.welcome(7, 9);
        assert_eq!(seqs(&mut outbox), ["10"]);
        outbox.ack(9);
        assert!(!outbox.is_empty());
        outbox.ack(10);
        assert!(outbox.is_empty());
    }
}
