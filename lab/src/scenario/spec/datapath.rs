//! Datapaths: what carries packets through routers, and by whose tables.

use ashiato_agent::config;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What carries packets through routers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Datapath {
    /// A router in user space on packet sockets.
    #[default]
    Afpacket,
    /// The same router over pnet's channels: simpler and slower.
    Pnet,
    /// The kernel routes; an eBPF program marks at tc egress.
    Tc,
    /// An eBPF program at XDP marks and forwards by the kernel's tables.
    Xdp,
    /// An eBPF program at XDP marks, and the kernel routes.
    XdpPass,
}

impl Datapath {
    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Afpacket => "afpacket",
            Self::Pnet => "pnet",
            Self::Tc => "tc",
            Self::Xdp => "xdp",
            Self::XdpPass => "xdp-pass",
        }
    }

    /// Whether the kernel's own tables forward, not a router in user space.
    pub fn kernel_forwards(self) -> bool {
        !matches!(self, Self::Afpacket | Self::Pnet)
    }

    /// Whether programs sit at XDP, which needs interfaces that take them.
    pub fn is_xdp(self) -> bool {
        matches!(self, Self::Xdp | Self::XdpPass)
    }

    /// The same in an agent's configuration.
    pub fn agent(self) -> config::Datapath {
        match self {
            Self::Afpacket => config::Datapath::Afpacket,
            Self::Pnet => config::Datapath::Pnet,
            Self::Tc => config::Datapath::Tc,
            Self::Xdp => config::Datapath::Xdp,
            Self::XdpPass => config::Datapath::XdpPass,
        }
    }
}
