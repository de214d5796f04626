//! Nations that take part, and what they let out.

use crate::plan::Decision;
use crate::units::Span;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use traceback::disclose::{Approval, Detail, Field, Tlp, Treatment};

/// A nation that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// A word for the domain.
    pub id: String,
    /// Two capital letters; shipped files use the user-assigned XA to XZ.
    pub nation: String,
    /// AS numbers of the domain, from 64496-64511 or 64512-65534.
    pub asns: Vec<u32>,
    /// Network that the addresses of the domain's links come from; taken from 198.18.0.0/16 or 2001:2::/49 where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How much of its routers shows in what they write into packets; "router" where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "details")]
    pub marks: Option<Detail>,
    /// How much of its routers it tells others who ask; "router" where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "details")]
    pub answers: Option<Detail>,
    /// Whether it refuses whatever it is asked: short for answers = "none".
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses: bool,
    /// What it shows and tells, in some words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclose: Option<Disclose>,
    /// File with its whole policy, beside the scenario; it takes the place of the four keys before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The people who answer for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poc: Option<Poc>,
}

/// What a domain shows and tells everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disclose {
    /// How much of its routers shows, in packets and in answers; "router" where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "details")]
    pub granularity: Option<Detail>,
    /// What becomes of routers' addresses in answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
    /// Times in answers are rounded down to this, such as "1m".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// How long answers may be kept, such as "7d".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<String>,
    /// Label of answers, of the Traffic Light Protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "labels")]
    pub tlp: Option<Tlp>,
    /// Fields of answers that are never told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "fields")]
    pub deny: Vec<Field>,
}

/// What becomes of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Addresses {
    /// Told.
    Full,
    /// Told as systems.
    Prefix24,
    /// Told as words that only the domain resolves.
    KeyedHash,
    /// Not told.
    None,
}

impl Addresses {
    /// In a policy's words.
    pub fn treatment(self) -> Treatment {
        match self {
            Self::Full => Treatment::Pass,
            Self::Prefix24 => Treatment::Generalise,
            Self::KeyedHash => Treatment::Hash,
            Self::None => Treatment::Withhold,
        }
    }
}

/// A point of contact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Poc {
    /// The role of these people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// How long they take to answer, such as "2m".
    #[serde(default = "soon")]
    pub answer_within: String,
    /// Who must agree before an answer leaves; "auto" where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "approvals")]
    pub approval: Option<Approval>,
    /// What these people say in runs to questions that wait for them; "agree" where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decides: Option<Decision>,
    /// How long that takes them; at once where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Span>,
}

fn soon() -> String {
    "2m".into()
}

fn words(about: &str, words: impl Iterator<Item = impl Serialize>) -> Schema {
    let words: Vec<_> = words.map(|word| serde_json::json!(word)).collect();
    json_schema!({ "type": "string", "description": about, "enum": words })
}

fn details(_: &mut SchemaGenerator) -> Schema {
    words("How much of its routers a domain shows, from most to least.", Detail::ALL.iter())
}

fn labels(_: &mut SchemaGenerator) -> Schema {
    words("A label of the Traffic Light Protocol 2.0.", Tlp::ALL.iter())
}

fn fields(_: &mut SchemaGenerator) -> Schema {
    let field = words("A field of an answer.", Field::ALL.iter());
    json_schema!({ "type": "array", "items": field, "description": "Fields of answers that are never told." })
}

fn approvals(_: &mut SchemaGenerator) -> Schema {
    let all = [Approval::Auto, Approval::OnePerson, Approval::TwoPerson];
    words("Who must agree before an answer leaves.", all.iter())
}
