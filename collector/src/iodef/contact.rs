//! Who has to do with an incident.

use super::{Text, tag};
use crate::xml::{self, BadDocument, Element, Walk};
use serde::{Deserialize, Serialize};

/// A person or an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Contact {
    /// What it has to do with it, such as `creator`, `provider`, `irt`.
    #[serde(rename = "role")]
    pub role: String,
    /// Another role.
    #[serde(rename = "ext-role", default, skip_serializing_if = "Option::is_none")]
    pub ext_role: Option<String>,
    /// `person` or `organization`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contact_name: Vec<Text>,
    /// Addresses of mail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub email: Vec<Email>,
}

/// An address of mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Email {
    /// The address.
    pub email_to: String,
}

impl Contact {
    /// An organisation by its name.
    pub fn organization(role: &str, name: &str) -> Self {
        let contact_name = vec![Text(name.into())];
        let (role, kind) = (role.into(), "organization".into());
        Self { role, ext_role: None, kind, contact_name, email: vec![] }
    }

    /// Its first name.
    pub fn name(&self) -> Option<&str> {
        self.contact_name.first().map(|text| text.0.as_str())
    }

    pub(super) fn write(&self) -> Element {
        tag("Contact")
            .with("role", &self.role)
            .with_some("ext-role", self.ext_role.as_deref())
            .with("type", &self.kind)
            .and(self.contact_name.iter().map(|text| text.write("ContactName")))
            .and(self.email.iter().map(|e| tag("Email").and([tag("EmailTo").text(&e.email_to)])))
    }
}

impl xml::Read for Contact {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(Self {
            role: walk.needed("role")?,
            ext_role: walk.attribute("ext-role"),
            kind: walk.needed("type")?,
            contact_name: walk.all("ContactName")?,
            email: walk.all("Email")?,
        })
    }
}

impl xml::Read for Email {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let email_to = if walk.is_first() { walk.text() } else { walk.one("EmailTo")? };
        Ok(Self { email_to })
    }
}
