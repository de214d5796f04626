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
    /// Drawn for every packet, by an attacker who forges marks blindly.
    Random,
    /// Every value in its turn, by an attacker who forges all marks that there are.
    Every,
}

/// A mark that an attacker forges with knowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Forged {
    /// This value in every packet: a distance, or a name, of the attacker's choice.
    Value(u16),
    /// What these routers would have marked, the farthest first; the TTL is lowered as by them.
    Imitated(Vec<usize>),
}

/// One of several ways that packets of one flow take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Routers by position, the sender's own first.
    pub path: Vec<usize>,
    /// Packets that take it.
    pub packets: u64,
}

/// What a reflector's packets answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reflects {
    /// The flow whose packets set the reflector off, by number.
    pub flow: u32,
    /// Answers to each of them.
    pub times: u32,
}

/// For fields that stay out of files while they hold what is usual.
pub(crate) fn is_usual<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
    /// Time between packets, or between those that leave at once.
    #[schemars(with = "u64")]
    pub gap: Nanos,
    /// Whole IP packet in bytes, reserved room included.
    pub size: u16,
    /// TTL at the sender.
    pub ttl: u8,
    /// Identification at the sender.
    pub mark: StartMark,
    /// Mark that is forged over it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub forged: Option<Forged>,
    /// The TTL of each packet is drawn from this many values below [`Self::ttl`], and that itself.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub ttl_spread: u8,
    /// Whether every packet is the first fragment of one whose rest never comes.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub fragment: bool,
    /// What its packets answer, where a reflector sends them: they leave when packets of that flow arrive.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub reflects: Option<Reflects>,
    /// Routers on the way by position, the sender's own first: the truth. The first packet's way, where
    /// there are several.
    pub path: Vec<usize>,
    /// All ways, where routes change or spread packets; empty where [`Self::path`] is the only one.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub ways: Vec<Way>,
}

impl Flow {
    /// Packets that leave at one time: several where they answer one.
    pub fn at_once(&self) -> u64 {
        self.reflects.map_or(1, |answers| u64::from(answers.times.max(1)))
    }

    /// Times at which packets leave.
    pub fn departures(&self) -> u64 {
        self.packets.div_ceil(self.at_once())
    }

    /// The time after which nothing of it is due, on the plan's clock.
    pub fn end(&self) -> Nanos {
        Nanos(self.start.0.saturating_add(self.gap.0.saturating_mul(self.departures())))
    }

    /// Packets in 1000 seconds while it lasts, so that slow ones count, too.
    pub fn per_1000_seconds(&self) -> u64 {
        self.at_once().saturating_mul(1_000_000_000_000) / self.gap.0.max(1)
    }

    /// Every way with its packets.
    pub fn all_ways(&self) -> Vec<(&[usize], u64)> {
        if self.ways.is_empty() {
            return vec![(&self.path, self.packets)];
        }
        self.ways.iter().map(|w| (w.path.as_slice(), w.packets)).collect()
    }
}

/// Where the recorder's room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoomKind {
    /// IPv4 option, or IPv6 hop-by-hop option.
    #[default]
    Option,
    /// UDP payload.
    Payload,
}

/// Room that packets reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Where.
    pub kind: RoomKind,
    /// Records of two bytes; 0 where only IOAM is wanted.
    pub records: usize,
    /// Nodes for which IPv6 packets hold an IOAM trace; 0: they hold none.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub trace_nodes: usize,
    /// Whether IPv6 packets ask every node for an IOAM direct export.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub export: bool,
}

impl Room {
    /// Records of this kind that packets reserve.
    pub fn records_as(&self, kind: RoomKind) -> Option<usize> {
        (self.kind == kind && self.records > 0).then_some(self.records)
    }
}
