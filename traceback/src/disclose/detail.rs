//! How much of its routers a domain shows.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much of its routers a domain shows, from most to least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// Every router by its name.
    Router,
    /// Routers with a link to another domain by their names, none of the others.
    Border,
    /// Autonomous systems, not routers.
    As,
    /// The nation, not its systems.
    Nation,
    /// Every router by a word that only the domain resolves: how many there are and which packets met the
    /// same one, but not who they are.
    Hash,
    /// Whether a packet passed, and nothing more.
    Presence,
    /// Nothing.
    None,
}

/// A word that is no detail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no detail; there are router, border, as, nation, hash, presence and none")]
pub struct BadDetail(String);

impl Detail {
    /// All of them, from most to least.
    pub const ALL: [Self; 7] = [
        Self::Router,
        Self::Border,
        Self::As,
        Self::Nation,
        Self::Hash,
        Self::Presence,
        Self::None,
    ];

    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Border => "border",
            Self::As => "as",
            Self::Nation => "nation",
            Self::Hash => "hash",
            Self::Presence => "presence",
            Self::None => "none",
        }
    }

    /// What both allow. A keyed hash names nothing but tells routers apart; what names a system or a nation
    /// does not, so the two have only a packet's presence in common.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        let coarse = |d| matches!(d, Self::Border | Self::As | Self::Nation);
        match (self, other) {
            (Self::Hash, d) | (d, Self::Hash) if coarse(d) => Self::Presence,
            (a, b) if a as u8 >= b as u8 => a,
            (_, b) => b,
        }
    }

    /// Whether everything that `other` shows may be shown under this one.
    pub fn allows(self, other: Self) -> bool {
        self.meet(other) == other
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Detail {
    type Err = BadDetail;

    fn from_str(text: &str) -> Result<Self, BadDetail> {
        let found = Self::ALL.into_iter().find(|d| d.word() == text);
        found.ok_or_else(|| BadDetail(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meeting_is_a_lattice() {
        for a in Detail::ALL {
            assert_eq!(a.meet(a), a);
            assert_eq!((a.meet(Detail::Router), a.meet(Detail::None)), (a, Detail::None));
            assert_eq!(a.word().parse(), Ok(a));
            for b in Detail::ALL {
                assert_eq!(a.meet(b), b.meet(a));
                assert!(a.allows(a.meet(b)) && b.allows(a.meet(b)), "{a} {b}");
                for c in Detail::ALL {
                    assert_eq!(a.meet(b).meet(c), a.meet(b.meet(c)), "{a} {b} {c}");
                }
            }
        }
    }
}
