//! Labels of the Traffic Light Protocol in STIX.
//!
//! TLP 2.0 is an extension that OASIS defines; tools that do not know it read the markings of TLP 1, which STIX
//! has always had. Where both are there the stricter one holds, so TLP 1's is never the looser one.
//!
//! Source: STIX 2.1 section 7.2.1.4; OASIS CTI common objects, extension definition of TLP 2.0.

use serde_json::{Value, json};
use traceback::disclose::Tlp;

/// The extension of TLP 2.0.
const EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// Identities of the markings of TLP 2.0 and TLP 1 for a label.
pub(super) fn refs(label: Tlp) -> [&'static str; 2] {
    const WHITE: &str = "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9";
    const GREEN: &str = "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da";
    const AMBER: &str = "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82";
    const RED: &str = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed";
    match label {
        Tlp::Clear => ["marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", WHITE],
        Tlp::Green => ["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", GREEN],
        Tlp::Amber => ["marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", AMBER],
        // TLP 1's AMBER lets clients see it.
        Tlp::AmberStrict => ["marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", RED],
        Tlp::Red => ["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", RED],
    }
}

/// The label that an object's markings say, the strictest of them; none where there is none that is known.
pub fn label(refs: &[&str]) -> Option<Tlp> {
    Tlp::ALL.into_iter().filter(|tlp| refs.contains(&self::refs(*tlp)[0])).max()
}

/// The markings themselves, which a bundle holds so that nobody has to look them up.
pub(super) fn markings(label: Tlp) -> [Value; 2] {
    let [second, first] = refs(label);
    let old = match label {
        Tlp::Clear => "white",
        Tlp::Green => "green",
        Tlp::Amber => "amber",
        Tlp::AmberStrict | Tlp::Red => "red",
    };
    [
        json!({
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": second,
            "created": "2022-10-01T00:00:00.000Z",
            "name": label.to_string(),
            "extensions": {
                EXTENSION: {
                    "extension_type": "property-extension",
                    "tlp_2_0": label.word().to_lowercase(),
                },
            },
        }),
        json!({
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": first,
            "created": "2017-01-20T00:00:00.000Z",
            "definition_type": "tlp",
            "name": format!("TLP:{}", old.to_uppercase()),
            "definition": { "tlp": old },
        }),
    ]
}

/// A marking's identity.
pub(super) fn id_of(marking: &Value) -> String {
    marking["id"].as_str().unwrap_or_default().to_owned()
}
