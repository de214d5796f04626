//! Frames that are about to leave by one port, handed to the kernel many at a time: a system call for
//! each would cost more than forwarding it.

use super::socket::BATCH;

/// Bytes gathered at most before they go: a full batch of large frames.
const ROOM: usize = 256 << 10;

/// Frames in order.
#[derive(Debug, Default)]
pub struct Outgoing {
    bytes: Vec<u8>,
    /// Where each frame ends, and whether it is a packet on its way.
    ends: Vec<(usize, bool)>,
}

/// What became of packets on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flushed {
    /// Sent.
    pub sent: u64,
    /// The interface did not take them.
    pub refused: u64,
}

impl Outgoing {
    /// Adds a copy of a frame and says whether it is time to flush.
    pub fn push(&mut self, frame: &[u8], transit: bool) -> bool {
        self.bytes.extend_from_slice(frame);
        self.ends.push((self.bytes.len(), transit));
        self.ends.len() == BATCH || self.bytes.len() >= ROOM
    }

    /// Whether nothing is gathered.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Hands everything to `send`, which takes a batch and says how many of its first frames went; it is
    /// asked again for the rest, and a frame is refused where not even that one went.
    pub fn flush(&mut self, mut send: impl FnMut(&[&[u8]]) -> usize) -> Flushed {
        let mut frames: [&[u8]; BATCH] = [&[]; BATCH];
        let mut start = 0;
        for (frame, (end, _)) in frames.iter_mut().zip(&self.ends) {
            *frame = &self.bytes[start..*end];
            start = *end;
        }
        let count = self.ends.len();
        let mut flushed = Flushed::default();
        let mut next = 0;
        while next < count {
            let sent = send(&frames[next..count]).min(count - next);
            let transit = |range: std::ops::Range<usize>| {
                self.ends[range].iter().filter(|(_, transit)| *transit).count() as u64
            };
            flushed.sent += transit(next..next + sent);
            next += sent;
            if sent == 0 {
                // The interface does not take this one; the frames behind it get their own try.
                flushed.refused += transit(next..next + 1);
                next += 1;
            }
        }
        self.bytes.clear();
        self.ends.clear();
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_frames_do_not_hold_up_the_rest() {
        let mut out = Outgoing::default();
        for n in 0..10 {
            assert!(!out.push(&[n; 60], n != 3));
        }
        let mut seen = vec![];
        let flushed = out.flush(|frames| {
            // Takes at most four, and never the fifth.
            let fits = frames.iter().take(4).take_while(|f| f[0] != 5);
            seen.extend(fits.map(|f| f[0]));
            frames.iter().take(4).take_while(|f| f[0] != 5).count()
        });
        assert_eq!(seen, [0, 1, 2, 3, 4, 6, 7, 8, 9]);
        assert_eq!(flushed, Flushed { sent: 8, refused: 1 }, "frame 3 is no transit");
        assert!(out.is_empty());
    }

    #[test]
    fn a_full_batch_asks_to_go() {
        let mut out = Outgoing::default();
        let pushes: Vec<bool> = (0..BATCH).map(|_| out.push(&[0; 60], true)).collect();
        assert_eq!(pushes.iter().position(|go| *go), Some(BATCH - 1));
    }
}
