//! RID: the messages in which domains ask and answer each other (RFC 6545), with IODEF inside.
//!
//! A [`Message`] is one question or one answer in its [`Envelope`]; [`Message::write`] and [`Message::read`] are the
//! only ways to and from bytes, and what one writes the other reads, nothing lost. Whatever bytes come, reading
//! gives a message or an [`Unread`], which knows how to say no. How the bytes travel is RFC 6546, in
//! [`crate::exchange`]; which part of a document says what is in `docs/exchange.md`.

mod ask;
mod hop;
mod own;
mod policy;
mod status;
mod tell;

pub use policy::Kind;

pub(crate) use ask::incident_of_inquiry;
pub(crate) use tell::{event_of_reply, ours as reply_in};

use crate::exchange::{Inquiry, Justification, Reply, Status, Subject};
use crate::iodef::{Document, IncidentId, Stamp};
use crate::xml::{BadDocument, Element, Ignored, Malformed, Ns, Walk};
use policy::Policy;
use status::{IncidentSource, RequestStatus};
use traceback::disclose::{Region, Tlp};

/// The type of RID messages in HTTP. Source: RFC 6546 section 3.
pub const CONTENT_TYPE: &str = "text/xml";

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who it is for, and what it belongs to.
    pub envelope: Envelope,
    /// What it says.
    pub body: Body,
}

/// What a message says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The domain that is to read it; empty where a message of others does not name one.
    pub to: String,
    /// The domain whose incident it is about: that which began.
    pub origin: String,
    /// Between whom it travels.
    pub region: Region,
    /// When it was written; the epoch where it holds no document, which alone could say so.
    pub at: Stamp,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// A question: a `TraceRequest` with packets, an `InvestigationRequest` with names.
    Ask(Inquiry),
    /// An answer: an `Acknowledgement` where it is refused or late, a `Result` otherwise.
    Answer(Reply),
    /// An `Acknowledgement` that something has come and is being dealt with.
    Taken {
        /// What.
        id: String,
    },
    /// A `Report`: a document that is told unasked, or as an answer.
    Report(Document),
    /// A `Query` for what is known of an incident, or of any.
    Query {
        /// Which one.
        id: Option<String>,
    },
}

/// A message that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// What it says.
    pub message: Message,
    /// What it holds besides.
    pub ignored: Ignored,
    /// XML signatures in it. They are not verified: who speaks is known from the connection.
    pub signatures: u32,
}

/// Bytes that are no message that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unread {
    /// Why.
    pub why: BadDocument,
    /// What it was about, as far as that can be seen.
    pub about: Option<IncidentId>,
}

impl Envelope {
    /// That of a question to a domain.
    pub fn asking(inquiry: &Inquiry, to: &str, at: Stamp) -> Self {
        let (to, origin) = (to.into(), inquiry.origin.clone());
        Self { to, origin, region: Region::default(), at }
    }
}

impl Message {
    /// Which of RFC 6545's messages it is.
    pub fn kind(&self) -> Kind {
        match &self.body {
            Body::Ask(Inquiry { subject: Subject::Packets { .. }, .. }) => Kind::TraceRequest,
            Body::Ask(Inquiry { subject: Subject::Names { .. }, .. }) => Kind::InvestigationRequest,
            Body::Answer(Reply { status: Status::Answered | Status::NotSeen, .. }) => Kind::Result,
            Body::Answer(_) | Body::Taken { .. } => Kind::Acknowledgement,
            Body::Report(_) => Kind::Report,
            Body::Query { .. } => Kind::Query,
        }
    }

    /// Its bytes. The same message gives the same bytes.
    pub fn write(&self) -> Vec<u8> {
        let (status, source) = match &self.body {
            Body::Answer(reply) => (RequestStatus::of(&reply.status), IncidentSource::of(reply)),
            Body::Taken { .. } => (Some(RequestStatus::Approved), None),
            Body::Ask(_) | Body::Report(_) | Body::Query { .. } => (None, None),
        };
        Element::new(Ns::Rid, "RID")
            .with("lang", "en")
            .and([self.policy().write()])
            .and(status.iter().map(RequestStatus::write))
            .and(source.iter().map(IncidentSource::write))
            .write()
    }

    fn policy(&self) -> Policy {
        let Envelope { to, origin, region, at } = &self.envelope;
        let (id, document) = match &self.body {
            Body::Ask(inquiry) => {
                let incident = incident_of_inquiry(inquiry, *at);
                (Some(inquiry.id.clone()), Some(Document::new(vec![incident])))
            }
            Body::Answer(reply) => {
                let incident = tell::incident_of_reply(reply, origin, *at);
                (Some(reply.inquiry.clone()), Some(Document::new(vec![incident])))
            }
            Body::Taken { id } => (Some(id.clone()), None),
            Body::Report(document) => (
                document.incident.first().map(|i| i.incident_id.id.clone()),
                Some(document.clone()),
            ),
            Body::Query { id } => (id.clone(), None),
        };
        let id = id.map(|id| IncidentId { id, name: origin.clone() });
        let (kind, to, region) = (self.kind(), to.clone(), *region);
        Policy { kind, to, region, id, document, signatures: 0 }
    }

