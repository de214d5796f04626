//! Taking a tree apart: each element by what it may hold, the rest counted.

use super::{Child, Element, Malformed, Ns};
use std::collections::BTreeMap;
use std::str::FromStr;

/// What a document holds that nobody here reads, such as `Incident/Assessment` or `System@interface`, with how
/// often it came.
pub type Ignored = BTreeMap<String, u32>;

/// A document that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDocument {
    /// Not even XML, or too much of it.
    #[error(transparent)]
    Xml(#[from] Malformed),
    /// No JSON, or not of the shape.
    #[error("no document in JSON: {0}")]
    Json(String),
    /// Another document than was expected.
    #[error("<{found}> in \"{ns}\" is no {want}")]
    Root {
        /// Its name.
        found: String,
        /// Its namespace.
        ns: String,
        /// What was expected.
        want: &'static str,
    },
    /// A part that must be there is not.
    #[error("{within} has no {what}")]
    Missing {
        /// The part.
        what: String,
        /// Where it should be.
        within: String,
    },
    /// A part that may be there once is there more often.
    #[error("{within} has more than one {what}")]
    Twice {
        /// The part.
        what: String,
        /// Where it is.
        within: String,
    },
    /// A value that the part cannot have.
    #[error("{at} cannot be \"{value}\"")]
    Value {
        /// The part.
        at: String,
        /// The value, its beginning where it is long.
        value: String,
    },
    /// Two parts say different things.
    #[error("{0}")]
    Contradiction(String),
}

impl BadDocument {
    /// A value that a part cannot have.
    pub(crate) fn value(at: impl Into<String>, value: &str) -> Self {
        Self::Value { at: at.into(), value: value.chars().take(80).collect() }
    }

    /// A part that is not there.
    pub(crate) fn missing(what: &str, within: &str) -> Self {
        Self::Missing { what: what.into(), within: within.into() }
    }

    /// A part that is there too often.
    pub(crate) fn twice(what: &str, within: &str) -> Self {
        Self::Twice { what: what.into(), within: within.into() }
    }
}

/// What can be read out of an element.
pub trait Read: Sized {
    /// Takes what it needs.
    ///
    /// # Errors
    /// Something is missing, doubled or has an impossible value.
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument>;
}

/// An element that is being taken apart. Every part that is asked for is taken out; what remains at the end
/// is counted.
#[derive(Debug)]
pub struct Walk<'a> {
    element: Element,
    ignored: &'a mut Ignored,
}

impl Walk<'_> {
    /// Reads the whole of an element.
    ///
    /// # Errors
    /// As its own reading.
    pub fn whole<T: Read>(element: Element, ignored: &mut Ignored) -> Result<T, BadDocument> {
        let mut walk = Walk { element, ignored };
        let read = T::read(&mut walk)?;
        walk.finish();
        Ok(read)
    }

    /// The element as far as it is still there.
    pub fn element(&self) -> &Element {
        &self.element
    }

    /// Its name, for errors.
    pub fn name(&self) -> &str {
        &self.element.name
    }

    /// Whether it is of IODEF 1, which is read as far as RFC 6545 needs it.
    pub fn is_first(&self) -> bool {
        self.element.ns == Ns::Iodef1
    }

    /// An attribute.
    pub fn attribute(&mut self, name: &str) -> Option<String> {
        let at = self.element.attributes.iter().position(|(key, _)| key == name)?;
        Some(self.element.attributes.remove(at).1)
    }

    /// An attribute that must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn needed(&mut self, name: &str) -> Result<String, BadDocument> {
        self.attribute(name).ok_or_else(|| BadDocument::missing(name, self.name()))
    }

    /// The text of the element itself, as it stands.
    pub fn text(&mut self) -> String {
        let mut text = String::new();
        self.element.children.retain(|child| match child {
            Child::Text(part) => {
                text.push_str(part);
                false
            }
            Child::Element(_) => true,
        });
        text
    }

    /// All elements of a name, of the namespace of this one.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn all<T: Read>(&mut self, name: &str) -> Result<Vec<T>, BadDocument> {
        let ns = self.element.ns.clone();
        self.all_of(&ns, name)
    }

    /// All elements of a name and namespace.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn all_of<T: Read>(&mut self, ns: &Ns, name: &str) -> Result<Vec<T>, BadDocument> {
        let is_one =
            |child: &mut Child| matches!(child, Child::Element(e) if e.name == name && e.ns == *ns);
        let taken: Vec<_> = self.element.children.extract_if(.., is_one).collect();
        let elements = taken.into_iter().filter_map(|child| match child {
            Child::Element(element) => Some(element),
            Child::Text(_) => None,
        });
        elements.map(|element| Walk::whole(element, self.ignored)).collect()
    }

    /// The element of a name, where there is one.
    ///
    /// # Errors
    /// There are more, or it cannot be read.
    pub fn maybe<T: Read>(&mut self, name: &str) -> Result<Option<T>, BadDocument> {
        let ns = self.element.ns.clone();
        self.maybe_of(&ns, name)
    }

    /// The element of a name and namespace, where there is one.
    ///
    /// # Errors
    /// There are more, or it cannot be read.
    pub fn maybe_of<T: Read>(&mut self, ns: &Ns, name: &str) -> Result<Option<T>, BadDocument> {
        let mut all = self.all_of(ns, name)?;
        let last = all.pop();
        if all.is_empty() { Ok(last) } else { Err(BadDocument::twice(name, self.name())) }
    }

    /// The element of a name, which must be there.
    ///
    /// # Errors
    /// There is none or more, or it cannot be read.
    pub fn one<T: Read>(&mut self, name: &str) -> Result<T, BadDocument> {
        self.maybe(name)?.ok_or_else(|| BadDocument::missing(name, self.name()))
    }

    /// Counts what was left.
    fn finish(self) {
        let Self { element, ignored } = self;
        let mut count = |what: String| *ignored.entry(what).or_default() += 1;
        for (name, _) in &element.attributes {
            // Where a schema lies is for validators, and the language of a text changes nothing.
            if !name.starts_with("xsi:") && name != "xml:lang" && name != "lang" {
                count(format!("{}@{name}", element.name));
            }
        }
        for child in &element.children {
            match child {
                Child::Element(e) => count(format!("{}/{}", element.name, e.name)),
                Child::Text(text) if text.trim().is_empty() => {}
                Child::Text(_) => count(format!("{}/text", element.name)),
            }
        }
    }
}

/// A text as it stands.
impl Read for String {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        Ok(walk.text())
    }
}

/// A value from text, without the white space around it.
pub(crate) fn parsed<T: FromStr>(at: &str, text: &str) -> Result<T, BadDocument> {
    text.trim().parse().map_err(|_| BadDocument::value(at, text))
}
