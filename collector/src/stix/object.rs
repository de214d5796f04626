//! Objects of STIX and their identities.

use super::tlp;
use crate::iodef::Stamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use traceback::disclose::{Shown, Tlp};
use uuid::Uuid;

/// The namespace of observables' identities. Source: STIX 2.1 section 2.9.
const OBSERVABLES: Uuid = Uuid::from_u128(0x00ab_edb4_aa42_466c_9c01_fed2_3315_a9b7);
/// The namespace of all other identities, which is ours: the standard forbids to use the other one.
const OURS: Uuid = Uuid::from_u128(0x5b0f_7e1c_94c3_4d0e_9d7a_0c55_a1a5_1a70);

/// Objects by their identity, so that what is shown twice is there once.
pub(super) struct Objects {
    label: Tlp,
    at: String,
    objects: BTreeMap<String, Value>,
}

/// The identity of a domain as an organisation.
pub(super) fn domain_id(domain: &str) -> String {
    identity("identity", domain)
}

fn identity(kind: &str, key: &str) -> String {
    format!("{kind}--{}", Uuid::new_v5(&OURS, format!("{kind}/{key}").as_bytes()))
}

/// A time as STIX wants those of its own objects: in UTC, with three digits behind the second.
fn millis(at: Stamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}.{fraction:0<3.3}Z")
}

/// Without repetitions, in a fixed order.
pub(super) fn unique(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids.dedup();
    ids
}

impl Objects {
    pub(super) fn new(label: Tlp, at: Stamp) -> Self {
        let objects = tlp::markings(label).into_iter();
        let objects = objects.map(|marking| (tlp::id_of(&marking), marking)).collect();
        Self { label, at: millis(at), objects }
    }

    /// Adds an object of a domain; `key` tells it from others of its kind. Returns its identity.
    pub(super) fn add(&mut self, kind: &str, domain: &str, key: &str, mut what: Value) -> String {
        let id = identity(kind, &format!("{domain}/{key}"));
        what["created_by_ref"] = domain_id(domain).into();
        self.put(kind, id, what)
    }

    /// Adds a domain as an organisation.
    pub(super) fn domain(&mut self, domain: &str) -> String {
        let what = json!({ "name": domain, "identity_class": "organization" });
        self.put("identity", domain_id(domain), what)
    }

    /// Adds what a hop shows; none where it shows nothing that STIX could name.
    pub(super) fn shown(&mut self, hop: &Shown) -> Option<String> {
        match hop {
            Shown::Router { id } => Some(self.address(Ipv4Addr::from(*id).into())),
            Shown::As { asn } => {
                Some(self.observable("autonomous-system", json!({ "number": asn })))
            }
            Shown::Nation { nation } => {
                let what = json!({ "country": nation });
                Some(self.put("location", identity("location", nation), what))
            }
            Shown::Alias { .. } | Shown::Present | Shown::Hidden { .. } => None,
        }
    }

    pub(super) fn address(&mut self, address: IpAddr) -> String {
        let kind = if address.is_ipv4() { "ipv4-addr" } else { "ipv6-addr" };
        self.observable(kind, json!({ "value": address.to_string() }))
    }

    /// Adds the traffic between two addresses.
    pub(super) fn traffic(&mut self, source: &str, destination: &str, protocol: u8) -> String {
        let network = if source.starts_with("ipv4") { "ipv4" } else { "ipv6" };
        let mut protocols = vec![network.to_owned()];
        protocols.extend(match protocol {
            1 => Some("icmp".to_owned()),
            6 => Some("tcp".to_owned()),
            17 => Some("udp".to_owned()),
            58 => Some("ipv6-icmp".to_owned()),
            _ => None,
        });
        let what = json!({ "src_ref": source, "dst_ref": destination, "protocols": protocols });
        self.observable("network-traffic", what)
    }

    /// Adds an observable, all of whose members make up its identity.
    fn observable(&mut self, kind: &str, what: Value) -> String {
        let id = observable_id(kind, &what);
        let mut object = what;
        object["type"] = kind.into();
        object["spec_version"] = "2.1".into();
        object["id"] = id.as_str().into();
        object["object_marking_refs"] = json!(tlp::refs(self.label));
        self.objects.insert(id.clone(), object);
        id
    }

    fn put(&mut self, kind: &str, id: String, mut what: Value) -> String {
        what["type"] = kind.into();
        what["spec_version"] = "2.1".into();
        what["id"] = id.as_str().into();
        what["created"] = self.at.as_str().into();
        what["modified"] = self.at.as_str().into();
        what["object_marking_refs"] = json!(tlp::refs(self.label));
        self.objects.insert(id.clone(), what);
        id
    }

    /// All of them in one bundle, in the order of their identities.
    pub(super) fn bundle(self) -> Value {
        let objects: Vec<Value> = self.objects.into_values().collect();
        let key = canonical(&Value::Array(objects.clone()));
        json!({ "type": "bundle", "id": identity("bundle", &key), "objects": objects })
    }
}

/// The identity that STIX computes from what an observable is.
fn observable_id(kind: &str, what: &Value) -> String {
    format!("{kind}--{}", Uuid::new_v5(&OBSERVABLES, canonical(what).as_bytes()))
}

/// JSON with members in order and without white space (RFC 8785, for values that have no fractions).
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let ordered: BTreeMap<&String, &Value> = members.iter().collect();
            let member = |(key, value): (&String, &Value)| {
                format!("{}:{}", Value::String(key.clone()), canonical(value))
            };
            let members: Vec<String> = ordered.into_iter().map(member).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        let text = |ms| millis(Stamp::from_unix_ms(ms).unwrap());
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(1_795_309_200_250), "2026-11-22T01:00:00.250Z");
        assert_eq!(millis(Stamp::from_unix_ns(1_234_567)), "1970-01-01T00:00:00.001Z");
    }

    /// What the library `stix2` computes for the same things.
    #[test]
    fn identities_are_those_of_others() {
        let source = observable_id("ipv4-addr", &json!({ "value": "192.0.2.37" }));
        assert_eq!(source, "ipv4-addr--2492989f-1b38-53b5-8c46-a6b3a343cbff");
        let target = observable_id("ipv4-addr", &json!({ "value": "203.0.113.9" }));
        let system = observable_id("autonomous-system", &json!({ "number": 64501 }));
        assert_eq!(system, "autonomous-system--80389234-9da5-5d61-bcae-011ff3a94378");
        let traffic = json!({
            "src_ref": source, "dst_ref": target, "dst_port": 53, "protocols": ["ipv4", "udp"]
        });
        let traffic = observable_id("network-traffic", &traffic);
        assert_eq!(traffic, "network-traffic--3707cef7-e3d5-5797-ac71-c17017bac243");
    }
}
