//! What is agreed beforehand to be success, and in which worlds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One agreed measure of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// What is measured, such as "router.f1", "paths.exact" or "gap".
    pub measure: String,
    /// Scheme that it is about; "*" for every scheme that names routers.
    #[serde(default = "every")]
    pub scheme: String,
    /// Comparison and value, such as ">= 0.99".
    pub want: String,
    /// Worlds where it counts; all where left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worlds: Vec<World>,
}

/// A world that runs plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// The simulator.
    Sim,
    /// Network namespaces on one host.
    Netns,
    /// Containers.
    Compose,
    /// Partners' machines.
    Hosts,
}

fn every() -> String {
    "*".to_owned()
}
