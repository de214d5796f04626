//! Numbers of packets: in all, honest ones, and by the way that they took.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packets of one turn, or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Packets {
    /// Attack packets sent.
    pub attack: u64,
    /// Of these, what reflectors sent.
    #[serde(default)]
    pub reflected: u64,
    /// Honest packets sent.
    pub legit: u64,
    /// Packets that routers sent on, one count for each router.
    pub forwarded: u64,
    /// Packets that routers dropped.
    pub dropped: u64,
    /// Packets of ours seen where none may be.
    pub leaked: u64,
}

impl Packets {
    /// Adds another turn's.
    pub fn add(&mut self, other: &Self) {
        self.attack += other.attack;
        self.reflected += other.reflected;
        self.legit += other.legit;
        self.forwarded += other.forwarded;
        self.dropped += other.dropped;
        self.leaked += other.leaked;
    }
}

/// What became of honest packets in one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Honest {
    /// Packets that left.
    pub sent: u64,
    /// Packets that reached the host they were for.
    pub arrived: u64,
    /// Packets that reached the victim, where their headers can be looked at.
    pub seen: u64,
    /// Of these, packets with another Identification or flow label than they left with.
    pub rewritten: u64,
}

/// Packets by the way that they took, as the world followed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Ways {
    /// On the way that the plan's own tables give each.
    pub as_planned: u64,
    /// On another of the plan's ways: kernels choose by hashes of their own, and routes change a little
    /// later than the plan says.
    pub otherwise: u64,
    /// On no way of any one time: under way while routers changed their routes one by one.
    pub mixed: u64,
    /// Lost on the way.
    pub cut: u64,
}
