//! Bytes from trees.

use super::read::is_xml;
use super::{Child, Element, Ns};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::borrow::Cow;

impl Element {
    /// The document whose root this is, in UTF-8. The same tree gives the same bytes. Characters that XML does
    /// not have become U+FFFD.
    pub fn write(&self) -> Vec<u8> {
        let mut writer = Writer::new(vec![]);
        let decl = Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None));
        writer
            .write_event(decl)
            .and_then(|()| self.write_into(&mut writer, None))
            .expect("invariant: memory takes every byte");
        writer.into_inner()
    }

    fn write_into(&self, writer: &mut Writer<Vec<u8>>, above: Option<&Ns>) -> std::io::Result<()> {
        let name = match prefix(&self.ns) {
            Some(prefix) => Cow::Owned(format!("{prefix}:{}", self.name)),
            None => Cow::Borrowed(self.name.as_str()),
        };
        let mut start = BytesStart::new(name.as_ref());
        for (key, value) in self.declares(above) {
            start.push_attribute((key.as_str(), value));
        }
        for (key, value) in &self.attributes {
            start.push_attribute((key.as_str(), clean(value).as_ref()));
        }
        if self.children.is_empty() {
            return writer.write_event(Event::Empty(start));
        }
        writer.write_event(Event::Start(start))?;
        for child in &self.children {
            match child {
                Child::Element(element) => element.write_into(writer, Some(&self.ns))?,
                Child::Text(text) => {
                    writer.write_event(Event::Text(BytesText::new(&clean(text))))?;
                }
            }
        }
        writer.write_event(Event::End(BytesEnd::new(name.as_ref())))
    }

    /// Namespaces that this element declares: the root those with prefixes, others their own where it is another
    /// than that of the element above.
    fn declares(&self, above: Option<&Ns>) -> Vec<(String, &str)> {
        let mut own = vec![];
        if above.is_none() && self.ns == Ns::Rid {
            own.extend(
                PREFIXED.iter().filter_map(|ns| Some((format!("xmlns:{}", prefix(ns)?), ns.uri()))),
            );
        }
        let is_default = above.map_or(self.ns == Ns::None, |above| *above == self.ns);
        if prefix(&self.ns).is_none() && !is_default {
            own.push(("xmlns".into(), self.ns.uri()));
        }
        own
    }
}

/// What a RID message declares at its root.
static PREFIXED: [Ns; 2] = [Ns::Rid, Ns::Iodef1];

/// The prefix that RFC 6545 uses; other namespaces are the default within their elements.
fn prefix(ns: &Ns) -> Option<&'static str> {
    match ns {
        Ns::Rid => Some("iodef-rid"),
        Ns::Iodef1 => Some("iodef"),
        Ns::Iodef2 | Ns::Other(_) | Ns::None => None,
    }
}

fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_xml) {
        return text.into();
    }
    text.chars().map(|c| if is_xml(c) { c } else { '\u{fffd}' }).collect()
}
