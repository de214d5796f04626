//! A scheme's fact sheet.

use crate::slot::Slot;
use serde::Serialize;

/// Who keeps a scheme's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keeper {
    /// An observer at the victim: marks travel inside packets.
    Victim,
    /// Every router, which answers questions and hands nothing out.
    Routers,
    /// Nobody.
    None,
}

/// What a scheme's answer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// Whole router paths.
    Paths,
    /// The routers where traffic entered.
    Ingress,
    /// Whole paths of autonomous systems.
    AsPaths,
    /// Fingerprints of paths, without routers.
    Classes,
    /// Nothing: the control.
    Nothing,
}

/// Whom a scheme needs on every way for its answers to be sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reliance {
    /// Nobody: what routers that stay silent do not write is missing, and nothing else is.
    Nobody,
    /// The first router, which begins the mark.
    Entrance,
    /// Every router, since hops are numbered by the TTL.
    Everybody,
}

/// A scheme's fact sheet. The CLI, the documents and the comparison tables are made from it.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Card {
    /// The scheme's one word: file, id, TOML key.
    pub id: &'static str,
    /// Full name.
    pub title: &'static str,
    /// Authors, venue, year, section.
    pub paper: &'static str,
    /// Where the mark lives in IPv4.
    pub v4: Slot,
    /// Where it lives in IPv6.
    pub v6: Slot,
    /// Whether it appends records to room that the sender reserved.
    pub records: bool,
    /// Who keeps the ledger.
    pub keeper: Keeper,
    /// What it names.
    pub names: Names,
    /// Whether reconstruction needs a map of routers and links.
    pub needs_map: bool,
    /// Whether packets must be grouped by flow to be decoded; mixed paths give [`crate::case::Gap::Mixed`].
    pub groups_by_flow: bool,
    /// Whether the router's step draws from chance.
    pub draws: bool,
    /// Whether the router's step hashes the packet, with default parameters.
    pub hashes: bool,
    /// A mark in a fragment's Identification breaks its reassembly.
    pub harms: &'static str,
    /// State at a router.
    pub state: &'static str,
}

impl Card {
    /// Where the mark lives in packets of one version of IP.
    #[inline]
    pub const fn slot(&self, v6: bool) -> Slot {
        if v6 { self.v6 } else { self.v4 }
    }
}
