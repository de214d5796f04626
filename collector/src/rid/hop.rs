//! Hops and origins as IODEF's systems.
//!
//! A hop is a system of category `intermediate`, an origin one of category `source`. What shows no address
//! bears the domain's name, and says in `AdditionalData` what it is.

use super::own::{Own, own};
use crate::iodef::{Address, DomainData, Node, NodeRole, System, Text};
use crate::xml::{BadDocument, parsed};
use std::net::Ipv4Addr;
use traceback::RouterId;
use traceback::disclose::{Origin, Shown};

/// A hop of a domain.
pub(super) fn system_of(hop: &Shown, domain: &str) -> System {
    let mut system = System { category: Some("intermediate".into()), ..System::default() };
    system.node = match hop {
        Shown::Router { id } => Node::at("ipv4-addr", &id.to_string()),
        Shown::As { asn } => Node::at("asn", &asn.to_string()),
        Shown::Nation { nation } => {
            Node { location: vec![Text(nation.clone())], ..Node::named(domain) }
        }
        Shown::Alias { id } => alias(*id),
        Shown::Present | Shown::Hidden { .. } => Node::named(domain),
    };
    system.additional_data = match hop {
        Shown::Present => vec![own("present", "boolean", true)],
        Shown::Hidden { hops } => {
            vec![own("hidden", "string", hops.map_or_else(String::new, |n| n.to_string()))]
        }
        Shown::Router { .. } | Shown::As { .. } | Shown::Nation { .. } | Shown::Alias { .. } => {
            vec![]
        }
    };
    if let Shown::Router { .. } = hop {
        system.node_role = vec![NodeRole { category: "infra-router".into(), ext_category: None }];
    }
    system
}

/// A router by a word that only its domain resolves.
pub(super) fn alias(id: RouterId) -> Node {
    let value = format!("{:08x}", id.0);
    let (category, ext_category) = ("ext-value".into(), Some(ALIAS.into()));
    Node { address: vec![Address { value, category, ext_category }], ..Node::default() }
}

/// The word in a node, where there is one.
pub(super) fn alias_of(node: &Node) -> Result<Option<RouterId>, BadDocument> {
    let found = node.address.iter().find(|address| address.ext_category.as_deref() == Some(ALIAS));
    found.map(|address| word(&address.value)).transpose()
}

/// A word as eight hexadecimal digits.
pub(super) fn word(text: &str) -> Result<RouterId, BadDocument> {
    let bits = u32::from_str_radix(text.trim(), 16).map_err(|_| BadDocument::value(ALIAS, text))?;
    Ok(RouterId(bits))
}

const ALIAS: &str = "alias";

/// What a system shows. A router that has no address of IPv4 is taken for one that is not named.
pub(super) fn hop_of(system: &System) -> Result<Shown, BadDocument> {
    let (node, own) = (&system.node, Own(&system.additional_data));
    if let Some(hops) = own.one("hidden")? {
        let hops = (!hops.trim().is_empty()).then(|| parsed("hidden", hops)).transpose()?;
        return Ok(Shown::Hidden { hops });
    }
    if own.one("present")?.is_some() {
        return Ok(Shown::Present);
    }
    if let Some(id) = alias_of(node)? {
        return Ok(Shown::Alias { id });
    }
    if let Some(address) = node.address("ipv4-addr") {
        let address: Ipv4Addr = parsed("Address", address)?;
        return Ok(Shown::Router { id: address.into() });
    }
    if let Some(asn) = node.address("asn") {
        let digits = asn.strip_prefix("AS").unwrap_or(asn);
        return Ok(Shown::As { asn: parsed("Address", digits)? });
    }
    Ok(match node.location.first() {
        Some(Text(nation)) => Shown::Nation { nation: nation.clone() },
        None => Shown::Present,
    })
}

/// Where packets came from; none where nothing at all is known.
pub(super) fn source_of(origin: &Origin, domain: &str) -> Option<System> {
    let (ownership, names) = match origin {
        Origin::Inside => ("organization", vec![domain]),
        Origin::Domain { id } => ("partner", vec![id.as_str()]),
        Origin::Unknown { maybe } => ("unknown", maybe.iter().map(String::as_str).collect()),
    };
    (!names.is_empty()).then(|| System {
        category: Some("source".into()),
        ownership: Some(ownership.into()),
        node: Node {
            domain_data: names.into_iter().map(DomainData::new).collect(),
            ..Node::default()
        },
        ..System::default()
    })
}

/// What the systems of an event say of where packets came from.
pub(super) fn origin_of(systems: &[System]) -> Origin {
    let source = systems.iter().find(|system| system.category.as_deref() == Some("source"));
    let Some(source) = source else { return Origin::Unknown { maybe: vec![] } };
    let mut names = source.node.domain_data.iter().map(|data| data.name.clone());
    match source.ownership.as_deref() {
        Some("organization") => Origin::Inside,
        Some("partner") => match names.next_back() {
            Some(id) => Origin::Domain { id },
            None => Origin::Unknown { maybe: vec![] },
        },
        _ => Origin::Unknown { maybe: names.collect() },
    }
}
