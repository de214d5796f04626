//! What is sent: streams of packets, and the room that they reserve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use traceback::Nanos;

/// Whether a flow hurts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Attack.
    Attack,
    /// Honest.
    Legit,
}

/// Whose address a flow's packets carry as their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// One address for the whole flow: the sender's own, or a spoofed one.
    Fixed(IpAddr),
    /// A fresh address of this pool for every packet, drawn from flow and sequence number.
    PerPacket {
        /// The pool's network.
        net: IpAddr,
        /// Prefix length.
        len: u8,
    },
}

/// What the sender puts into the IPv4 Identification (and the IPv6 flow label).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartMark {
    /// 0x1F00: distance 31 in the layouts that have one, so that unmarked packets stand apart.
    Clean,
    /// As real hosts do: drawn from flow and sequence number.
    Stock,
}

/// A stream of UDP packets from one host to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Number carried in every packet.
    pub id: u32,
    /// The traffic's word in the scenario.
    pub traffic: String,
    /// Attack or honest.
    pub class: Class,
    /// Position of the sending host.
    pub from: usize,
    /// Position of the receiving host.
    pub to: usize,
    /// Source address.
    pub source: Source,
    /// UDP source port.
    pub source_port: u16,
    /// UDP destination port.
    pub port: u16,
    /// Packets in all.
    pub packets: u64,
    /// When the first packet leaves.
    #[schemars(with = "u64")]
    pub start: Nanos,
    /// Time between packets.
    #[schemars(with = "u64")]
    pub gap: Nanos,
    /// Whole IP packet in bytes, reserved room included.
    pub size: u16,
    /// TTL at the sender.
    pub ttl: u8,
    /// Identification at the sender.
    pub mark: StartMark,
    /// Routers on the way by position, the sender's own first: the truth.
    pub path: Vec<usize>,
}

/// Where the recorder's room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomKind {
    /// IPv4 option, or IPv6 hop-by-hop option.
    Option,
    /// UDP payload.
    Payload,
}

/// Room that packets reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Where.
    pub kind: RoomKind,
    /// Records of two bytes.
    pub records: usize,
}
