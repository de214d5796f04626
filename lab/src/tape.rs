//! What reached the victim, packet by packet.
//!
//! The last packets are in memory; what is older goes to a file without a name (in `TMPDIR`), so that a run's memory does not
//! grow with its packets. A record is the time in nanoseconds (8 bytes), the packet's length (4), the packet.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use traceback::Nanos;

/// Bytes of records in memory, from which on they go to the file.
const FULL: usize = 16 << 20;
/// Bytes that are read back at a time.
const PIECE: u64 = 1 << 20;
/// Bytes before a record's packet.
const HEAD: usize = 12;

/// One packet as it arrived at the victim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When, on the run's clock.
    pub at: Nanos,
    /// The IP packet.
    pub bytes: Vec<u8>,
}

/// Packets in the order in which they arrived.
#[derive(Debug, Default)]
pub struct Tape {
    /// Holds the first `stored` bytes of records.
    file: Option<File>,
    stored: u64,
    recent: Vec<u8>,
    /// The file could not be made or written: memory has to do.
    no_file: bool,
    packets: u64,
    last: Option<Nanos>,
}

impl Tape {
    /// Adds a packet behind all others.
    ///
    /// # Panics
    /// Never: IP packets are shorter than 4 GiB.
    pub fn push(&mut self, at: Nanos, packet: &[u8]) {
        let len = u32::try_from(packet.len()).expect("invariant: IP packets are short");
        self.recent.extend_from_slice(&at.0.to_le_bytes());
        self.recent.extend_from_slice(&len.to_le_bytes());
        self.recent.extend_from_slice(packet);
        self.packets += 1;
        self.last = Some(at);
        if self.recent.len() >= FULL && !self.no_file {
            self.store();
        }
    }

    fn store(&mut self) {
        match self.written() {
            Ok(()) => {
                self.stored += self.recent.len() as u64;
                self.recent.clear();
            }
            Err(e) => {
                let place = std::env::temp_dir();
                let place = place.display();
                tracing::warn!("packets stay in memory: {place}: {e}; TMPDIR names another folder");
                self.no_file = true;
            }
        }
    }

    fn written(&mut self) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => nameless()?,
        };
        self.file.insert(file).write_all_at(&self.recent, self.stored)
    }

    /// How many packets.
    pub fn len(&self) -> u64 {
        self.packets
    }

    /// Whether none arrived.
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// When the last one arrived.
    pub fn last(&self) -> Option<Nanos> {
        self.last
    }

    /// Plays it from the start.
    pub fn play(&self) -> Player<'_> {
        Player { tape: self, piece: vec![], at: 0, read: 0, recent: 0 }
    }

    /// Its packets, each with memory of its own.
    pub fn iter(&self) -> impl Iterator<Item = Arrival> + '_ {
        let mut player = self.play();
        std::iter::from_fn(move || {
            player.next().map(|(at, packet)| Arrival { at, bytes: packet.to_vec() })
        })
    }
}

fn nameless() -> io::Result<File> {
    let mut open = OpenOptions::new();
    open.read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600);
    open.open(std::env::temp_dir())
}

/// A tape that is played.
#[derive(Debug)]
pub struct Player<'a> {
    tape: &'a Tape,
    /// Records from the file, of which those before `at` were played, and how many of its bytes were read.
    piece: Vec<u8>,
    at: usize,
    read: u64,
    /// Bytes played of the tape's memory.
    recent: usize,
}

impl Player<'_> {
    /// The next packet and when it came; nothing where the tape ends.
    ///
    /// # Panics
    /// Where the disk does not give back what was written to it.
    #[expect(clippy::should_implement_trait, reason = "what it lends ends with the next call")]
    pub fn next(&mut self) -> Option<(Nanos, &[u8])> {
        while record(&self.piece[self.at..]).is_none() && self.read < self.tape.stored {
            self.read_on();
        }
        let (played, records) = if self.at < self.piece.len() {
            (&mut self.at, &self.piece)
        } else {
            (&mut self.recent, &self.tape.recent)
        };
        let (at, packet) = record(&records[*played..])?;
        *played += HEAD + packet.len();
        Some((at, packet))
    }

    fn read_on(&mut self) {
        self.piece.drain(..std::mem::take(&mut self.at));
        let more = (self.tape.stored - self.read).min(PIECE);
        let (from, file) = (self.piece.len(), self.tape.file.as_ref());
        self.piece.resize(from + more as usize, 0);
        file.expect("invariant: what is stored is in a file")
            .read_exact_at(&mut self.piece[from..], self.read)
            .expect("a disk gives back what was written to it");
        self.read += more;
    }
}

/// The first of some records, where it is there as a whole.
fn record(bytes: &[u8]) -> Option<(Nanos, &[u8])> {
    let (at, rest) = bytes.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let packet = rest.get(..u32::from_le_bytes(*len) as usize)?;
    Some((Nanos(u64::from_le_bytes(*at)), packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of many lengths, so that records lie across the ends of what is read at a time.
    fn packet(n: u64) -> Vec<u8> {
        let len = u16::try_from((n * 7919) % 65_536).unwrap();
        vec![n.to_le_bytes()[0]; len.into()]
    }

    fn hold(tape: &Tape, packets: u64) {
        assert_eq!(tape.len(), packets);
        assert_eq!(tape.last(), packets.checked_sub(1).map(|n| Nanos(5 * n)));
        let mut player = tape.play();
        for n in 0..packets {
            assert!(player.next() == Some((Nanos(5 * n), &packet(n)[..])), "{n} of {packets}");
        }
        assert_eq!(player.next(), None);
        assert_eq!(tape.iter().count() as u64, packets);
    }

    #[test]
    fn what_was_recorded_is_played_whether_it_is_on_disk_or_not() {
        let mut tape = Tape::default();
        hold(&tape, 0);
        for n in 0..1500 {
            tape.push(Nanos(5 * n), &packet(n));
            if [0, 1, 499, 500, 1499].contains(&n) {
                hold(&tape, n + 1);
            }
        }
        assert!(tape.stored > 2 * FULL as u64 && !tape.recent.is_empty(), "{}", tape.stored);
    }

    #[test]
    fn without_a_file_memory_has_to_do() {
        let mut tape = Tape { no_file: true, ..Tape::default() };
        for n in 0..600 {
            tape.push(Nanos(5 * n), &packet(n));
        }
        assert!(tape.recent.len() > FULL);
        hold(&tape, 600);
    }
}
