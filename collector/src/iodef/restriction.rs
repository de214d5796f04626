//! Labels of IODEF, and what they are in the Traffic Light Protocol.
//!
//! Version 2 has words for the labels of TLP 1; TLP 2.0's `AMBER+STRICT` is an extension. Words of other
//! policies become the label that is at least as strict, so that no label is loosened on its way:
//!
//! | IODEF | TLP 2.0 |
//! |---|---|
//! | `white`, `public` | CLEAR |
//! | `green` | GREEN |
//! | `amber`, `partner`, `default` | AMBER |
//! | `need-to-know`, `amber+strict` as extension | AMBER+STRICT |
//! | `red`, `private`, any other extension | RED |

use crate::xml::{BadDocument, Element, Walk};
use traceback::disclose::Tlp;

/// The label that the words of an element say: `restriction` and `ext-restriction`. None where nothing is said.
pub fn label(restriction: Option<&str>, extension: Option<&str>) -> Option<Tlp> {
    Some(match restriction?.trim() {
        "white" | "public" => Tlp::Clear,
        "green" => Tlp::Green,
        "amber" | "partner" | "default" => Tlp::Amber,
        "need-to-know" => Tlp::AmberStrict,
        "ext-value" => extension.and_then(|word| word.trim().parse().ok()).unwrap_or(Tlp::Red),
        _ => Tlp::Red,
    })
}

/// The words for a label.
pub fn words(label: Tlp) -> (Option<String>, Option<String>) {
    let word = match label {
        Tlp::Clear => "white",
        Tlp::Green => "green",
        Tlp::Amber => "amber",
        Tlp::AmberStrict => return (Some("ext-value".into()), Some("amber+strict".into())),
        Tlp::Red => "red",
    };
    (Some(word.into()), None)
}

/// The word of version 1 for a label, which only has coarse ones: never a looser one.
pub fn first(label: Tlp) -> &'static str {
    match label {
        Tlp::Clear => "public",
        Tlp::Green | Tlp::Amber | Tlp::AmberStrict => "need-to-know",
        Tlp::Red => "private",
    }
}

/// All words that `restriction` may be. Source: RFC 7970 section 3.3.1.
pub(super) const WORDS: [&str; 10] = [
    "default",
    "public",
    "partner",
    "need-to-know",
    "private",
    "white",
    "green",
    "amber",
    "red",
    "ext-value",
];

/// The words that an element gets: its own, or where something within it is stricter, that. `unsaid` is the label
/// of an element that says nothing.
pub(super) fn read(
    walk: &mut Walk<'_>,
    unsaid: Option<Tlp>,
) -> Result<(Option<String>, Option<String>), BadDocument> {
    let within = strictest(walk.element())?;
    let own = (walk.attribute("restriction"), walk.attribute("ext-restriction"));
    let said = label(own.0.as_deref(), own.1.as_deref());
    match (said.or(unsaid), within) {
        (Some(said), Some(within)) if within > said => Ok(words(within)),
        (None, Some(within)) => Ok(words(within)),
        (Some(_), _) | (None, None) => Ok(own),
    }
}

/// The strictest label in an element and all within it, `None` where there is none.
pub(crate) fn strictest(element: &Element) -> Result<Option<Tlp>, BadDocument> {
    let (mut most, mut bad) = (None, None);
    element.each(&mut |e| {
        let value =
            |name| e.attributes.iter().find(|(key, _)| key == name).map(|(_, v)| v.as_str());
        let word = value("restriction");
        if let Some(word) = word.filter(|word| !WORDS.contains(&word.trim())) {
            bad = Some(BadDocument::value(format!("{}@restriction", e.name), word));
        }
        most = most.max(label(word, value("ext-restriction")));
    });
    bad.map_or(Ok(most), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_is_loosened() {
        for tlp in Tlp::ALL {
            let (word, extension) = words(tlp);
            assert_eq!(label(word.as_deref(), extension.as_deref()), Some(tlp));
            assert!(label(Some(first(tlp)), None) >= Some(tlp), "{tlp}");
        }
        assert_eq!(label(Some("ext-value"), Some("our-eyes-only")), Some(Tlp::Red));
        assert_eq!(label(Some("ext-value"), None), Some(Tlp::Red));
        assert_eq!(label(None, Some("amber+strict")), None);
        assert!(WORDS.iter().all(|word| label(Some(word), None).is_some()));
    }
}
