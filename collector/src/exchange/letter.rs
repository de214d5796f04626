//! The seam between questions and documents: RID (RFC 6545) on the wire, [`Inquiry`] and [`Reply`] within.

use super::{EXERCISE, Inquiry, Reply, Status};
use crate::iodef::{Contact, Document, Incident, IncidentId, Stamp};
use crate::rid::{Body, Envelope, Message};
use std::time::SystemTime;
use traceback::disclose::{Region, Tlp};

pub use crate::rid::CONTENT_TYPE as MEDIA;

/// What one domain writes to another.
#[derive(Debug, Clone, PartialEq)]
pub enum Letter {
    /// A question.
    Inquiry(Inquiry),
    /// An answer, or the word that people must decide first.
    Reply(Reply),
    /// Something told unasked: an alert, or the exercise of being reached.
    Report(Document),
    /// A question about what is known of an incident.
    Query(Option<String>),
}

/// A document that is no letter, and what is said to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why.
    pub why: String,
    /// Whether it is plain what the document was about, so that the answer belongs to something.
    pub has_subject: bool,
    /// The answer.
    pub answer: Vec<u8>,
}

impl Letter {
    /// Reads a document of a peer. What documents of other makers leave out is what the connection says.
    ///
    /// # Errors
    /// [`Unreadable`], with the answer to it in the name of `me`.
    pub fn read(bytes: &[u8], peer: &str, me: &str) -> Result<Self, Unreadable> {
        let message = Message::read(bytes).map_err(|unread| Unreadable {
            why: unread.to_string(),
            has_subject: unread.about.is_some(),
            answer: unread.refusal(me, peer, now()).write(),
        })?;
        let Message { envelope, body } = message.message;
        Ok(match body {
            Body::Ask(mut inquiry) => {
                own(&mut inquiry.asker, peer);
                own(&mut inquiry.origin, peer);
                Self::Inquiry(inquiry)
            }
            Body::Answer(mut reply) => {
                own(&mut reply.domain, peer);
                Self::Reply(reply)
            }
            Body::Taken { id } => {
                let status = Status::Pending { by_ms: None };
                Self::Reply(Reply::bare(id, peer, status, Tlp::default(), 0))
            }
            Body::Report(document) => Self::Report(document),
            Body::Query { id } => Self::Query(id.filter(|_| !envelope.origin.is_empty())),
        })
    }
}

/// A question to a peer as a document.
pub fn ask(inquiry: &Inquiry, to: &str, region: Region) -> Vec<u8> {
    let envelope = Envelope { region, ..Envelope::asking(inquiry, to, now()) };
    Message { envelope, body: Body::Ask(inquiry.clone()) }.write()
}

/// An answer to a peer as a document; `origin` is the domain that began.
pub fn answer(reply: &Reply, to: &str, origin: &str) -> Vec<u8> {
    Message { envelope: envelope(to, origin), body: Body::Answer(reply.clone()) }.write()
}

/// What became of a question that was put to a peer, asked for anew.
pub fn query(id: &str, to: &str, origin: &str) -> Vec<u8> {
    Message { envelope: envelope(to, origin), body: Body::Query { id: Some(id.into()) } }.write()
}

/// The reply in a report, where it tells one.
pub fn told(report: &Document) -> Option<Reply> {
    crate::rid::reply_in(report).ok().flatten()
}

/// The word that a report was taken.
pub fn taken(id: &str, to: &str) -> Vec<u8> {
    Message { envelope: envelope(to, to), body: Body::Taken { id: id.into() } }.write()
}

/// A report that says nothing but that somebody tries whether it arrives.
pub fn exercise(id: &str, from: &str, to: &str) -> Vec<u8> {
    let mut incident = Incident {
        purpose: "other".into(),
        ext_purpose: None,
        restriction: None,
        ext_restriction: None,
        incident_id: IncidentId { id: id.into(), name: from.into() },
        detect_time: None,
        generation_time: now(),
        description: vec![crate::iodef::Text(EXERCISE.into())],
        contact: vec![Contact::organization("creator", from)],
        event_data: vec![],
        additional_data: vec![],
    };
    incident.set_label(Tlp::Green);
    let body = Body::Report(Document::new(vec![incident]));
    Message { envelope: envelope(to, from), body }.write()
}

fn envelope(to: &str, origin: &str) -> Envelope {
    Envelope { to: to.into(), origin: origin.into(), region: Region::default(), at: now() }
}

fn now() -> Stamp {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Stamp::from_unix_ns(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
}

fn own(name: &mut String, peer: &str) {
    if name.is_empty() {
        peer.clone_into(name);
    }
}
