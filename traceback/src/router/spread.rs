//! How a router chooses between ways that are equally good.

use crate::invariant::{Invariant, Key, mix2};
use crate::packet::Packet;
use crate::scheme::RouterId;

/// How a router spreads packets over next hops that are equally near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// By addresses and ports: all packets of a flow take one way.
    Flow,
    /// By the payload, too: every packet chooses anew.
    Packet,
}

impl Spread {
    /// The choice of a router for a packet.
    pub fn hash<T: AsRef<[u8]>>(self, me: RouterId, packet: &Packet<T>) -> u64 {
        let inv = Invariant::of(packet, Key(0, 0));
        let what = match self {
            Self::Flow => inv.flow,
            Self::Packet => inv.digest,
        };
        mix2(what, me.0.into())
    }
}
