//! Hosts, routers and networks.

use super::{Extension, Text, tag};
use crate::xml::{self, BadDocument, Element, Walk, parsed};
use serde::{Deserialize, Serialize};

/// Something that took part.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct System {
    /// As what: `source`, `target`, `intermediate`, ...
    #[serde(rename = "category", default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Whose it is, seen by who made the document: `organization` (its own), `partner`, `unknown`, ...
    #[serde(rename = "ownership", default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<String>,
    /// Where it is.
    pub node: Node,
    /// What it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub node_role: Vec<NodeRole>,
    /// What was counted at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counter: Vec<Counter>,
    /// For people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub description: Vec<Text>,
    /// What has no other place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_data: Vec<Extension>,
}

/// Names and addresses, one at least.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_data: Vec<DomainData>,
    /// Addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<Address>,
    /// Where on Earth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub location: Vec<Text>,
    /// What was counted at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counter: Vec<Counter>,
}

/// A name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainData {
    /// What is known of the name's host, `unknown` from us.
    #[serde(rename = "system-status")]
    pub system_status: String,
    /// What is known of the name's registration, `unknown` from us.
    #[serde(rename = "domain-status")]
    pub domain_status: String,
    /// The name.
    #[serde(rename = "Name")]
    pub name: String,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub value: String,
    /// Of which kind: `asn`, `ipv4-addr`, ...
    pub category: String,
    /// Of another kind.
    #[serde(rename = "ext-category", default, skip_serializing_if = "Option::is_none")]
    pub ext_category: Option<String>,
}

/// What a node does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRole {
    /// Its role, such as `infra-router`.
    pub category: String,
    /// Another role.
    #[serde(rename = "ext-category", default, skip_serializing_if = "Option::is_none")]
    pub ext_category: Option<String>,
}

/// Something counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    /// How many.
    pub value: f64,
    /// `count`, `peak` or `average`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of what: `packet`, `byte`, ...
    pub unit: String,
}

impl System {
    pub(super) fn write(&self) -> Element {
        tag("System")
            .with_some("category", self.category.as_deref())
            .with_some("ownership", self.ownership.as_deref())
            .and([self.node.write()])
            .and(self.node_role.iter().map(NodeRole::write))
            .and(self.counter.iter().map(Counter::write))
            .and(self.description.iter().map(|text| text.write("Description")))
            .and(self.additional_data.iter().map(|more| more.write("AdditionalData")))
    }
}

impl xml::Read for System {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            category: walk.attribute("category"),
            ownership: walk.attribute("ownership"),
            node: walk.one("Node")?,
            node_role: walk.all("NodeRole")?,
            counter: walk.all("Counter")?,
            description: walk.all("Description")?,
            additional_data: walk.all("AdditionalData")?,
        })
    }
}

impl Node {
    /// A node with a name.
    pub fn named(name: &str) -> Self {
        Self { domain_data: vec![DomainData::new(name)], ..Self::default() }
    }

    /// A node with an address.
    pub fn at(category: &str, value: &str) -> Self {
        let (value, category) = (value.into(), category.into());
        Self { address: vec![Address { value, category, ext_category: None }], ..Self::default() }
    }

    /// Its first address of a kind.
    pub fn address(&self, category: &str) -> Option<&str> {
        let found = self.address.iter().find(|address| address.category == category);
        found.map(|address| address.value.trim())
    }

    fn write(&self) -> Element {
        tag("Node")
            .and(self.domain_data.iter().map(DomainData::write))
            .and(self.address.iter().map(Address::write))
            .and(self.location.iter().map(|text| text.write("Location")))
            .and(self.counter.iter().map(Counter::write))
    }
}

impl xml::Read for Node {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let domain_data = if walk.is_first() {
            let names: Vec<String> = walk.all("NodeName")?;
            names.iter().map(|name| DomainData::new(name.trim())).collect()
        } else {
            walk.all("DomainData")?
        };
        let address: Vec<Address> = walk.all("Address")?;
        if domain_data.is_empty() && address.is_empty() {
            return Err(BadDocument::missing("name or address", walk.name()));
        }
        let (location, counter) = (walk.all("Location")?, walk.all("Counter")?);
        Ok(Self { domain_data, address, location, counter })
    }
}

impl DomainData {
    /// A name of which no more is known.
    pub fn new(name: &str) -> Self {
        let unknown = || "unknown".to_owned();
        Self { name: name.into(), system_status: unknown(), domain_status: unknown() }
    }

    fn write(&self) -> Element {
        tag("DomainData")
            .with("system-status", &self.system_status)
            .with("domain-status", &self.domain_status)
            .and([tag("Name").text(&self.name)])
    }
}

impl xml::Read for DomainData {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let mut own = Self::new(&walk.one::<String>("Name")?);
        // JSON asks for both, XML for neither.
        own.system_status = walk.attribute("system-status").unwrap_or(own.system_status);
        own.domain_status = walk.attribute("domain-status").unwrap_or(own.domain_status);
        Ok(own)
    }
}

impl Address {
    fn write(&self) -> Element {
        tag("Address")
            .with("category", &self.category)
            .with_some("ext-category", self.ext_category.as_deref())
            .text(&self.value)
    }
}

impl xml::Read for Address {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        // Each version has a default of its own. Source: RFC 5070 and RFC 7970, section 3.18.1.
        let unsaid = if walk.is_first() { "ipv4-addr" } else { "ipv6-addr" };
        Ok(Self {
            category: walk.attribute("category").unwrap_or_else(|| unsaid.into()),
            ext_category: walk.attribute("ext-category"),
            value: walk.text(),
        })
    }
}

impl NodeRole {
    fn write(&self) -> Element {
        tag("NodeRole")
            .with("category", &self.category)
            .with_some("ext-category", self.ext_category.as_deref())
    }
}

impl xml::Read for NodeRole {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let (category, ext_category) = (walk.needed("category")?, walk.attribute("ext-category"));
        Ok(Self { category, ext_category })
    }
}

impl Counter {
    fn write(&self) -> Element {
        tag("Counter")
            .with("type", &self.kind)
            .with("unit", &self.unit)
            .text(&self.value.to_string())
    }
}

impl xml::Read for Counter {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let text = walk.text();
        let value: f64 = parsed(walk.name(), &text)?;
        if !value.is_finite() {
            return Err(BadDocument::value(walk.name(), &text));
        }
        let kind = walk.needed("type")?;
        if walk.is_first() {
            // What version 1 calls the type is version 2's unit.
            return Ok(Self { value, unit: kind, kind: "count".into() });
        }
        Ok(Self { value, kind, unit: walk.needed("unit")? })
    }
}
