//! Frames that wait until a neighbour's Ethernet address is known.
//!
//! Small and bounded, as in kernels: whoever sends to addresses that nobody has cannot fill memory.

use std::net::IpAddr;
use traceback::Nanos;

/// Neighbours waited for at once.
const NEIGHBOURS: usize = 64;
/// Frames that wait for one neighbour. Source: ours; RFC 1122 section 2.3.2.2 asks for at least one.
const FRAMES: usize = 16;
/// How long frames wait, and how often a neighbour is asked for.
const PATIENCE: Nanos = Nanos(1_000_000_000);

/// Frames by neighbour.
#[derive(Debug, Default)]
pub struct Waiting {
    entries: Vec<Entry>,
}

/// The frames for one neighbour.
#[derive(Debug)]
pub struct Entry {
    /// Port and address of the neighbour.
    pub neighbour: (u16, IpAddr),
    /// Frames in the order they came.
    pub frames: Vec<Frame>,
    since: Nanos,
}

/// A frame that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// All of it; the Ethernet addresses are still to be written.
    pub bytes: Vec<u8>,
    /// Whether it is a packet on its way, which counts, or an error message of this router.
    pub transit: bool,
}

/// What became of a frame that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It waits, and is the first for its neighbour: ask who has the address.
    Ask,
    /// It waits.
    Waits,
    /// There is no room.
    Refused,
}

impl Waiting {
    /// Keeps a copy of a frame.
    pub fn hold(
        &mut self,
        neighbour: (u16, IpAddr),
        frame: &[u8],
        transit: bool,
        at: Nanos,
    ) -> Held {
        let frame = || Frame { bytes: frame.to_vec(), transit };
        if let Some(entry) = self.entries.iter_mut().find(|e| e.neighbour == neighbour) {
            if entry.frames.len() >= FRAMES {
                return Held::Refused;
            }
            entry.frames.push(frame());
            return Held::Waits;
        }
        if self.entries.len() >= NEIGHBOURS {
            return Held::Refused;
        }
        self.entries.push(Entry { neighbour, frames: vec![frame()], since: at });
        Held::Ask
    }

    /// Takes the entries whose neighbour is known now.
    pub fn release(&mut self, known: impl Fn(&(u16, IpAddr)) -> bool) -> Vec<Entry> {
        self.entries.extract_if(.., |e| known(&e.neighbour)).collect()
    }

    /// Gives up on neighbours that did not answer in time; returns the number of packets lost.
    pub fn expire(&mut self, at: Nanos) -> u64 {
        let late = |e: &mut Entry| at.0.saturating_sub(e.since.0) > PATIENCE.0;
        let lost = |e: Entry| e.frames.iter().filter(|f| f.transit).count() as u64;
        self.entries.extract_if(.., late).map(lost).sum()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u8) -> (u16, IpAddr) {
        (0, IpAddr::from([198, 18, 0, n]))
    }

    #[test]
    fn frames_wait_in_order_and_not_without_bound() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.hold(host(1), &[0], true, Nanos(0)), Held::Ask);
        for n in 1..16 {
            assert_eq!(waiting.hold(host(1), &[n], true, Nanos(0)), Held::Waits);
        }
        assert_eq!(waiting.hold(host(1), &[16], true, Nanos(0)), Held::Refused);
        for n in 2..=64 {
            assert_eq!(waiting.hold(host(n), &[0], true, Nanos(0)), Held::Ask);
        }
        assert_eq!(waiting.hold(host(65), &[0], true, Nanos(0)), Held::Refused);
        let released = waiting.release(|n| *n == host(1));
        let bytes: Vec<_> = released[0].frames.iter().map(|f| f.bytes[0]).collect();
        assert_eq!(bytes, (0..16).collect::<Vec<_>>());
        assert_eq!(waiting.expire(Nanos(1_000_000_000)), 0);
        assert_eq!(waiting.expire(Nanos(1_000_000_001)), 63);
        assert!(waiting.is_empty());
    }
}
