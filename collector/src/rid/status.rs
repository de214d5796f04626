//! `RequestStatus` and `IncidentSource`. Source: RFC 6545 sections 5.2 and 5.3.

use super::policy::{value_of, word_of};
use crate::exchange::{Justification, Reply, Status};
use crate::xml::{BadDocument, Element, Ns, Read, Walk};
use traceback::disclose::Origin;

/// What becomes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RequestStatus {
    /// It is being dealt with.
    Approved,
    /// Somebody has to agree first.
    Pending,
    /// No.
    Denied(Denial),
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denial {
    /// One of the words of RFC 6545.
    Justified(Justification),
    /// `ext-value`: the request has come before.
    AlreadySeen,
    /// Nothing that is known here: `ext-value`s of others, or nothing said.
    Unknown,
}

const JUSTIFICATIONS: [(Justification, &str); 7] = [
    (Justification::SystemResource, "SystemResource"),
    (Justification::Authentication, "Authentication"),
    (Justification::AuthenticationOrigin, "AuthenticationOrigin"),
    (Justification::Encryption, "Encryption"),
    (Justification::UnrecognizedFormat, "UnrecognizedFormat"),
    (Justification::CannotProcess, "CannotProcess"),
    (Justification::Other, "Other"),
];

const ALREADY_SEEN: &str = "AlreadySeen";

/// The word of a reason.
pub(super) fn word(justification: Justification) -> &'static str {
    word_of(&JUSTIFICATIONS, justification)
}

/// The reason of a word.
pub(super) fn justification(at: &str, word: &str) -> Result<Justification, BadDocument> {
    value_of(&JUSTIFICATIONS, at, word)
}

impl RequestStatus {
    /// What a reply's status is in RID; none where there is a result.
    pub(super) fn of(status: &Status) -> Option<Self> {
        Some(Self::Denied(match status {
            Status::Answered | Status::NotSeen => return None,
            Status::Pending { .. } => return Some(Self::Pending),
            Status::Refused { justification, .. } => Denial::Justified(*justification),
            Status::AlreadySeen => Denial::AlreadySeen,
            Status::Silent | Status::Failed { .. } => {
                Denial::Justified(Justification::CannotProcess)
            }
        }))
    }

    /// What is known of a reply by this alone. `Approved` says that a result will come.
    pub(super) fn status(&self) -> Status {
        let refused = |justification| Status::Refused { justification, why: String::new() };
        match self {
            Self::Approved | Self::Pending => Status::Pending { by_ms: None },
            Self::Denied(Denial::Justified(justification)) => refused(*justification),
            Self::Denied(Denial::AlreadySeen) => Status::AlreadySeen,
            Self::Denied(Denial::Unknown) => refused(Justification::Other),
        }
    }

    pub(super) fn write(&self) -> Element {
        let element = Element::new(Ns::Rid, "RequestStatus");
        match self {
            Self::Approved => element.with("AuthorizationStatus", "Approved"),
            Self::Pending => element.with("AuthorizationStatus", "Pending"),
            Self::Denied(denial) => {
                let element = element.with("AuthorizationStatus", "Denied");
                match denial {
                    Denial::Justified(reason) => element.with("Justification", word(*reason)),
                    Denial::AlreadySeen => element
                        .with("Justification", "ext-value")
                        .with("ext-Justification", ALREADY_SEEN),
                    Denial::Unknown => element,
                }
            }
        }
    }
}

impl Read for RequestStatus {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let status = walk.needed("AuthorizationStatus")?;
        let reason = walk.attribute("Justification");
        let extension = walk.attribute("ext-Justification");
        walk.attribute("restriction");
        Ok(match status.trim() {
            "Approved" => Self::Approved,
            "Pending" => Self::Pending,
            "Denied" => {
                Self::Denied(match (reason.as_deref().map(str::trim), extension.as_deref()) {
                    (None, _) => Denial::Unknown,
                    (Some("ext-value"), Some(ALREADY_SEEN)) => Denial::AlreadySeen,
                    (Some("ext-value"), _) => Denial::Unknown,
                    (Some(word), _) => {
                        Denial::Justified(justification("RequestStatus@Justification", word)?)
                    }
                })
            }
            other => return Err(BadDocument::value("RequestStatus@AuthorizationStatus", other)),
        })
    }
}

/// Whether the source was found, and in which domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IncidentSource {
    pub(super) found: bool,
    domains: Vec<String>,
}

impl IncidentSource {
    /// What a result says; none where there is none.
    pub(super) fn of(reply: &Reply) -> Option<Self> {
        if RequestStatus::of(&reply.status).is_some() {
            return None;
        }
        let mut domains = vec![];
        sources(reply, &mut domains);
        domains.sort_unstable();
        domains.dedup();
        Some(Self { found: !domains.is_empty(), domains })
    }

    pub(super) fn write(&self) -> Element {
        let node = |domain: &String| {
            Element::new(Ns::Iodef1, "Node")
                .and([Element::new(Ns::Iodef1, "NodeName").text(domain)])
        };
        Element::new(Ns::Rid, "IncidentSource")
            .and([Element::new(Ns::Rid, "SourceFound").text(&self.found.to_string())])
            .and(self.domains.iter().map(node))
    }
}

/// Domains within which packets began.
fn sources(reply: &Reply, into: &mut Vec<String>) {
    if reply.passages.iter().any(|passage| passage.origin == Origin::Inside) {
        into.push(reply.domain.clone());
    }
    reply.further.iter().for_each(|further| sources(further, into));
}

impl Read for IncidentSource {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let found: String = walk.one("SourceFound")?;
        let found = match found.trim() {
            "true" | "1" => true,
            "false" | "0" => false,
            other => return Err(BadDocument::value("SourceFound", other)),
        };
        walk.attribute("restriction");
        let nodes: Vec<crate::iodef::Node> = walk.all_of(&Ns::Iodef1, "Node")?;
        let names = nodes.iter().flat_map(|node| &node.domain_data);
        Ok(Self { found, domains: names.map(|data| data.name.clone()).collect() })
    }
}
