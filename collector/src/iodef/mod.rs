//! IODEF: documents about incidents.
//!
//! The part of version 2 (RFC 7970) that a trace needs, in XML and in JSON (RFC 8727), and of version 1
//! (RFC 5070) what RFC 6545 and its users wrote, read only. What is not modelled is counted ([`Read`]),
//! never an error. Labels: [`restriction`].
//!
//! In JSON there are neither `Flow` nor `Record`: systems and records lie directly in an event. The model does so,
//! too, hence systems of several flows of one event become one row.

mod contact;
mod event;
mod json;
mod record;
pub mod restriction;
mod stamp;
mod system;

pub use contact::{Contact, Email};
pub use event::{EventData, Expectation};
pub use record::{Extension, RecordData};
pub use stamp::Stamp;
pub use system::{Address, Counter, DomainData, Node, NodeRole, System};

use crate::xml::{self, BadDocument, Element, Ignored, Ns, Walk};
use serde::{Deserialize, Serialize};
use std::fmt;
use traceback::disclose::Tlp;

/// A document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// `2.0` in JSON, `2.00` in XML; here the former.
    pub version: String,
    /// Language of its texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Incidents, one at least.
    #[serde(rename = "Incident")]
    pub incident: Vec<Incident>,
}

/// A document that was read, and what was not read of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// The document. Labels are raised to the strictest one within what bears them.
    pub document: Document,
    /// What it holds besides.
    pub ignored: Ignored,
}

/// What happened, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Incident {
    /// Why it is told: `traceback`, `mitigation`, `reporting`, `watch`, `other`, `ext-value`.
    #[serde(rename = "purpose")]
    pub purpose: String,
    /// Another reason.
    #[serde(rename = "ext-purpose", default, skip_serializing_if = "Option::is_none")]
    pub ext_purpose: Option<String>,
    /// Who may see it; `private` where nothing is said.
    #[serde(rename = "restriction", default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// A label that `restriction` does not have.
    #[serde(rename = "ext-restriction", default, skip_serializing_if = "Option::is_none")]
    pub ext_restriction: Option<String>,
    /// Its identity.
    #[serde(rename = "IncidentID")]
    pub incident_id: IncidentId,
    /// When it was noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect_time: Option<Stamp>,
    /// When the document was made; in version 1 when the incident was reported.
    pub generation_time: Stamp,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description: Vec<Text>,
    /// Who has to do with it; the first one made the document.
    pub contact: Vec<Contact>,
    /// What is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_data: Vec<EventData>,
    /// What has no other place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_data: Vec<Extension>,
}

/// An incident's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentId {
    /// The identity, unique for `name`.
    pub id: String,
    /// Who gave it.
    pub name: String,
}

/// A text for people. Which language it is in is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "AnyText")]
pub struct Text(pub String);

#[derive(Deserialize)]
#[serde(untagged)]
enum AnyText {
    Plain(String),
    Full { value: String },
}

impl From<AnyText> for Text {
    fn from(any: AnyText) -> Self {
        match any {
            AnyText::Plain(text) | AnyText::Full { value: text } => Self(text),
        }
    }
}

impl Document {
    /// A document of incidents.
    pub fn new(incident: Vec<Incident>) -> Self {
        Self { version: VERSION.into(), lang: Some("en".into()), incident }
    }

    /// The strictest label in it.
    pub fn label(&self) -> Tlp {
        self.incident.iter().map(Incident::label).max().unwrap_or_default()
    }

    /// Reads XML of version 1 or 2.
    ///
    /// # Errors
    /// No document, or one without what it must have.
    pub fn from_xml(bytes: &[u8]) -> Result<Read, BadDocument> {
        Self::from_element(Element::read(bytes)?)
    }

    /// Reads the element of a document.
    ///
    /// # Errors
    /// As [`Self::from_xml`].
    pub fn from_element(root: Element) -> Result<Read, BadDocument> {
        if root.name != "IODEF-Document" || !matches!(root.ns, Ns::Iodef1 | Ns::Iodef2) {
            let (found, ns) = (root.name, root.ns.uri().into());
            return Err(BadDocument::Root { found, ns, want: "IODEF document" });
        }
        let mut ignored = Ignored::new();
        let document = Walk::whole(root, &mut ignored)?;
        Ok(Read { document, ignored })
    }

