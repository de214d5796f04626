//! Evidence, and what has no other place.

use super::{Stamp, Text, tag};
use crate::xml::{self, BadDocument, Element, Walk};
use serde::{Deserialize, Serialize};

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RecordData {
    /// When it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_time: Option<Stamp>,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description: Vec<Text>,
    /// The evidence itself, such as packets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub record_item: Vec<Extension>,
    /// What has no other place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_data: Vec<Extension>,
}

/// A value of a type that it names: evidence, or what IODEF has no class for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Extension {
    /// The value. Elements in it are not kept.
    pub value: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is: `string`, `integer`, `ipv4-packet`, ...
    pub dtype: String,
    /// Another type.
    #[serde(rename = "ext-dtype", default, skip_serializing_if = "Option::is_none")]
    pub ext_dtype: Option<String>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<String>,
    /// Whose format it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formatid: Option<String>,
}

impl RecordData {
    pub(super) fn write(&self) -> Element {
        tag("RecordData")
            .and(self.date_time.iter().map(|at| at.write("DateTime")))
            .and(self.description.iter().map(|text| text.write("Description")))
            .and(self.record_item.iter().map(|item| item.write("RecordItem")))
            .and(self.additional_data.iter().map(|more| more.write("AdditionalData")))
    }
}

impl xml::Read for RecordData {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            date_time: walk.maybe("DateTime")?,
            description: walk.all("Description")?,
            record_item: walk.all("RecordItem")?,
            additional_data: walk.all("AdditionalData")?,
        })
    }
}

impl Extension {
    pub(super) fn write(&self, name: &str) -> Element {
        tag(name)
            .with_some("name", self.name.as_deref())
            .with("dtype", &self.dtype)
            .with_some("ext-dtype", self.ext_dtype.as_deref())
            .with_some("meaning", self.meaning.as_deref())
            .with_some("formatid", self.formatid.as_deref())
            .text(&self.value)
    }
}

impl xml::Read for Extension {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            name: walk.attribute("name"),
            dtype: walk.needed("dtype")?,
            ext_dtype: walk.attribute("ext-dtype"),
            meaning: walk.attribute("meaning"),
            formatid: walk.attribute("formatid"),
            value: walk.text(),
        })
    }
}
