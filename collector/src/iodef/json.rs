//! Documents in JSON: what RFC 8727 makes of the same classes.

use super::{Document, Read, restriction};
use crate::xml::{BadDocument, Ignored, MAX_BYTES, Malformed};
use serde_json::Value;
use traceback::disclose::Tlp;

/// Reads a document; labels are raised to the strictest one within what bears them.
pub(super) fn read(bytes: &[u8]) -> Result<Read, BadDocument> {
    if bytes.len() > MAX_BYTES {
        return Err(Malformed::Long(bytes.len()).into());
    }
    let bad = |error: serde_json::Error| BadDocument::Json(error.to_string());
    let mut value: Value = serde_json::from_slice(bytes).map_err(bad)?;
    raise("", &mut value)?;
    let mut ignored = Ignored::new();
    let document: Document = serde_ignored::deserialize(value, |path| {
        *ignored.entry(unnumbered(&path.to_string())).or_default() += 1;
    })
    .map_err(bad)?;
    if document.version != super::VERSION {
        return Err(BadDocument::value("version", &document.version));
    }
    // What XML must have, JSON must have: there is one place that knows.
    let Read { document, .. } = Document::from_element(document.to_element())?;
    Ok(Read { document, ignored })
}

/// A path without positions, so that what comes often is counted as one thing.
fn unnumbered(path: &str) -> String {
    let parts = path.split('.').filter(|part| part.parse::<u32>().is_err());
    parts.collect::<Vec<_>>().join("/")
}

/// Raises the labels of incidents and events to the strictest one within each; `name` is the member that the value
/// is of. Returns the strictest one of all.
fn raise(name: &str, value: &mut Value) -> Result<Option<Tlp>, BadDocument> {
    let members = match value {
        Value::Array(items) => {
            return items.iter_mut().try_fold(None, |most, item| Ok(raise(name, item)?.max(most)));
        }
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(None),
    };
    let mut most = None;
    for (name, member) in members.iter_mut() {
        most = raise(name, member)?.max(most);
    }
    let word = |key: &str| members.get(key).and_then(Value::as_str);
    if let Some(word) = word("restriction").filter(|word| !restriction::WORDS.contains(word)) {
        return Err(BadDocument::value("restriction", word));
    }
    let said = restriction::label(word("restriction"), word("ext-restriction"));
    // An incident that says nothing is private already.
    let own = said.or((name == "Incident").then_some(Tlp::Red));
    if let Some(label) = most.filter(|_| most > own && ["Incident", "EventData"].contains(&name)) {
        let (word, extension) = restriction::words(label);
        members.remove("ext-restriction");
        members.insert("restriction".into(), word.into());
        members.extend(extension.map(|e| ("ext-restriction".to_owned(), e.into())));
    }
    Ok(most.max(said))
}
