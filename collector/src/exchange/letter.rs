//! The seam between questions and documents: what is written on the wire, and read from it.

use super::{Inquiry, Reply};
use serde::{Deserialize, Serialize};

/// What one domain writes to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "kebab-case")]
pub enum Letter {
    /// A question.
    Inquiry(Inquiry),
    /// An answer, or the word that people must decide first.
    Reply(Reply),
}

/// A document that is no letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the document cannot be read: {0}")]
pub struct BadLetter(pub String);

/// What documents say they are.
pub const MEDIA: &str = "text/xml";

impl Letter {
    /// Writes it.
    ///
    /// # Errors
    /// Where something in it has no form.
    pub fn encode(&self) -> Result<Vec<u8>, BadLetter> {
        serde_json::to_vec(self).map_err(|e| BadLetter(e.to_string()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadLetter> {
        serde_json::from_slice(bytes).map_err(|e| BadLetter(e.to_string()))
    }
}
