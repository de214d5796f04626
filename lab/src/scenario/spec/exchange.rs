//! How domains ask each other.

use super::yes;
use crate::plan::Asking;
use crate::units::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How domains ask each other about packets. With this table every domain has a collector of its own, to
/// which its agents report; without it, one collector serves all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Who asks whom.
    #[serde(default)]
    pub mode: Asking,
    /// How long answers are waited for, all together.
    #[serde(default = "within")]
    pub within: Span,
    /// What answers are for; policies may bind theirs to it.
    #[serde(default = "purpose")]
    pub purpose: String,
    /// Whether it is an exercise, which every message then says.
    #[serde(default = "yes")]
    pub exercise: bool,
}

impl Default for Exchange {
    fn default() -> Self {
        let mode = Asking::default();
        Self { mode, within: within(), purpose: purpose(), exercise: yes() }
    }
}

fn within() -> Span {
    "30 s".parse().expect("invariant: a literal")
}

fn purpose() -> String {
    "traceback".into()
}
