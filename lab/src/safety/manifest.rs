//! A manifest: what exactly may run, where, when, and who agreed.
//!
//! A file of JSON, `{"terms": ..., "signatures": [...]}`. Each signature is over these bytes, so that it
//! holds for these terms and this role and nothing else:
//! ```text
//! "ashiato.manifest/1" LF role LF terms as JSON, without spaces, keys in the order of `Terms`
//! ```

use super::bounds::{Bounds, Caps, prefixes};
use super::clock::Utc;
use super::signature::{Role, Signature, Signer};
use crate::exit::Exit;
use crate::hosts::placement::{Host, Placement};
use crate::netns::layout::Share;
use crate::plan::Plan;
use anyhow::{Context, Result};
use ashiato_collector::enrol::enrolled_key;
use ashiato_collector::identity::Identity;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// Version of the file, and first line of what is signed.
pub const SCHEMA: &str = "ashiato.manifest/1";
/// Longest life of a manifest, in seconds.
pub const LONGEST: u64 = 4 * 3600;
/// Largest file that is read.
const MOST: u64 = 1 << 20;

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// [`SCHEMA`].
    pub schema: String,
    /// The scenario's name, for people.
    pub scenario: String,
    /// SHA-256 over the bytes of the scenario's file, in hex.
    pub scenario_sha256: String,
    /// SHA-256 of the plan, in hex.
    pub plan_sha256: String,
    /// Where packets come from and go to.
    pub prefixes: BTreeSet<IpNet>,
    /// How much is sent.
    pub caps: Caps,
    /// Hosts that take part, by name.
    pub hosts: BTreeMap<String, Party>,
    /// From when on.
    pub not_before: Utc,
    /// Until when.
    pub not_after: Utc,
    /// 32 random bytes in hex: a host takes them once.
    pub nonce: String,
    /// Who must sign.
    pub roles: BTreeSet<Role>,
}

/// A host that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Party {
    /// SHA-256 of the public key that it is enrolled with, in hex.
    pub key: String,
    /// Its address for tunnels.
    pub underlay: IpAddr,
    /// The nodes that it stands for.
    pub nodes: BTreeSet<String>,
    /// SHA-256 of the plan as it gets it, in hex, where domains do not let it know the whole one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_sha256: Option<String>,
    /// Port on which it runs the collector of its domain, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<u16>,
}

impl Terms {
    /// The host that stands for a node.
    pub fn host_of(&self, node: &str) -> Option<&Party> {
        self.hosts.values().find(|party| party.nodes.contains(node))
    }

    /// The bytes that somebody signs as this role.
    pub fn signed_as(&self, role: &Role) -> Vec<u8> {
        let mut bytes = format!("{SCHEMA}\n{role}\n").into_bytes();
        bytes.extend(self.to_json());
        bytes
    }

    /// SHA-256 over the terms.
    pub fn sum(&self) -> [u8; 32] {
        Sha256::digest(self.to_json()).into()
    }

    /// The same in hex: what lists of revocation and logs call a manifest.
    pub fn digest(&self) -> String {
        hex::encode(self.sum())
    }

    /// Whether they hold at a time.
    pub fn hold_at(&self, now: Utc) -> bool {
        (self.not_before..self.not_after).contains(&now)
    }

    /// What the terms leave of what is allowed.
    pub fn bounds(&self) -> Bounds {
        let peers = self.hosts.values().map(|party| party.underlay).collect();
        let addresses = Bounds::of_prefixes(self.prefixes.clone());
        let all = addresses.meet(&Bounds::of_caps(self.caps));
        Bounds { peers: Some(peers), ..all }
    }

    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("invariant: terms are plain data")
    }
}

/// Terms and who signed them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What is agreed.
    pub terms: Terms,
    /// By whom.
    pub signatures: Vec<Signature>,
}

