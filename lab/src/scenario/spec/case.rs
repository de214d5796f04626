//! What the victim complains about.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the victim complains about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CaseSpec {
    /// The host that complains; may be left out where one host is a victim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub victim: Option<String>,
    /// Transport protocol of the packets complained about.
    #[serde(default)]
    pub protocol: Protocol,
    /// Their UDP destination port; any where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Packets that the victim keeps for inquiries, at most.
    #[serde(default = "few")]
    pub samples: u16,
}

impl Default for CaseSpec {
    fn default() -> Self {
        Self { victim: None, protocol: Protocol::default(), port: None, samples: few() }
    }
}

/// Transport protocol of a case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// UDP, 17.
    #[default]
    Udp,
    /// Any protocol.
    Any,
}

fn few() -> u16 {
    16
}
