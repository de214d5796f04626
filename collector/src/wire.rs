//! The messages of `proto/traceback.proto` as generated, and their translation into our own types.
//!
//! Holds every rule about what a message's fields may contain. Does not hold any state.

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
mod generated {
    tonic::include_proto!("ashiato.traceback.v1");
}

pub use generated::*;

/// The messages of `proto/enrol.proto`.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated code"
)]
pub mod enrolment {
    tonic::include_proto!("ashiato.enrolment.v1");
}

use std::net::Ipv4Addr;
use traceback::RouterId;
use traceback::case;
use traceback::report;

/// Version of the protocol that this build speaks.
pub const PROTOCOL: u32 = 1;
/// Largest message in bytes, on both sides.
pub const MAX_MESSAGE: usize = 32 << 20;
/// Longest name of an agent, in characters.
pub const MAX_NAME: usize = 64;
/// Largest number that epochs and sequence numbers may take: the store holds signed integers.
pub const MAX_NUMBER: u64 = i64::MAX as u64;

/// Reads a router's loopback.
pub fn router(text: &str) -> Option<RouterId> {
    text.parse::<Ipv4Addr>().ok().map(RouterId::from)
}

/// Whether the text may name an agent.
pub fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"._:/-".contains(&c);
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed)
}

impl Role {
    /// As reports name it; `None` where the sender left it out.
    pub fn as_report(self) -> Option<report::Role> {
        match self {
            Self::Unspecified => None,
            Self::Router => Some(report::Role::Router),
            Self::Observer => Some(report::Role::Observer),
        }
    }
}

impl From<report::Role> for Role {
    fn from(role: report::Role) -> Self {
        match role {
            report::Role::Router => Self::Router,
            report::Role::Observer => Self::Observer,
        }
    }
}

impl From<&case::Query> for Query {
    fn from(query: &case::Query) -> Self {
        Self { keys: query.keys.clone(), from: query.from.0, to: query.to.0 }
    }
}

impl From<Answer> for case::Answer {
    fn from(answer: Answer) -> Self {
        Self { values: answer.values.into_iter().map(|seen| seen.value).collect() }
    }
}

impl ToAgent {
    /// Wraps one kind of message.
    pub fn of(kind: to_agent::Kind) -> Self {
        Self { kind: Some(kind) }
    }
}
