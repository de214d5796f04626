//! Trees from hostile bytes.
//!
//! A document has a size, a depth, a number of elements and of attributes that cannot be passed. Document
//! types are refused, hence entities but the five that XML has, and everything external.

use super::{Child, Element, Ns};
use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use std::collections::BTreeSet;

/// Longest document. A question with 1,000 packets of 80 bytes has half of it.
pub const MAX_BYTES: usize = 2 << 20;
/// Elements within each other. Replies that 100 domains chain have about 110.
pub const MAX_DEPTH: usize = 256;
/// Elements of a document.
pub const MAX_ELEMENTS: usize = 50_000;
/// Attributes of an element; no element of ours has half as many.
pub const MAX_ATTRIBUTES: usize = 32;
/// Longest name of an element or attribute, in bytes.
pub const MAX_NAME: usize = 128;

/// Bytes that are no document, or one that nobody has to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Longer than [`MAX_BYTES`].
    #[error("the document has {0} bytes; at most {MAX_BYTES} are read")]
    Long(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("elements lie deeper than {MAX_DEPTH}")]
    Deep,
    /// More than [`MAX_ELEMENTS`].
    #[error("there are more than {MAX_ELEMENTS} elements")]
    Many,
    /// More than [`MAX_ATTRIBUTES`].
    #[error("<{0}> has more than {MAX_ATTRIBUTES} attributes")]
    Attributes(String),
    /// Longer than [`MAX_NAME`], or empty.
    #[error("a name is empty or longer than {MAX_NAME} bytes")]
    Name,
    /// Another encoding than UTF-8, or bytes that are none.
    #[error("the document is not in UTF-8; send it so")]
    Encoding,
    /// A document type, which could declare entities.
    #[error("the document declares a type (<!DOCTYPE>), which is refused; leave it out")]
    DocumentType,
    /// An entity that XML does not have.
    #[error(
        "the entity \"{0}\" is refused; there are lt, gt, amp, apos, quot and characters by number"
    )]
    Entity(String),
    /// A character that XML does not have.
    #[error("the character U+{:04X} may not stand in XML", *.0 as u32)]
    Character(char),
    /// A prefix that stands for no namespace.
    #[error("the prefix \"{0}\" stands for no namespace")]
    Prefix(String),
    /// An identity that two elements have.
    #[error("two elements have the observable-id \"{0}\"")]
    SameId(String),
    /// Nothing, or something behind the end.
    #[error("a document is one element, with nothing beside it")]
    Root,
    /// Anything else that XML forbids.
    #[error("no well-formed XML: {0}")]
    Syntax(String),
}

impl Element {
    /// The tree that the bytes say. Comments and instructions to programs are left out.
    ///
    /// # Errors
    /// They are too much, or no XML.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > MAX_BYTES {
            return Err(Malformed::Long(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Encoding)?;
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        reader.config_mut().check_comments = true;
        let mut tree = Tree::default();
        loop {
            match reader.read_event().map_err(|e| Malformed::Syntax(e.to_string()))? {
                Event::Start(start) => tree.open(&reader, &start)?,
                Event::End(_) => tree.close(),
                Event::Text(text) => tree.text(&text.xml10_content())?,
                Event::CData(data) => tree.text(&data.xml10_content())?,
                Event::GeneralRef(reference) => tree.text(&resolved(&reference)?)?,
                Event::Decl(decl) => {
                    if decl.encoding().is_some_and(|e| e.is_ok_and(|e| !is_utf8(&e))) {
                        return Err(Malformed::Encoding);
                    }
                }
                Event::DocType(_) => return Err(Malformed::DocumentType),
                Event::Eof => return tree.root(),
                Event::Empty(_) | Event::Comment(_) | Event::PI(_) => {}
            }
        }
    }
}

fn is_utf8(encoding: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"].iter().any(|name| encoding.eq_ignore_ascii_case(name))
}

/// The character that a reference stands for.
fn resolved(reference: &BytesRef<'_>) -> Result<String, Malformed> {
    let wrong = || Malformed::Entity(reference.chars().take(MAX_NAME).collect());
    if let Some(char) = reference.resolve_char_ref().map_err(|_| wrong())? {
        return Ok(char.into());
    }
    let one = quick_xml::escape::resolve_xml_entity(reference).ok_or_else(wrong)?;
    Ok(one.into())
}

/// Whether XML 1.0 has the character.
pub(super) fn is_xml(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A tree that grows.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    done: Option<Element>,
    elements: usize,
    ids: BTreeSet<String>,
}

impl Tree {
    fn open(&mut self, reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<(), Malformed> {
        self.elements += 1;
        if self.elements > MAX_ELEMENTS {
            return Err(Malformed::Many);
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Malformed::Deep);
        }
        if self.done.is_some() {
            return Err(Malformed::Root);
        }
        let (bound, local) = reader.resolver().resolve_element(start.name());
        let ns = match bound {
            ResolveResult::Bound(ns) => Ns::of(ns.0),
            ResolveResult::Unbound => Ns::None,
            ResolveResult::Unknown(prefix) => return Err(Malformed::Prefix(prefix)),
        };
        let attributes = attributes(start)?;
        for (name, value) in &attributes {
            if name == "observable-id" && !self.ids.insert(value.clone()) {
                return Err(Malformed::SameId(value.clone()));
            }
        }
        let name = named(local.as_ref())?;
        self.open.push(Element { ns, name, attributes, children: vec![] });
        Ok(())
    }

    fn close(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Child::Element(element)),
            None => self.done = Some(element),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Malformed> {
        allowed(text)?;
        let Some(element) = self.open.last_mut() else {
            // Beside the root there may be white space, and nothing else.
            return if text.trim().is_empty() { Ok(()) } else { Err(Malformed::Root) };
        };
        // References split what is one text.
        match element.children.last_mut() {
            Some(Child::Text(before)) => before.push_str(text),
            _ => element.children.push(Child::Text(text.into())),
        }
        Ok(())
    }

    fn root(self) -> Result<Element, Malformed> {
        if !self.open.is_empty() {
            return Err(Malformed::Syntax("an element does not end".into()));
        }
        self.done.ok_or(Malformed::Root)
    }
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, Malformed> {
    let mut found = vec![];
    for (n, attribute) in start.attributes().enumerate() {
        if n == MAX_ATTRIBUTES {
            return Err(Malformed::Attributes(named(start.name().as_ref())?));
        }
        let attribute = attribute.map_err(|e| Malformed::Syntax(e.to_string()))?;
        let value = attribute
            .normalized_value(XmlVersion::Explicit1_0)
            .map_err(|e| Malformed::Syntax(e.to_string()))?;
        allowed(&value)?;
        if attribute.key.as_namespace_binding().is_none() {
            found.push((named(attribute.key.as_ref())?, value.into_owned()));
        }
    }
    Ok(found)
}

fn named(name: &str) -> Result<String, Malformed> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Err(Malformed::Name);
    }
    Ok(name.into())
}

fn allowed(text: &str) -> Result<(), Malformed> {
    text.chars().find(|c| !is_xml(*c)).map_or(Ok(()), |c| Err(Malformed::Character(c)))
}
