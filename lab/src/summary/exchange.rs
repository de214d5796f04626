//! Rows about what domains asked and told each other.

use crate::plan::Ceiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What domains asked and told each other in one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inquiry {
    /// The domain that began.
    pub domain: String,
    /// `star` or `recursive`.
    pub mode: String,
    /// What answers were for.
    pub purpose: String,
    /// Whether it was an exercise, as every message said.
    pub exercise: bool,
    /// The strictest label of what went into the result.
    pub tlp: String,
    /// From the first question to the result, in seconds; in the simulator, what people took.
    pub seconds: f64,
    /// Packets that were shown.
    pub packets: u32,
    /// Packets of which nobody told a way.
    pub unseen: u32,
    /// Every question, and what came of it.
    pub asked: Vec<Question>,
    /// Ways of packets as they were told, stretch by stretch.
    pub ways: Vec<Way>,
    /// Who stands behind words that only domains resolve.
    pub names: Vec<Name>,
    /// Contradictions, loops, late answers, wrong clocks.
    pub odd: Vec<String>,
    /// Recall of what the domain that began found in its own logs, without anybody's help; `null` for schemes that
    /// mark, of which the stage `marks-only` tells.
    #[serde(default)]
    pub alone: Option<Ceiling>,
}

/// One question, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// Who was asked.
    pub domain: String,
    /// Who had got the packets from it; empty where words were asked about.
    pub towards: String,
    /// Packets asked about.
    pub packets: u64,
    /// `answered`, `not-seen`, `refused`, `pending`, `already-seen`, `silent` or `failed`.
    pub status: String,
    /// Why, where the domain refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The rule of its policy that was applied.
    pub rule: String,
    /// The label of its answer.
    pub tlp: String,
    /// What it does not tell, each with the rule that withholds it.
    pub withheld: Vec<String>,
    /// Hops that it told.
    pub told: u64,
    /// From the question until it said that people must decide, in seconds.
    pub acknowledged_s: Option<f64>,
    /// From the question until its answer, in seconds; `null` where none came, or another domain asked.
    pub answered_s: Option<f64>,
    /// What the answer added to recall, beside those of the domains before it.
    pub added: Option<Ceiling>,
}

/// The way of some packets as far as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Way {
    /// Packets that came this way.
    pub packets: u64,
    /// Stretches, that nearest the source first; the last one is the victim's domain.
    pub stretches: Vec<Stretch>,
    /// Where they came from when they reached the first stretch.
    pub origin: String,
}

/// A stretch of a way within one domain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Stretch {
    /// The domain.
    pub domain: String,
    /// Its nation.
    pub nation: String,
    /// Hops as it shows them, that nearest the source first.
    pub hops: Vec<String>,
    /// False where the domain said nothing, and only its neighbours show that packets went through it.
    pub told: bool,
}

/// A word, and who stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Name {
    /// Whose word it is.
    pub domain: String,
    /// The word.
    pub word: String,
    /// Who stands behind it, as the domain shows it.
    pub shown: String,
}

/// A border that found paths cross.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Border {
    /// The domain that packets left.
    pub from: String,
    /// The domain that they entered.
    pub to: String,
    /// Its nation and that of the other, such as "XB-XA".
    pub nations: String,
    /// Paths found that cross it.
    pub paths: u64,
}