    /// Its XML, version 2.
    pub fn to_xml(&self) -> Vec<u8> {
        self.to_element().write()
    }

    /// Its element, version 2.
    pub fn to_element(&self) -> Element {
        tag("IODEF-Document")
            .with("version", "2.00")
            .with_some("xml:lang", self.lang.as_deref())
            .and(self.incident.iter().map(Incident::write))
    }

    /// Reads JSON (RFC 8727).
    ///
    /// # Errors
    /// No document, or one without what it must have.
    pub fn from_json(bytes: &[u8]) -> Result<Read, BadDocument> {
        json::read(bytes)
    }

    /// Its JSON (RFC 8727). The same document gives the same bytes.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("invariant: a document is plain data")
    }
}

/// The version in JSON. Source: RFC 8727 section 3.2.
const VERSION: &str = "2.0";

impl xml::Read for Document {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let want: &[&str] = if walk.is_first() { &["1.00", "1.0"] } else { &["2.00"] };
        match walk.attribute("version") {
            Some(version) if !want.contains(&version.trim()) => {
                return Err(BadDocument::value("IODEF-Document@version", &version));
            }
            Some(_) | None => {}
        }
        let lang = walk.attribute("xml:lang").or_else(|| walk.attribute("lang"));
        let incident: Vec<Incident> = walk.all("Incident")?;
        if incident.is_empty() {
            return Err(BadDocument::missing("Incident", walk.name()));
        }
        Ok(Self { version: VERSION.into(), lang, incident })
    }
}

impl Incident {
    /// Its label.
    pub fn label(&self) -> Tlp {
        let own = restriction::label(self.restriction.as_deref(), self.ext_restriction.as_deref());
        // What nothing is said of is private. Source: RFC 7970 section 3.2.
        own.unwrap_or(Tlp::Red)
    }

    /// Sets its label.
    pub fn set_label(&mut self, label: Tlp) {
        (self.restriction, self.ext_restriction) = restriction::words(label);
    }

    fn write(&self) -> Element {
        let id = tag("IncidentID").with("name", &self.incident_id.name).text(&self.incident_id.id);
        tag("Incident")
            .with("purpose", &self.purpose)
            .with_some("ext-purpose", self.ext_purpose.as_deref())
            .with_some("restriction", self.restriction.as_deref())
            .with_some("ext-restriction", self.ext_restriction.as_deref())
            .and([id])
            .and(self.detect_time.iter().map(|at| at.write("DetectTime")))
            .and([self.generation_time.write("GenerationTime")])
            .and(self.description.iter().map(|text| text.write("Description")))
            .and(self.contact.iter().map(Contact::write))
            .and(self.event_data.iter().map(EventData::write))
            .and(self.additional_data.iter().map(|more| more.write("AdditionalData")))
    }
}

impl xml::Read for Incident {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let (restriction, ext_restriction) = restriction::read(walk, Some(Tlp::Red))?;
        let made = if walk.is_first() { "ReportTime" } else { "GenerationTime" };
        let contact: Vec<Contact> = walk.all("Contact")?;
        if contact.is_empty() {
            return Err(BadDocument::missing("Contact", walk.name()));
        }
        Ok(Self {
            purpose: walk.needed("purpose")?,
            ext_purpose: walk.attribute("ext-purpose"),
            restriction,
            ext_restriction,
            incident_id: walk.one("IncidentID")?,
            detect_time: walk.maybe("DetectTime")?,
            generation_time: walk.one(made)?,
            description: walk.all("Description")?,
            contact,
            event_data: walk.all("EventData")?,
            additional_data: walk.all("AdditionalData")?,
        })
    }
}

impl xml::Read for IncidentId {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let id = walk.text().trim().to_owned();
        if id.is_empty() {
            return Err(BadDocument::value(walk.name(), ""));
        }
        Ok(Self { id, name: walk.needed("name")? })
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.id, self.name)
    }
}

impl Text {
    fn write(&self, name: &str) -> Element {
        tag(name).text(&self.0)
    }
}

impl xml::Read for Text {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self(walk.text()))
    }
}

/// An element of version 2.
fn tag(name: &str) -> Element {
    Element::new(Ns::Iodef2, name)
}
