//! Ed25519 keys of people who sign, and what they sign.

use crate::exit::Exit;
use crate::plan::Plan;
use anyhow::Result;
use ashiato_collector::signer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// As whom somebody signs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Role {
    /// Who starts the run.
    Director,
    /// Who looks at nothing but what could go wrong: another person than the director, with another key.
    Safety,
    /// For a nation whose hosts or tunnels carry the traffic, by its two letters.
    Nation(String),
}

/// A word that is no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no role; there are director, safety and nation/XA")]
pub struct BadRole(String);

impl Role {
    /// Everybody who must sign for a plan.
    pub fn needed_by(plan: &Plan) -> BTreeSet<Self> {
        let nations = plan.routers.iter().map(|r| Self::Nation(r.nation.clone()));
        nations.chain([Self::Director, Self::Safety]).collect()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Director => f.write_str("director"),
            Self::Safety => f.write_str("safety"),
            Self::Nation(nation) => write!(f, "nation/{nation}"),
        }
    }
}

impl FromStr for Role {
    type Err = BadRole;

    fn from_str(text: &str) -> Result<Self, BadRole> {
        let is_nation = |n: &str| n.len() == 2 && n.bytes().all(|b| b.is_ascii_uppercase());
        match (text, text.strip_prefix("nation/")) {
            ("director", _) => Ok(Self::Director),
            ("safety", _) => Ok(Self::Safety),
            (_, Some(nation)) if is_nation(nation) => Ok(Self::Nation(nation.into())),
            _ => Err(BadRole(text.into())),
        }
    }
}

impl TryFrom<String> for Role {
    type Error = BadRole;

    fn try_from(text: String) -> Result<Self, BadRole> {
        text.parse()
    }
}

impl From<Role> for String {
    fn from(role: Role) -> Self {
        role.to_string()
    }
}

/// One signature of a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// As whom.
    pub role: Role,
    /// The signer's public key: 32 bytes in hex.
    pub key: String,
    /// 64 bytes in hex.
    pub signature: String,
}

impl Signature {
    /// Whether it is that key's, over these bytes.
    pub fn holds(&self, signed: &[u8]) -> bool {
        signer::holds(&self.key, &self.signature, signed)
    }
}

/// A signer's key pair.
#[derive(Debug)]
pub struct Signer(signer::Signer);

impl Signer {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn generate() -> Result<Self> {
        Ok(Self(signer::Signer::generate()?))
    }

    /// Reads a key file (PKCS #8, PEM).
    ///
    /// # Errors
    /// [`Exit::Usage`] where it is none, or of another kind.
    pub fn read(path: &Path) -> Result<Self> {
        signer::Signer::read(path).map(Self).map_err(|e| Exit::Usage.refuse(e))
    }

    /// Writes it where no file is yet, readable by its owner alone.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the file cannot be made.
    pub fn write_new(&self, path: &Path) -> Result<()> {
        self.0.write_new(path).map_err(|e| Exit::Usage.refuse(e))
    }

    /// The public key in hex.
    pub fn public(&self) -> String {
        self.0.public()
    }

    /// Signs as somebody.
    ///
    /// # Errors
    /// When the library refuses.
    pub fn sign(&self, role: Role, signed: &[u8]) -> Result<Signature> {
        Ok(Signature { role, key: self.public(), signature: self.0.sign(signed)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_over_one_text() {
        let (one, other) = (Signer::generate().unwrap(), Signer::generate().unwrap());
        let signature = one.sign(Role::Safety, b"terms").unwrap();
        assert!(signature.holds(b"terms"));
        assert!(!signature.holds(b"other terms"));
        assert!(!Signature { key: other.public(), ..signature.clone() }.holds(b"terms"));
        assert!(!Signature { signature: "00".into(), ..signature }.holds(b"terms"));
    }

    #[test]
    fn roles_read_back() {
        for word in ["director", "safety", "nation/XA"] {
            assert_eq!(word.parse::<Role>().unwrap().to_string(), word);
        }
        for bad in ["", "nation/", "nation/xa", "nation/XAA", "Safety"] {
            assert!(bad.parse::<Role>().is_err(), "{bad}");
        }
    }
}
