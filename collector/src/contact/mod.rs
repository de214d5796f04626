//! Points of contact: whom to reach in which domain, by a directory that somebody signed.
//!
//! [`Directory`] is the list, [`signed::Signed`] the list with its signature as it travels, and [`readiness`] what a
//! domain says of how ready it is. Who does not answer in time is followed by who comes next in its entry:
//! [`Directory::escalate`].

pub mod readiness;
pub mod signed;

use crate::clock::Utc;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;
use traceback::disclose::Hours;

/// Version of the format.
pub const SCHEMA: &str = "ashiato.contacts/1";

/// Points of contact of several domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it was written.
    pub issued: Utc,
    /// One entry for each domain.
    #[serde(default, rename = "contact")]
    pub contacts: Vec<Contact>,
}

/// A domain's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// Its word.
    pub domain: String,
    /// Its nation, two letters.
    #[serde(default)]
    pub nation: String,
    /// Its organisation.
    #[serde(default)]
    pub organisation: String,
    /// Its AS numbers.
    #[serde(default)]
    pub asns: Vec<u32>,
    /// Its addresses.
    #[serde(default)]
    pub prefixes: Vec<IpNet>,
    /// Its difference from UTC, as people there write it, such as "+09:00".
    #[serde(default)]
    pub time_zone: String,
    /// Until when the entry may be relied on.
    pub valid_until: Utc,
    /// Who is to be reached, in the order in which to try.
    #[serde(default, rename = "desk")]
    pub desks: Vec<Desk>,
    /// Domains to turn to where no desk answers.
    #[serde(default)]
    pub escalation: Vec<String>,
}

/// A desk: a role and how to reach whoever fills it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Desk {
    /// What it does: operation, csirt, legal, police.
    pub role: String,
    /// Languages spoken, two letters each.
    #[serde(default)]
    pub languages: Vec<String>,
    /// When somebody is there, in UTC; always, where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// How to reach it: an address of mail, a number, a RID endpoint.
    #[serde(default)]
    pub reach: Vec<String>,
    /// Its public key, where it signs (Ed25519, hex).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Why a directory cannot be used although every key is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDirectory {
    /// Another format.
    #[error("schema must be \"{SCHEMA}\", not \"{0}\"")]
    Schema(String),
    /// Two entries of one domain.
    #[error("{0} has two entries")]
    Twice(String),
    /// Nobody to reach.
    #[error("{0} has no desk")]
    NoDesk(String),
    /// An escalation that leads nowhere.
    #[error("{0} escalates to {1}, which has no entry")]
    Nowhere(String, String),
}

impl Directory {
    /// Refuses what no single key shows.
    ///
    /// # Errors
    /// [`BadDirectory`] names the entry.
    pub fn check(&self) -> Result<(), BadDirectory> {
        if self.schema != SCHEMA {
            return Err(BadDirectory::Schema(self.schema.clone()));
        }
        let mut known = BTreeSet::new();
        for contact in &self.contacts {
            if !known.insert(&contact.domain) {
                return Err(BadDirectory::Twice(contact.domain.clone()));
            }
            if contact.desks.is_empty() {
                return Err(BadDirectory::NoDesk(contact.domain.clone()));
            }
        }
        for contact in &self.contacts {
            if let Some(lost) = contact.escalation.iter().find(|word| !known.contains(word)) {
                return Err(BadDirectory::Nowhere(contact.domain.clone(), lost.clone()));
            }
        }
        Ok(())
    }

    /// A domain's entry.
    pub fn of(&self, domain: &str) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.domain == domain)
    }

    /// The entry of whoever an address belongs to: that with the longest prefix.
    pub fn at(&self, address: IpAddr) -> Option<&Contact> {
        let covers = |contact: &Contact| {
            let within = contact.prefixes.iter().filter(|net| net.contains(&address));
            within.map(IpNet::prefix_len).max()
        };
        let found = self.contacts.iter().filter_map(|c| Some((covers(c)?, c)));
        found.max_by_key(|(length, _)| *length).map(|(_, contact)| contact)
    }

    /// Whom to turn to where a domain's entry has expired or nobody there answers: the other desks of an entry in
    /// force, those that are there now first, then the desks of the domains that it escalates to.
    pub fn escalate(&self, domain: &str, now: Utc) -> Vec<Reach> {
        let Some(contact) = self.of(domain) else { return vec![] };
        let beyond = contact.escalation.iter().filter_map(|word| self.of(word));
        let all = std::iter::once(contact).chain(beyond).filter(|c| c.is_valid(now));
        all.flat_map(|contact| contact.reach(now)).collect()
    }
}

