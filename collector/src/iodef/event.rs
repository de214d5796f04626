//! What is known of an incident, as events within events.

use super::{Contact, Extension, RecordData, Stamp, System, Text, restriction, tag};
use crate::xml::{self, BadDocument, Element, Walk};
use serde::{Deserialize, Serialize};
use traceback::disclose::Tlp;

/// An event.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EventData {
    /// Who may see it; as the incident where nothing is said.
    #[serde(rename = "restriction", default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<String>,
    /// A label that `restriction` does not have.
    #[serde(rename = "ext-restriction", default, skip_serializing_if = "Option::is_none")]
    pub ext_restriction: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description: Vec<Text>,
    /// Who has to do with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact: Vec<Contact>,
    /// Hosts, routers and networks that took part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system: Vec<System>,
    /// What is wanted of whoever reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expectation: Vec<Expectation>,
    /// Evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub record_data: Vec<RecordData>,
    /// Events within this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_data: Vec<Self>,
    /// What has no other place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_data: Vec<Extension>,
}

/// What is wanted of whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Expectation {
    /// What is to be done, such as `investigate` or `rate-limit-host`.
    #[serde(rename = "action", default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description: Vec<Text>,
    /// When it is of no use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Stamp>,
}

impl EventData {
    /// Its label, where it says one.
    pub fn label(&self) -> Option<Tlp> {
        restriction::label(self.restriction.as_deref(), self.ext_restriction.as_deref())
    }

    /// Sets its label.
    pub fn set_label(&mut self, label: Tlp) {
        (self.restriction, self.ext_restriction) = restriction::words(label);
    }

    pub(super) fn write(&self) -> Element {
        let within =
            |name, elements: Vec<Element>| (!elements.is_empty()).then(|| tag(name).and(elements));
        let systems = self.system.iter().map(System::write).collect();
        let records = self.record_data.iter().map(RecordData::write).collect();
        tag("EventData")
            .with_some("restriction", self.restriction.as_deref())
            .with_some("ext-restriction", self.ext_restriction.as_deref())
            .and(self.description.iter().map(|text| text.write("Description")))
            .and(self.contact.iter().map(Contact::write))
            .and(within("Flow", systems))
            .and(self.expectation.iter().map(Expectation::write))
            .and(within("Record", records))
            .and(self.event_data.iter().map(Self::write))
            .and(self.additional_data.iter().map(|more| more.write("AdditionalData")))
    }
}

impl xml::Read for EventData {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let (restriction, ext_restriction) = restriction::read(walk, None)?;
        let flows: Vec<Flow> = walk.all("Flow")?;
        let record: Option<Record> = walk.maybe("Record")?;
        Ok(Self {
            restriction,
            ext_restriction,
            description: walk.all("Description")?,
            contact: walk.all("Contact")?,
            system: flows.into_iter().flat_map(|flow| flow.0).collect(),
            expectation: walk.all("Expectation")?,
            record_data: record.map_or_else(Vec::new, |record| record.0),
            event_data: walk.all("EventData")?,
            additional_data: walk.all("AdditionalData")?,
        })
    }
}

/// Only in XML.
struct Flow(Vec<System>);

impl xml::Read for Flow {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self(walk.all("System")?))
    }
}

/// Only in XML.
struct Record(Vec<RecordData>);

impl xml::Read for Record {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self(walk.all("RecordData")?))
    }
}

impl Expectation {
    fn write(&self) -> Element {
        tag("Expectation")
            .with_some("action", self.action.as_deref())
            .and(self.description.iter().map(|text| text.write("Description")))
            .and(self.end_time.iter().map(|at| at.write("EndTime")))
    }
}

impl xml::Read for Expectation {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            action: walk.attribute("action"),
            description: walk.all("Description")?,
            end_time: walk.maybe("EndTime")?,
        })
    }
}
