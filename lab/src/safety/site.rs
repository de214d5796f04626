//! A site's policy: what the local administrator lets experiments do with this host.
//!
//! ```toml
//! # /etc/ashiato/site.toml
//! contacts = ["NOC of XA, +00 0000 0000"]
//! peers = ["192.0.2.12"]                     # hosts that tunnels may lead to
//! hours = ["08:00-18:00"]                    # UTC
//! blacklist = ["198.18.4.0/24"]              # never, whoever signs
//! caps = { packets_per_second = 2000 }
//! [[signer]]
//! role = "nation/XA"
//! person = "A. Tanaka"
//! key = "..."                                # as `ashiato manifest key` prints it
//! ```
//! No message from outside reads, writes or widens it.

use super::bounds::{Bounds, Caps};
use super::clock::Utc;
use super::signature::Role;
use crate::exit::Exit;
use crate::hosts::placement;
use anyhow::Result;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where it is looked for.
pub const PATH: &str = "/etc/ashiato/site.toml";

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Whether runs need a signed manifest.
    pub manifest: Need,
    /// Whom to call when something goes wrong, for incident drafts.
    pub contacts: Vec<String>,
    /// How much a run may send from here.
    pub caps: Caps,
    /// When runs may send, in UTC; always where empty.
    pub hours: Vec<Hours>,
    /// Addresses of hosts that tunnels may lead to; those of the manifest where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<BTreeSet<IpAddr>>,
    /// Where packets may come from and go to; all of the testbed's ranges where left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<BTreeSet<IpNet>>,
    /// Where they may not, whoever signs.
    pub blacklist: BTreeSet<IpNet>,
    /// Names of hosts that this one never works with.
    pub blacklisted_hosts: BTreeSet<String>,
    /// Folder of used nonces, revocations, incidents and the log of evidence. It must survive a restart.
    pub records: PathBuf,
    /// Whose signatures count, and for what.
    #[serde(rename = "signer")]
    pub signers: Vec<Pinned>,
    /// Whether a file says all this.
    #[serde(skip)]
    pub written: bool,
}

/// Whether runs need a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Always.
    #[default]
    Required,
    /// Not on networks that lead nowhere else; it is looked whether they do.
    InternalNetworksNeedNone,
}

/// A key that somebody may sign with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// As whom.
    pub role: Role,
    /// Whose it is.
    pub person: String,
    /// The public key in hex.
    pub key: String,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            manifest: Need::default(),
            contacts: vec![],
            caps: Caps::default(),
            hours: vec![],
            peers: None,
            allow: None,
            blacklist: BTreeSet::new(),
            blacklisted_hosts: BTreeSet::new(),
            records: "/var/lib/ashiato/safety".into(),
            signers: vec![],
            written: false,
        }
    }
}

impl Site {
    /// Reads the file; where there is none, what lets nothing begin.
    ///
    /// # Errors
    /// [`Exit::Usage`] names the file, and the line and key that is wrong.
    pub fn read(path: &Path) -> Result<Self> {
        match path.try_exists() {
            Ok(false) => Ok(Self::default()),
            _ => Ok(Self { written: true, ..placement::read(path)? }),
        }
    }

    /// What this site leaves of what is allowed.
    pub fn bounds(&self) -> Bounds {
        let all = Bounds::of_caps(self.caps);
        let allow = self.allow.clone().unwrap_or_else(|| all.allow.clone());
        Bounds { allow, deny: self.blacklist.clone(), peers: self.peers.clone(), ..all }
    }

    /// Refuses a time outside the hours.
    ///
    /// # Errors
    /// [`Exit::Policy`].
    pub fn open_at(&self, now: Utc) -> Result<()> {
        if self.hours.is_empty() || self.hours.iter().any(|h| h.hold(now)) {
            return Ok(());
        }
        let hours: Vec<String> = self.hours.iter().map(ToString::to_string).collect();
        Err(Exit::Policy.refuse(format!(
            "it is {now} here, and this site lets experiments send only {} UTC",
            hours.join(" and ")
        )))
    }
}

/// A part of the day, such as `08:00-18:00`, or `22:00-04:00` over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: u32,
    to: u32,
}

impl Hours {
    fn hold(&self, now: Utc) -> bool {
        let now = now.minute_of_day();
        match self.from <= self.to {
            true => (self.from..self.to).contains(&now),
            false => now >= self.from || now < self.to,
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for Hours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let minutes = |clock: &str| {
            let (hour, minute) = clock.trim().split_once(':')?;
            let (hour, minute) = (hour.parse::<u32>().ok()?, minute.parse::<u32>().ok()?);
            (hour * 60 + minute <= 24 * 60 && minute < 60).then_some(hour * 60 + minute)
        };
        let ends = text.split_once('-').and_then(|(a, b)| Some((minutes(a)?, minutes(b)?)));
        let (from, to) = ends.ok_or_else(|| {
            format!("\"{text}\" are no hours; write them as \"08:00-18:00\", in UTC")
        })?;
        Ok(Self { from, to })
    }
}

impl TryFrom<String> for Hours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_may_cross_midnight() {
        let at = |clock: &str| -> Utc { format!("2026-11-22T{clock}:00Z").parse().unwrap() };
        let day: Hours = "08:00-18:00".parse().unwrap();
        assert!(day.hold(at("08:00")) && !day.hold(at("18:00")) && !day.hold(at("03:00")));
        let night: Hours = "22:00-04:00".parse().unwrap();
        assert!(night.hold(at("23:59")) && night.hold(at("03:59")) && !night.hold(at("04:00")));
        assert_eq!(night.to_string(), "22:00-04:00");
        assert!("8-18".parse::<Hours>().is_err() && "25:00-26:00".parse::<Hours>().is_err());
    }

    #[test]
    fn a_file_may_say_little() {
        let site: Site = toml::from_str("caps = { packets_per_second = 100 }").unwrap();
        assert_eq!(site.caps, Caps { packets_per_second: 100, ..Caps::USUAL });
        assert_eq!(site.manifest, Need::Required);
        assert!(toml::from_str::<Site>("peer = []").is_err());
        let text = toml::to_string(&Site { written: true, ..site.clone() }).unwrap();
        assert_eq!(toml::from_str::<Site>(&text).unwrap(), site);
    }
}
