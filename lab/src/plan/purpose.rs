//! Why an experiment is made and who answers for what: agreed by the partners before it runs.

use super::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why an experiment is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// What is to be found out, and what for.
    pub statement: String,
    /// Questions that the run is to answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<String>,
    /// What is expected, said before anybody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypothesis: Option<String>,
}

/// Somebody who answers for a part of the experiment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// A word for the role, such as "director".
    pub id: String,
    /// The domain whose people fill it.
    pub domain: String,
    /// What these people do, and what they may do.
    pub duty: String,
}

impl Plan {
    /// What partners who are to agree would have to guess.
    pub fn unstated(&self) -> Vec<&'static str> {
        let wanted = [
            (self.purpose.is_none(), "why it is made ([purpose])"),
            (self.roles.is_empty(), "who answers for what ([[role]])"),
            (self.effects.is_empty(), "what counts as success ([[effect]])"),
        ];
        wanted.into_iter().filter(|(absent, _)| *absent).map(|(_, what)| what).collect()
    }
}
