//! Rows about what taking part cost domains, and how soon they answer each other.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What taking part cost, over all turns; only where domains have collectors of their own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Costs {
    /// One row for each domain.
    pub domains: Vec<Burden>,
    /// One row for each pair of domains of which one asked the other.
    pub pairs: Vec<Pair>,
}

/// What one domain bore.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Burden {
    /// Its word in the scenario.
    pub id: String,
    /// Questions that it was asked.
    pub questions: u64,
    /// Reports of its agents.
    pub reports: u64,
    /// Bytes of these.
    pub report_bytes: u64,
    /// Memory of ledgers at its routers, in bytes: the most of any turn.
    pub ledger_bytes: u64,
    /// Processor time of its collector in seconds, to a hundredth; `null` where it was not measured.
    pub collector_cpu_s: Option<f64>,
    /// The same of its agents.
    pub agents_cpu_s: Option<f64>,
    /// Bytes of its collector's files after the last turn: reports, inquiries, log.
    pub store_bytes: Option<u64>,
}

/// Times to answer of one domain to another.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Pair {
    /// Who asked.
    pub asker: String,
    /// Who was asked.
    pub asked: String,
    /// Questions.
    pub questions: u64,
    /// Answers, also those that packets were not seen.
    pub answered: u64,
    /// Seconds until it said that people must decide: `n`, `p50`, `max`; empty where it never did.
    pub acknowledged_s: BTreeMap<String, f64>,
    /// Seconds until it answered, people's time included; where the domain that began did not ask itself, as the
    /// domain that was asked says.
    pub answered_s: BTreeMap<String, f64>,
}
