//! How domains ask each other.

use ashiato_collector::exchange::Mode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traceback::Nanos;

/// Questions between domains about the packets of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Who asks whom.
    pub mode: Asking,
    /// How long answers are waited for, all together.
    #[schemars(with = "u64")]
    pub within: Nanos,
    /// What answers are for.
    pub purpose: String,
    /// Whether it is an exercise.
    pub exercise: bool,
}

/// Who asks whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Asking {
    /// The victim's domain asks every domain itself.
    #[default]
    Star,
    /// Every domain asks those from which the packets came to it.
    Recursive,
}

impl From<Asking> for Mode {
    fn from(asking: Asking) -> Self {
        match asking {
            Asking::Star => Self::Star,
            Asking::Recursive => Self::Recursive,
        }
    }
}