/// Somebody to turn to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The domain.
    pub domain: String,
    /// The desk.
    pub desk: Desk,
    /// Whether somebody is there now.
    pub open: bool,
}

impl Contact {
    /// Whether the entry may still be relied on.
    pub fn is_valid(&self, now: Utc) -> bool {
        now < self.valid_until
    }

    /// Its desks in order, those that are there now first.
    pub fn reach(&self, now: Utc) -> Vec<Reach> {
        let open = |desk: &Desk| desk.hours.is_none_or(|hours| hours.hold(now.0));
        let reach = |desk: &Desk| Reach {
            domain: self.domain.clone(),
            open: open(desk),
            desk: desk.clone(),
        };
        let mut all: Vec<Reach> = self.desks.iter().map(reach).collect();
        all.sort_by_key(|reach| !reach.open);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        toml::from_str(
            r#"
            schema = "ashiato.contacts/1"
            issued = "2026-11-01T00:00:00Z"
            [[contact]]
            domain = "xa"
            prefixes = ["198.18.0.0/16"]
            valid_until = "2027-01-01T00:00:00Z"
            escalation = ["isac"]
            [[contact.desk]]
            role = "operation"
            hours = "08:00-18:00"
            languages = ["ja", "en"]
            reach = ["noc@xa.example"]
            [[contact.desk]]
            role = "csirt"
            [[contact]]
            domain = "xb"
            prefixes = ["198.18.7.0/24", "2001:2::/48"]
            valid_until = "2026-11-02T00:00:00Z"
            escalation = ["isac"]
            [[contact.desk]]
            role = "operation"
            [[contact]]
            domain = "isac"
            valid_until = "2027-01-01T00:00:00Z"
            [[contact.desk]]
            role = "csirt"
            "#,
        )
        .unwrap()
    }

    #[test]
    fn an_address_leads_to_its_contact_in_one_step() {
        let directory = directory();
        directory.check().unwrap();
        let at = |text: &str| directory.at(text.parse().unwrap()).map(|c| c.domain.as_str());
        assert_eq!((at("198.18.1.1"), at("198.18.7.1")), (Some("xa"), Some("xb")));
        assert_eq!((at("2001:2::1"), at("192.0.2.1")), (Some("xb"), None));
    }

    #[test]
    fn who_is_silent_or_expired_is_followed_by_the_next() {
        let (directory, noon) = (directory(), "2026-11-03T12:00:00Z".parse().unwrap());
        let roles = |domain: &str, now| -> Vec<(String, String, bool)> {
            let all = directory.escalate(domain, now).into_iter();
            all.map(|r| (r.domain, r.desk.role, r.open)).collect()
        };
        let (xa, isac) = ("xa".to_owned(), ("isac".to_owned(), "csirt".to_owned(), true));
        let day = [(xa.clone(), "operation".into(), true), (xa.clone(), "csirt".into(), true)];
        assert_eq!(roles("xa", noon), [day.to_vec(), vec![isac.clone()]].concat());
        let night = roles("xa", "2026-11-03T22:00:00Z".parse().unwrap());
        assert_eq!(night[0], (xa, "csirt".into(), true));
        assert!(!night[1].2);
        // An expired entry's own desks are not tried.
        assert_eq!(roles("xb", noon), [isac]);
        assert_eq!(roles("xz", noon), []);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let good = directory();
        let mut bad = good.clone();
        bad.contacts[0].escalation = vec!["nobody".into()];
        assert!(matches!(bad.check(), Err(BadDirectory::Nowhere(..))));
        bad = good.clone();
        bad.contacts[1].domain = "xa".into();
        assert!(matches!(bad.check(), Err(BadDirectory::Twice(_))));
        bad = Directory { schema: "x".into(), ..good.clone() };
        assert!(matches!(bad.check(), Err(BadDirectory::Schema(_))));
        bad = good;
        bad.contacts[2].desks.clear();
        assert!(matches!(bad.check(), Err(BadDirectory::NoDesk(_))));
    }
}
