//! Faults: what fails while packets flow, from when on and for how long.

use super::at_once;
use crate::units::{BitRate, Share, Span, Step};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that fails. One of `link`, `kill`, `cut`, `clock`, `disk_full` and `slow` says what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A word for it.
    pub id: String,
    /// When it begins, counted from the start of every turn.
    #[serde(default = "at_once")]
    pub at: Span,
    /// How long it lasts; to the end of the turn where left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
    /// The two nodes of a link, which is cut or gets another loss, delay or rate, both ways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Vec<String>>,
    /// true: the link carries nothing; "collector": agents cannot reach the collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// The link's share of lost packets meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// The link's delay meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// The link's rate meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<BitRate>,
    /// Whether routers take other ways while the link is cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reroute: Option<bool>,
    /// A router whose agent is killed, and started again after `for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kill: Option<String>,
    /// The domain whose agents lose the collector; all agents where neither it nor `router` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The router whose agent loses the collector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router: Option<String>,
    /// An agent whose clock is put forward or back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
    /// "collector": the file system of the collector's store is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_full: Option<String>,
    /// A domain whose routers answer questions late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow: Option<Slow>,
}

/// What is cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Cut {
    /// The link that `link` names.
    Link(bool),
    /// The line to the collector.
    Line(String),
}

/// A step of an agent's clock; the host's own is never touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// The agent's router.
    pub agent: String,
    /// By how much, with a sign: "+1500 ms".
    pub step: Step,
}

/// A point of contact that takes its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// The domain.
    pub domain: String,
    /// How late each of its routers' answers comes.
    pub delay: Span,
}
