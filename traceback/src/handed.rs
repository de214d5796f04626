//! Packets as they were when somebody beyond handed them over.
//!
//! Routers that keep logs and mark as well undo their step when they are asked: what a packet bore before the
//! first router of a domain is what the domain before it must be asked about.

use crate::packet::Packet;
use crate::scheme::{Card, RouterId};

/// Who may have handed a packet over, and what it bore then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handed {
    /// The router beyond.
    pub by: RouterId,
    /// The mark that this router wrote; none where it wrote none, as with fragments.
    pub mark: Option<u32>,
}

impl Handed {
    /// A packet as this router handed it over; `None` where the bytes are no packet that has the scheme's mark.
    pub fn packet(&self, card: &Card, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        let mut packet = Packet::parse(bytes.as_mut_slice()).ok()?;
        let slot = card.slot(packet.is_v6());
        if self.mark.is_some_and(|mark| !slot.write(&mut packet, mark)) {
            return None;
        }
        Some(bytes)
    }
}
