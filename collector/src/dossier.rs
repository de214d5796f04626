//! All that is known of a question: itself, and the replies to it. What people keep, export and hand on.

use crate::exchange::{Inquiry, Reply};
use crate::iodef::{Document, Stamp};
use crate::rid::{self, Body, Envelope, Message};
use crate::stix;
use serde::{Deserialize, Serialize};
use traceback::disclose::{Region, Tlp};

/// A question and the replies to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dossier {
    /// The question.
    pub inquiry: Inquiry,
    /// The replies, in the order in which they came.
    pub replies: Vec<Reply>,
    /// When this was put together, in milliseconds since the Unix epoch. Documents bear this time, so that the same
    /// dossier gives the same bytes.
    pub at_unix_ms: u64,
}

impl Dossier {
    /// The strictest label in it. Whatever is made of it bears this one.
    pub fn label(&self) -> Tlp {
        self.replies.iter().map(Reply::label).fold(self.inquiry.tlp, Tlp::max)
    }

    /// When it was put together; times that no document can say are its last one.
    pub fn at(&self) -> Stamp {
        Stamp::from_unix_ms(self.at_unix_ms).unwrap_or_else(|| Stamp::from_unix_ns(u64::MAX))
    }

    /// As a document of IODEF: one incident, with an event for each reply.
    pub fn iodef(&self) -> Document {
        let mut incident = rid::incident_of_inquiry(&self.inquiry, self.at());
        incident.event_data.extend(self.replies.iter().map(rid::event_of_reply));
        incident.set_label(self.label());
        Document::new(vec![incident])
    }

    /// As a report to a domain.
    pub fn report(&self, to: &str) -> Message {
        let (to, origin) = (to.into(), self.inquiry.origin.clone());
        let envelope = Envelope { to, origin, region: Region::default(), at: self.at() };
        Message { envelope, body: Body::Report(self.iodef()) }
    }

    /// As a bundle of STIX 2.1.
    pub fn stix(&self) -> serde_json::Value {
        stix::bundle(self)
    }
}
