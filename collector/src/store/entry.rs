//! What goes into the store, what comes out, and what may go wrong.

use std::path::PathBuf;

/// Why an envelope or a call is refused for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Bytes that are no report, or numbers out of range.
    Malformed,
    /// In the name of another router, role, scheme or epoch than its connection's.
    Foreign,
    /// Of a scheme that this collector does not have.
    UnknownScheme,
}

impl Reason {
    /// As the protocol writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
            Self::UnknownScheme => "unknown-scheme",
        }
    }
}

/// A stream of reports: one agent since one start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    /// Certificate name, hash sign, agent name.
    pub agent: String,
    /// Start of the agent's process.
    pub epoch: u64,
    /// Scheme at work.
    pub scheme: String,
}

/// What becomes of an envelope's content.
pub type Content = Result<Vec<u8>, Reason>;

/// How an envelope was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// New: stored, or noted as refused.
    New,
    /// Its number was settled before.
    Duplicate,
}

/// How far a stream is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Every number up to here is settled.
    pub through: u64,
    /// The highest settled number.
    pub highest: u64,
}

/// A report as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Certificate name, hash sign, agent name.
    pub agent: String,
    /// Start of the agent's process.
    pub epoch: u64,
    /// Number within the epoch.
    pub seq: u64,
    /// The encoded report.
    pub report: Vec<u8>,
}

/// The store could not do what was asked; nothing of it was done.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "store {path}: {what}; check the disk's space, the limit in the configuration and permissions"
)]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What SQLite said.
    pub what: String,
}
