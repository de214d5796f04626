//! A router: its name on the wire, and what does not change about it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;

/// A router's name on the wire: its loopback address in the plan, as a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(from = "Ipv4Addr", into = "Ipv4Addr")]
pub struct RouterId(pub u32);

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0).fmt(f)
    }
}
impl From<Ipv4Addr> for RouterId {
    fn from(address: Ipv4Addr) -> Self {
        Self(address.into())
    }
}
impl From<RouterId> for Ipv4Addr {
    fn from(id: RouterId) -> Self {
        id.0.into()
    }
}

/// What does not change about one router while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The router.
    pub id: RouterId,
    /// Its position in the map, the short name that the recorder writes.
    pub index: u16,
    /// Number of its links to other routers.
    pub degree: u16,
    /// Its autonomous system.
    pub asn: u32,
}