impl Manifest {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Exit::Usage`] where it is none of this version.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let size = fs::metadata(path).map(|m| m.len());
        let text = size.and_then(|size| match size > MOST {
            true => Err(std::io::Error::other("it is too large for a manifest")),
            false => fs::read(path),
        });
        let text = text.map_err(|e| Exit::Usage.refuse(format!("cannot read {shown}: {e}")))?;
        Self::parse(&text).map_err(|e| Exit::Usage.refuse(format!("{shown}: {e:#}")))
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// Where they are no manifest of this version.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let manifest: Self = serde_json::from_slice(text).context("this is no manifest")?;
        let schema = &manifest.terms.schema;
        anyhow::ensure!(schema == SCHEMA, "it is {schema}, and this build reads {SCHEMA}");
        Ok(manifest)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let part = path.with_extension("part");
        let text = serde_json::to_string_pretty(self)? + "\n";
        let written = fs::write(&part, text).and_then(|()| fs::rename(&part, path));
        written.map_err(|e| Exit::Usage.refuse(format!("cannot write {}: {e}", path.display())))
    }

    /// Signs it as a role that the terms name. An earlier signature as this role is replaced.
    ///
    /// # Errors
    /// [`Exit::Usage`] where the terms name no such role.
    pub fn sign(&mut self, signer: &Signer, role: Role) -> Result<()> {
        if !self.terms.roles.contains(&role) {
            let known: Vec<String> = self.terms.roles.iter().map(ToString::to_string).collect();
            let known = known.join(", ");
            return Err(
                Exit::Usage.refuse(format!("the manifest needs no {role}; it needs {known}"))
            );
        }
        let signature = signer.sign(role.clone(), &self.terms.signed_as(&role))?;
        self.signatures.retain(|s| s.role != role);
        self.signatures.push(signature);
        self.signatures.sort_by(|a, b| a.role.cmp(&b.role));
        Ok(())
    }

    /// The signature as a role, where there is one.
    pub fn signature(&self, role: &Role) -> Option<&Signature> {
        self.signatures.iter().find(|s| s.role == *role)
    }

    /// What is wrong with its signatures in themselves, whoever the keys belong to.
    pub fn unsigned(&self) -> Vec<String> {
        let mut faults = vec![];
        for role in &self.terms.roles {
            match self.signature(role) {
                None => faults.push(format!("nobody signed as {role}")),
                Some(s) if !s.holds(&self.terms.signed_as(role)) => {
                    faults.push(format!("the signature as {role} is not over these terms"));
                }
                Some(_) => {}
            }
        }
        let key = |role| self.signature(&role).map(|s| &s.key);
        if let (Some(safety), Some(director)) = (key(Role::Safety), key(Role::Director))
            && safety == director
        {
            faults.push("director and safety signed with one key".into());
        }
        faults
    }
}

/// What `manifest draft` is told besides scenario and plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// From when on.
    pub from: Utc,
    /// For how many seconds.
    pub seconds: u64,
}

/// The manifest of a plan over hosts, which nobody has signed yet.
///
/// # Errors
/// [`Exit::Usage`] where the window is too long, or a host is not enrolled.
pub fn draft(
    scenario: &[u8],
    plan: &Plan,
    placement: &Placement,
    window: Window,
) -> Result<Manifest> {
    if window.seconds == 0 || window.seconds > LONGEST {
        let hours = LONGEST / 3600;
        return Err(Exit::Usage.refuse(format!("a manifest lives for {hours} hours at most")));
    }
    let unstated = plan.unstated();
    if !unstated.is_empty() {
        let list = unstated.join(", ");
        return Err(Exit::Usage.refuse(format!(
            "nobody can agree to an experiment that does not say {list}: add it to the scenario"
        )));
    }
    // That every node has a host is refused here, before anybody signs.
    let shares = placement.shares(plan, "")?;
    placement.grounds(plan, &shares)?;
    let hosts = parties(plan, placement, &shares)?;
    let Window { from, seconds } = window;
    let terms = Terms {
        schema: SCHEMA.into(),
        scenario: plan.name.clone(),
        scenario_sha256: hex::encode(Sha256::digest(scenario)),
        plan_sha256: plan.sha256(),
        prefixes: prefixes(plan),
        caps: Caps::drafted_for(plan).meet(Caps::CEILING),
        hosts,
        not_before: from,
        not_after: Utc(from.0 + seconds),
        nonce: hex::encode(crate::run::salt()?),
        roles: Role::needed_by(plan),
    };
    Ok(Manifest { terms, signatures: vec![] })
}

/// The hosts of a placement, by the keys that they enrolled with, and what each may know of the plan.
fn parties(
    plan: &Plan,
    placement: &Placement,
    shares: &[Share],
) -> Result<BTreeMap<String, Party>> {
    let missing = || {
        Exit::Usage.refuse(
            "a manifest names hosts by the keys that they enrolled with, so the placement needs \
             enrolled = \"keys/enrolled\", the folder of the authority",
        )
    };
    let folder = placement.enrolled.as_ref().ok_or_else(missing)?;
    let whole = plan.sha256();
    let party = |(host, share): (&Host, &Share)| {
        let who = Identity::Host(host.name.clone());
        let absent =
            || Exit::Usage.refuse(format!("{who} is not enrolled in {}", folder.display()));
        let key = enrolled_key(folder, &who).ok_or_else(absent)?;
        let (underlay, nodes) = (host.underlay, host.nodes.iter().cloned().collect());
        let plan_sha256 = Some(plan.known_to(&share.nodes)?.sha256()).filter(|sha| *sha != whole);
        let party = Party { key, underlay, nodes, plan_sha256, collector: host.collector };
        anyhow::Ok((host.name.clone(), party))
    };
    placement.hosts.iter().zip(shares).map(party).collect()
}
