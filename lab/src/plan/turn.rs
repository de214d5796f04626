//! What is asked: the victim's case, the schemes that take turns over it, and what was agreed of them.

use super::flow::is_usual;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use traceback::case::Filter;
use traceback::score::{Level, Levels};

/// What the victim complains about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CasePlan {
    /// Position of the victim.
    pub victim: usize,
    /// Packets complained about.
    #[schemars(schema_with = "filter_schema")]
    pub filter: Filter,
    /// Packets that the victim keeps for inquiries, at most; drawn from what matches.
    pub samples: usize,
}

/// One scheme's turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemePlan {
    /// Scheme id.
    pub id: String,
    /// Parameters, all keys spelled out.
    pub params: serde_json::Value,
    /// Best recall that any answer can reach with the routers that take part, once domains were asked.
    pub ceiling: Ceiling,
    /// The same of marks alone, where domains do not show all of their routers.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub marks_ceiling: Option<Ceiling>,
    /// Expected number of false routers in the run, where the scheme's law gives one.
    pub expected_false_routers: Option<f64>,
}

/// Best recall by level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ceiling {
    /// Routers of true paths that take part, of all of them.
    pub router: f64,
    /// The same for their AS numbers.
    pub r#as: f64,
    /// The same for their nations.
    pub nation: f64,
}

impl Ceiling {
    /// The recall of a score; 0 where nothing is true.
    pub fn of(levels: &Levels) -> Self {
        let recall = |level: Level| level.recall.unwrap_or(0.0);
        let [router, r#as, nation] = [levels.router, levels.r#as, levels.nation].map(recall);
        Self { router, r#as, nation }
    }
}

/// One agreed measure of success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// `level.metric`, such as `router.f1`, or a key such as `observations.lost`.
    pub measure: String,
    /// Scheme id, or `*` for all that can.
    pub scheme: String,
    /// Comparison and number, such as `>= 0.99`.
    pub want: String,
    /// Worlds where it counts; empty for all.
    pub worlds: Vec<String>,
}

/// The schema of [`Filter`], whose crate knows no schemas.
fn filter_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let address = generator.subschema_for::<IpAddr>();
    let number = |most: u32| schemars::json_schema!({ "type": ["integer", "null"], "minimum": 0, "maximum": most });
    let (protocol, port) = (number(u8::MAX.into()), number(u16::MAX.into()));
    schemars::json_schema!({
        "type": "object",
        "description": "Which packets are complained about; null means any.",
        "properties": { "victim": address, "protocol": protocol, "source_port": port, "port": port },
        "required": ["victim", "protocol", "source_port", "port"],
        "additionalProperties": false
    })
}
