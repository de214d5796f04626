//! Labels of the Traffic Light Protocol, version 2.0 (FIRST, August 2022).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A label: who may see what bears it. In rising order of strictness; what is put together bears the strictest
/// label of its parts, which is their maximum.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum Tlp {
    /// Everybody.
    Clear,
    /// The community.
    Green,
    /// The recipient's organisation and its clients.
    #[default]
    Amber,
    /// The recipient's organisation.
    AmberStrict,
    /// The recipients named, and nobody else.
    Red,
}

/// A word that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no label; there are CLEAR, GREEN, AMBER, AMBER+STRICT and RED")]
pub struct BadTlp(String);

impl Tlp {
    /// All labels in rising order.
    pub const ALL: [Self; 5] =
        [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// The label without its prefix. Never translated.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clear => "CLEAR",
            Self::Green => "GREEN",
            Self::Amber => "AMBER",
            Self::AmberStrict => "AMBER+STRICT",
            Self::Red => "RED",
        }
    }
}

impl fmt::Display for Tlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLP:{}", self.word())
    }
}

impl FromStr for Tlp {
    type Err = BadTlp;

    /// Reads a label with or without its prefix, in capitals or not.
    fn from_str(text: &str) -> Result<Self, BadTlp> {
        let upper = text.to_ascii_uppercase();
        let word = upper.strip_prefix("TLP:").unwrap_or(&upper);
        let found = Self::ALL.into_iter().find(|label| label.word() == word);
        found.ok_or_else(|| BadTlp(text.into()))
    }
}

impl TryFrom<String> for Tlp {
    type Error = BadTlp;
    fn try_from(text: String) -> Result<Self, BadTlp> {
        text.parse()
    }
}

impl From<Tlp> for String {
    fn from(label: Tlp) -> Self {
        label.word().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_and_rise() {
        for label in Tlp::ALL {
            assert_eq!(label.to_string().parse(), Ok(label));
            assert_eq!(label.word().to_lowercase().parse(), Ok(label));
        }
        assert!(Tlp::ALL.is_sorted());
        assert!("TLP: RED".parse::<Tlp>().is_err() && "WHITE".parse::<Tlp>().is_err());
    }
}