    /// Reads bytes from anybody.
    ///
    /// # Errors
    /// They are no message, more than is read, or contradict themselves.
    pub fn read(bytes: &[u8]) -> Result<Incoming, Unread> {
        let root = Element::read(bytes).map_err(|e| Unread { why: e.into(), about: None })?;
        let about = about(&root);
        Self::from_element(root).map_err(|why| Unread { why, about })
    }

    fn from_element(root: Element) -> Result<Incoming, BadDocument> {
        if root.name != "RID" || root.ns != Ns::Rid {
            let (found, ns) = (root.name, root.ns.uri().into());
            return Err(BadDocument::Root { found, ns, want: "RID message" });
        }
        let mut ignored = Ignored::new();
        let parts: Parts = Walk::whole(root, &mut ignored)?;
        let signatures = parts.policy.signatures;
        Ok(Incoming { message: parts.message()?, ignored, signatures })
    }
}

/// The parts of a message.
struct Parts {
    policy: Policy,
    status: Option<RequestStatus>,
    source: Option<IncidentSource>,
}

impl crate::xml::Read for Parts {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            policy: walk.one("RIDPolicy")?,
            status: walk.maybe("RequestStatus")?,
            source: walk.maybe("IncidentSource")?,
        })
    }
}

impl Parts {
    fn message(self) -> Result<Message, BadDocument> {
        let Policy { kind, to, region, id, document, .. } = self.policy;
        let first = document.as_ref().and_then(|document| document.incident.first());
        if let (Some(id), Some(first)) = (&id, first)
            && *id != first.incident_id
        {
            let said =
                format!("the message is about {id}, its document about {}", first.incident_id);
            return Err(BadDocument::Contradiction(said));
        }
        let at = first.map_or(Stamp::from_unix_ns(0), |incident| incident.generation_time);
        let id = id.or_else(|| first.map(|incident| incident.incident_id.clone()));
        let origin = id.as_ref().map_or_else(String::new, |id| id.name.clone());
        let envelope = Envelope { to, origin, region, at };
        let need_id = || id.clone().ok_or_else(|| BadDocument::missing("IncidentID", "RIDPolicy"));
        let no_document = || BadDocument::missing("ReportSchema", "RIDPolicy");
        let body = match kind {
            Kind::TraceRequest | Kind::InvestigationRequest => {
                Body::Ask(ask::inquiry_of(&document.ok_or_else(no_document)?)?)
            }
            Kind::Acknowledgement => {
                let status = self.status;
                let status = status.ok_or_else(|| BadDocument::missing("RequestStatus", "RID"))?;
                tell::acknowledged(&status, need_id()?, document.as_ref())?
            }
            Kind::Result => {
                let found = self.source.is_some_and(|source| source.found);
                Body::Answer(tell::result_of(&document.ok_or_else(no_document)?, found)?)
            }
            Kind::Report => Body::Report(document.ok_or_else(no_document)?),
            Kind::Query => Body::Query { id: id.map(|id| id.id) },
        };
        Ok(Message { envelope, body })
    }
}

/// The first incident that is named anywhere.
fn about(root: &Element) -> Option<IncidentId> {
    let mut found = None;
    root.each(&mut |element| {
        if found.is_none() && element.name == "IncidentID" {
            found = Walk::whole(element.clone(), &mut Ignored::new()).ok();
        }
    });
    found
}

impl Unread {
    /// Why, in the words of RFC 6545: what is over a limit or contradicts itself cannot be processed, anything else
    /// is of a form that nobody knows.
    pub fn justification(&self) -> Justification {
        match &self.why {
            BadDocument::Xml(
                Malformed::Long(_) | Malformed::Deep | Malformed::Many | Malformed::Attributes(_),
            )
            | BadDocument::Contradiction(_) => Justification::CannotProcess,
            _ => Justification::UnrecognizedFormat,
        }
    }

    /// The answer of a domain to whoever sent it.
    pub fn refusal(&self, domain: &str, to: &str, at: Stamp) -> Message {
        let unknown = || IncidentId { id: "unknown".into(), name: to.into() };
        let about = self.about.clone().unwrap_or_else(unknown);
        let (justification, why) = (self.justification(), self.to_string());
        let status = Status::Refused { justification, why };
        let reply = Reply::bare(about.id, domain, status, Tlp::default(), 0);
        let envelope =
            Envelope { to: to.into(), origin: about.name, region: Region::default(), at };
        Message { envelope, body: Body::Answer(reply) }
    }
}
