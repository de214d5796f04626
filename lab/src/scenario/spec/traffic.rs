//! Streams of packets: from whom, to whom, how many, and what is forged in them.

use super::{at_once, clean};
use crate::plan::{Class, StartMark};
use crate::units::{Rate, Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A stream of UDP packets from each of some hosts to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// A word for the traffic.
    pub id: String,
    /// Attack or honest.
    pub class: Class,
    /// The sending host, or a list of them; each sends a flow of its own.
    pub from: Names,
    /// Only so many of them, the first ones; all where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub senders: Option<u32>,
    /// The receiving host.
    pub to: String,
    /// Reflectors, one or a list: senders send to each of them in the receiver's name, and they answer the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub through: Option<Names>,
    /// Packets with which a reflector answers each, 8 at most.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub amplify: u32,
    /// Packets per second from each sender.
    pub rate: Rate,
    /// Packets in all from each sender.
    pub packets: u64,
    /// Whole IP packet, room for records included; the smallest that fits where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// UDP destination port.
    #[serde(default = "discard")]
    pub port: u16,
    /// Forged source addresses; the sender's own address where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoof: Option<Spoof>,
    /// When the first packet leaves.
    #[serde(default = "at_once")]
    pub start: Span,
    /// TTL or hop limit at the sender: 64, 128 and 255 are what schemes that count hops expect.
    #[serde(default = "usual_ttl")]
    pub ttl: u8,
    /// The TTL of each packet is drawn from this many values below, and the TTL itself.
    #[serde(default)]
    pub ttl_spread: u8,
    /// What senders put into the field that marks overwrite.
    #[serde(default = "clean")]
    pub mark: StartMark,
    /// One value that the attacker forges into that field of every packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark_value: Option<u16>,
    /// Routers whose marks the attacker forges, the farthest from the victim first, as though the packets
    /// had come through them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imitates: Vec<String>,
    /// Whether every packet is the first fragment of one whose rest never comes.
    #[serde(default)]
    pub fragment: bool,
}

impl Traffic {
    /// Hosts that send, each with the step that leads to it from the key's path.
    pub fn senders(&self) -> Vec<(String, &str)> {
        let mut senders = self.from.each();
        senders.truncate(
            self.senders.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX)),
        );
        senders
    }

    /// Reflectors, each with the step that leads to it from the key's path.
    pub fn reflectors(&self) -> Vec<(String, &str)> {
        self.through.as_ref().map_or(vec![], Names::each)
    }

    /// Packets that are sent for each that the file gives a sender: towards every reflector, and its answers.
    pub fn packets_each(&self) -> u64 {
        match self.reflectors().len() as u64 {
            0 => 1,
            reflectors => reflectors * (1 + u64::from(self.amplify)),
        }
    }
}

/// One word or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Names {
    /// All of them, each with the step that leads to it from the key's path.
    pub fn each(&self) -> Vec<(String, &str)> {
        match self {
            Self::One(name) => vec![(String::new(), name)],
            Self::Many(names) => {
                names.iter().enumerate().map(|(i, n)| (format!(".{i}"), n.as_str())).collect()
            }
        }
    }
}

/// Forged source addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spoof {
    /// One forged address for each flow, or a fresh one for each packet.
    pub per: Per,
    /// Network of forged addresses; 198.19.192.0/18 or 2001:2:0:ffff::/64 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

/// How often a forged address changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Once drawn for each sender.
    Flow,
    /// Drawn for every packet.
    Packet,
}

fn discard() -> u16 {
    9
}
fn usual_ttl() -> u8 {
    64
}
fn once() -> u32 {
    1
}
fn is_once(times: &u32) -> bool {
    *times == 1
}
