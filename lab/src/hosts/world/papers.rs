//! What hosts look at before they take part, and what of it the evidence keeps.

use crate::exit::Exit;
use crate::plan::Plan;
use crate::safety::Manifest;
use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What hosts look at before they take part.
#[derive(Debug, Clone, Default)]
pub struct Papers {
    /// Bytes of the scenario's file.
    pub scenario: Vec<u8>,
    /// Bytes of the manifest; empty where there is none.
    pub manifest: Vec<u8>,
}

impl Papers {
    /// For the evidence: what was agreed, and by whom.
    pub(super) fn facts(&self, run: &str) -> Value {
        let manifest = Manifest::parse(&self.manifest).ok();
        let signed = manifest.iter().flat_map(|m| &m.signatures);
        let signed: Vec<Value> = signed.map(|s| json!({ "role": s.role, "key": s.key })).collect();
        let digest = manifest.as_ref().map(|m| m.terms.digest());
        json!({ "run": run, "manifest": digest, "signed": signed })
    }

    /// Refuses a manifest that no host can accept, before any host is asked.
    pub(super) fn check(&self, plan: &Plan) -> Result<()> {
        if self.manifest.is_empty() {
            return Ok(());
        }
        let manifest = Manifest::parse(&self.manifest).map_err(|e| Exit::Usage.refuse(e))?;
        let (terms, mut faults) = (&manifest.terms, manifest.unsigned());
        if terms.scenario_sha256 != hex::encode(Sha256::digest(&self.scenario)) {
            faults.push("it is for another scenario file".into());
        }
        if terms.plan_sha256 != plan.sha256() {
            faults.push("it is for another plan: give the same --set, --seed and --scheme".into());
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Exit::Policy.refuse(format!("the manifest: {}", faults.join("; ")))),
        }
    }
}
