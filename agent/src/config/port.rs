//! The interfaces of a vantage.

use super::is_not;
use serde::{Deserialize, Serialize};
use traceback::RouterId;
use traceback::router::Far;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its name in the namespace.
    pub ifname: String,
    /// The router at the other end; left out where the link leads to hosts.
    pub neighbour: Option<RouterId>,
    /// Whether that router belongs to another autonomous system.
    #[serde(default)]
    pub border: bool,
    /// Whether that router takes no part in any scheme.
    #[serde(default)]
    pub legacy: bool,
    /// Whether packets that come in here are forwarded and nothing else.
    #[serde(default, skip_serializing_if = "is_not")]
    pub silent: bool,
    /// Rank of the router at the other end among all neighbours, where the ports do not show all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<u16>,
}

impl Port {
    /// An interface by name, and who is at its other end.
    pub fn new(ifname: &str, far: Far) -> Self {
        let Far { neighbour, border, legacy, silent, link } = far;
        Self { ifname: ifname.into(), neighbour, border, legacy, silent, link }
    }

    /// Who is at the other end.
    pub fn far(&self) -> Far {
        let Self { neighbour, border, legacy, silent, link, .. } = *self;
        Far { neighbour, border, legacy, silent, link }
    }
}
