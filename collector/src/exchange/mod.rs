//! Questions between domains and their answers.
//!
//! A domain asks another where packets came from that it got from it. It shows the packets; the other looks
//! in its own logs, and tells what its policy lets out. Logs, inner addresses and subscribers never leave: the
//! question travels. In the [`Mode::Star`] the domain that began asks every domain itself; in the
//! [`Mode::Recursive`] each asks the next and hands the replies back.

mod book;
mod check;
mod config;
mod deliver;
mod domain;
mod drive;
pub mod http;
mod incoming;
pub mod join;
mod joined;
pub mod letter;
mod look;
mod office;
mod outgoing;
mod people;
mod ping;
pub mod pursuit;
mod query;
mod rehearsal;
mod relay;
mod resumed;
mod secret;
mod service;
mod tell;
pub mod tls;
mod work;

pub use config::{Bounds, Config, Contacts, Neighbour, Peer, Right, Searched};
pub use domain::Domain;
pub use joined::{Asked, Begin, Joined, Named};
pub use look::Logs;
pub use office::{Exchange, Office};
pub use outgoing::inquire;
pub use people::{Received, Verdict, Vote};
pub use ping::Ping;
pub use rehearsal::{Member, Rebuild, rehearse};
pub use service::Service;

use serde::{Deserialize, Serialize};
use traceback::RouterId;
pub use traceback::disclose::{Justification, Withheld};
use traceback::disclose::{Origin, Shown, Tlp};

/// What every document of an exercise says.
pub(crate) const EXERCISE: &str = "EXERCISE. Nothing of this is real.";

/// Who asks whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The domain that began asks every domain itself.
    #[default]
    Star,
    /// Every domain asks those from which the packets came to it.
    Recursive,
}

/// A question from one domain to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// One word in the whole world; a second inquiry of the same word gets [`Status::AlreadySeen`].
    pub id: String,
    /// The domain that began.
    pub origin: String,
    /// The domain that asks now; another than `origin` where questions are handed on.
    pub asker: String,
    /// What the answer is for, such as `traceback`; policies may bind answers to it.
    pub purpose: String,
    /// The label of the question itself.
    pub tlp: Tlp,
    /// Who asks whom.
    pub mode: Mode,
    /// Domains through which the question has come, the first one first; no domain is asked twice.
    pub visited: Vec<String>,
    /// When an answer is of no use any more, in milliseconds since the Unix epoch.
    pub deadline_ms: u64,
    /// Whether it belongs to an exercise, which every message then says.
    pub exercise: bool,
    /// What is asked.
    pub subject: Subject,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "kebab-case")]
pub enum Subject {
    /// How these packets came to the domain `towards`, which got them from the domain that is asked.
    Packets {
        /// The scheme whose logs are to be searched.
        scheme: String,
        /// The domain that got them.
        towards: String,
        /// The packets.
        packets: Vec<Exhibit>,
    },
    /// Who stands behind words that the domain's routers wrote into packets.
    Names {
        /// The words.
        names: Vec<RouterId>,
    },
}

/// A packet that is shown to the domain that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhibit {
    /// The IP packet as it was seen, header and the beginning of its payload.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
    /// When it was seen, in nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// By which of the asked domain's routers that face the asker it left, in the order of their identities, where
    /// what it bears says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<u16>,
}

/// A domain's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The inquiry's word.
    pub inquiry: String,
    /// Who answers.
    pub domain: String,
    /// What came of it.
    pub status: Status,
    /// The label of everything told here; never below that of what went into it.
    pub tlp: Tlp,
    /// What is told of the packets, those of one way together.
    pub passages: Vec<Passage>,
    /// What is told of words: each with who stands behind it.
    pub names: Vec<(RouterId, Shown)>,
    /// The policy's rule that was applied.
    pub rule: String,
    /// What is not told, field by field.
    pub withheld: Vec<Withheld>,
    /// Replies of the domains that this one asked, where questions are handed on.
    pub further: Vec<Self>,
    /// Time from the question to this reply, in milliseconds.
    pub took_ms: u64,
}

impl Reply {
    /// Its label, which is never below that of a reply that it hands on.
    pub fn label(&self) -> Tlp {
        self.further.iter().map(Self::label).fold(self.tlp, Tlp::max)
    }
}

/// What came of an inquiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum Status {
    /// The domain looked, and tells what its policy allows.
    Answered,
    /// The domain looked, and none of the packets was seen.
    NotSeen,
    /// The domain does not answer.
    Refused {
        /// Why, in the words of RFC 6545.
        justification: Justification,
        /// Why, for people.
        why: String,
    },
    /// People must agree first; the answer comes later.
    Pending {
        /// When the domain expects to have decided, in milliseconds since the Unix epoch.
        by_ms: Option<u64>,
    },
    /// The domain has this inquiry already: a loop, or a repetition.
    AlreadySeen,
    /// No answer came before the deadline.
    Silent,
    /// The domain, or the way to it, failed.
    Failed {
        /// What happened, for people.
        why: String,
    },
}

/// What is told of packets that came one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Positions of the packets in the inquiry; none where an answer of others does not say which.
    pub packets: Vec<u32>,
    /// Hops, that nearest the source first.
    pub hops: Vec<Shown>,
    /// Where they came from.
    pub origin: Origin,
}

impl Reply {
    /// A reply that tells nothing but what came of the inquiry.
    pub fn bare(inquiry: String, domain: &str, status: Status, tlp: Tlp, took_ms: u64) -> Self {
        Self {
            inquiry,
            domain: domain.into(),
            status,
            tlp,
            passages: vec![],
            names: vec![],
            rule: String::new(),
            withheld: vec![],
            further: vec![],
            took_ms,
        }
    }
}

impl Status {
    /// Whether nothing is known from it: neither that packets were seen nor that they were not.
    pub fn says_nothing(&self) -> bool {
        matches!(
            self,
            Self::Refused { .. } | Self::Silent | Self::Failed { .. } | Self::Pending { .. }
        )
    }
}
