//! XML as this project reads and writes it: small trees, within limits, without anything external.
//!
//! [`read`](Element::read) makes an [`Element`] of hostile bytes, [`Walk`] takes it apart, and
//! [`write`](Element::write) turns one into bytes. What documents mean is in [`crate::iodef`] and
//! [`crate::rid`]; nothing here knows.

mod read;
mod walk;
mod write;

pub use read::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS, MAX_NAME, Malformed};
pub use walk::{BadDocument, Ignored, Read, Walk};

pub(crate) use walk::parsed;

/// An element with all that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its namespace.
    pub ns: Ns,
    /// Its name without a prefix.
    pub name: String,
    /// Its attributes as they are written, with prefixes; declarations of namespaces are not among them.
    pub attributes: Vec<(String, String)>,
    /// Elements and texts in their order.
    pub children: Vec<Child>,
}

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Child {
    /// Another element.
    Element(Element),
    /// Text, with everything resolved.
    Text(String),
}

/// A namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ns {
    /// RID 2.0. Source: RFC 6545 section 5.4.
    Rid,
    /// IODEF 1.00. Source: RFC 5070.
    Iodef1,
    /// IODEF 2.00. Source: RFC 7970.
    Iodef2,
    /// Another one.
    Other(Box<str>),
    /// None.
    None,
}

impl Ns {
    /// Its name.
    pub fn uri(&self) -> &str {
        match self {
            Self::Rid => "urn:ietf:params:xml:ns:iodef-rid-2.0",
            Self::Iodef1 => "urn:ietf:params:xml:ns:iodef-1.0",
            Self::Iodef2 => "urn:ietf:params:xml:ns:iodef-2.0",
            Self::Other(uri) => uri,
            Self::None => "",
        }
    }

    /// The namespace of a name.
    pub fn of(uri: &str) -> Self {
        let known = [Self::Rid, Self::Iodef1, Self::Iodef2, Self::None];
        known.into_iter().find(|ns| ns.uri() == uri).unwrap_or_else(|| Self::Other(uri.into()))
    }
}

impl Element {
    /// An element that holds nothing yet.
    pub fn new(ns: Ns, name: &str) -> Self {
        Self { ns, name: name.into(), attributes: vec![], children: vec![] }
    }

    /// With an attribute.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.attributes.push((name.into(), value.into()));
        self
    }

    /// With an attribute, where there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.children.push(Child::Text(text.into()));
        self
    }

    /// With elements behind those that it has.
    #[must_use]
    pub fn and(mut self, elements: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(elements.into_iter().map(Child::Element));
        self
    }

    /// Calls `see` with this element and all within it, outer ones first.
    pub fn each<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        for child in &self.children {
            if let Child::Element(element) = child {
                element.each(see);
            }
        }
    }
}
