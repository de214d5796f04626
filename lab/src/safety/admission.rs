//! Whether a host takes part in a run: its own look at scenario, plan, manifest and clock, whatever the
//! director says.

use super::bounds::{Bounds, Caps};
use super::clock::Utc;
use super::internal;
use super::manifest::{LONGEST, Manifest, Terms};
use super::records::{Records, is_hash, used};
use super::signature::Role;
use super::site::{Need, PATH, Site};
use crate::exit::Exit;
use crate::plan::Plan;
use anyhow::Result;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What a director hands over, and what the host knows of itself.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Bytes of the scenario's file; empty where the host gets a part of the plan.
    pub scenario: &'a [u8],
    /// The plan, as far as the host gets it.
    pub plan: &'a Plan,
    /// Its manifest's bytes; empty where it has none.
    pub manifest: &'a [u8],
    /// This host's name, as its certificate says.
    pub host: &'a str,
    /// SHA-256 of its public key, in hex.
    pub key: &'a str,
    /// Nodes that it would stand for.
    pub nodes: BTreeSet<String>,
    /// Port on which it would run its domain's collector.
    pub collector: Option<u16>,
    /// Where its tunnels would lead.
    pub peers: &'a [IpAddr],
    /// Where its director is.
    pub director: IpAddr,
    /// The director's clock, where it said so.
    pub their_clock: Option<Utc>,
    /// This host's.
    pub now: Utc,
}

/// A host's leave to take part in one run.
#[derive(Debug, Clone)]
pub struct Permit {
    /// What is left of what is allowed.
    pub bounds: Bounds,
    /// What was agreed; none on internal networks.
    pub manifest: Option<Manifest>,
    site: Site,
    records: Records,
}

/// Clocks that differ by more are called wrong, in seconds.
const APART: u64 = 60;

impl Site {
    /// Gives leave, or says why not.
    ///
    /// # Errors
    /// [`Exit::Policy`] for manifests, signatures, times and this site's rules; [`Exit::Safety`] for a plan
    /// out of bounds. Each says how to mend it.
    pub fn admit(&self, asked: &Asked<'_>) -> Result<Permit> {
        let records = Records::at(&self.records);
        let manifest = match (asked.manifest, self.manifest) {
            ([], Need::InternalNetworksNeedNone) => {
                let others: Vec<IpAddr> =
                    asked.peers.iter().copied().chain([asked.director]).collect();
                internal::check(&others)?;
                None
            }
            ([], Need::Required) => return Err(Exit::Policy.refuse(self.wants_one())),
            (text, _) => Some(Manifest::parse(text).map_err(|e| Exit::Policy.refuse(e))?),
        };
        if let Some(manifest) = &manifest {
            self.check(manifest, asked, &records)?;
        }
        self.open_at(asked.now)?;
        let bounds = self.effective(manifest.as_ref().map(|m| &m.terms), records.is_introduced());
        self.look_at_neighbours(&bounds, manifest.as_ref(), asked)?;
        bounds.admit(asked.plan)?;
        Ok(Permit { bounds, manifest, site: self.clone(), records })
    }

    /// What the compiled ceiling, this policy and a manifest leave together.
    pub fn effective(&self, terms: Option<&Terms>, introduced: bool) -> Bounds {
        let needs_none = terms.is_none() && self.manifest == Need::InternalNetworksNeedNone;
        let ceiling = if needs_none { Caps::INTERNAL } else { Caps::CEILING };
        let above = Bounds::compiled(ceiling).meet(&self.bounds());
        let all = terms.map_or_else(|| above.clone(), |terms| above.meet(&terms.bounds()));
        if introduced || needs_none {
            return all;
        }
        all.meet(&Bounds::of_caps(above.caps.first_run()))
    }

    fn wants_one(&self) -> String {
        let mend = "have one drafted and signed (`ashiato manifest draft`, `sign`) and give it to the \
                    director: `ashiato run --manifest`";
        if self.written {
            return format!(
                "this site lets nothing run between hosts without a signed manifest: {mend}"
            );
        }
        format!(
            "this host has no site policy ({PATH}, or `ashiato host --site`), so it sends nothing between \
             hosts: write one that pins the signers' keys, then {mend}"
        )
    }

    /// Everything about a manifest that this host can tell.
    fn check(&self, manifest: &Manifest, asked: &Asked<'_>, records: &Records) -> Result<()> {
        let terms = &manifest.terms;
        let no = |why: String| Err(Exit::Policy.refuse(why));
        let sum = |bytes: &[u8]| hex::encode(Sha256::digest(bytes));
        let part = terms.hosts.get(asked.host).and_then(|party| party.plan_sha256.as_ref());
        // Who may not know all of the plan gets no scenario either.
        if part.is_none() && sum(asked.scenario) != terms.scenario_sha256 {
            return no(
                "the scenario is not the one of the manifest: run the very file that was signed \
                       for, or draft anew"
                    .into(),
            );
        }
        if asked.plan.sha256() != *part.unwrap_or(&terms.plan_sha256) {
            return no(
                "the plan is not the one of the manifest: give `ashiato run` the same --set, \
                       --seed and --scheme as `manifest draft`, or draft anew"
                    .into(),
            );
        }
        let unstated = asked.plan.unstated();
        if !unstated.is_empty() {
            return no(format!("the plan does not say {}", unstated.join(", ")));
        }
        if !is_hash(&terms.nonce) {
            return no("the manifest's nonce is none: 32 bytes in hex; draft anew".into());
        }
        names(terms, asked)?;
        self.check_signatures(manifest, asked.plan)?;
        in_window(terms, asked)?;
        if records.is_used(&terms.nonce) {
            return no(used(&terms.nonce));
        }
        records.revoked(manifest).map_or(Ok(()), |why| no(format!("{why}; draft anew")))
    }

    /// Whether everybody signed whom the plan makes necessary, with keys that are pinned here.
    fn check_signatures(&self, manifest: &Manifest, plan: &Plan) -> Result<()> {
        let needed = Role::needed_by(plan);
        let left_out = needed.difference(&manifest.terms.roles);
        let mut faults: Vec<String> =
            left_out.map(|role| format!("the terms leave out {role}")).collect();
        faults.extend(self.signature_faults(manifest, &needed));
        if faults.is_empty() {
            return Ok(());
        }
        let list = faults.join("; ");
        Err(Exit::Policy.refuse(format!(
            "the manifest does not hold here: {list}; `ashiato manifest verify` says the same anywhere"
        )))
    }

    /// What is wrong with the signatures as these roles, by the keys that are pinned here.
    pub fn signature_faults(&self, manifest: &Manifest, needed: &BTreeSet<Role>) -> Vec<String> {
        let mut faults = manifest.unsigned();
        let person = |role: &Role| {
            let key = &manifest.signature(role)?.key;
            self.signers.iter().find(|p| p.role == *role && p.key == *key).map(|p| &p.person)
        };
        let signed = manifest.signatures.iter().filter(|s| needed.contains(&s.role));
        let strangers = signed.filter(|s| person(&s.role).is_none());
        faults.extend(strangers.map(|s| {
            format!(
                "the key that signed as {} is not pinned for that in this site's policy",
                s.role
            )
        }));
        let (safety, director) = (person(&Role::Safety), person(&Role::Director));
        if safety.is_some() && safety == director {
            faults.push("safety and director are one person".into());
        }
        faults
    }

    /// Whether this site works with everybody in the run.
    fn look_at_neighbours(
        &self,
        bounds: &Bounds,
        manifest: Option<&Manifest>,
        asked: &Asked<'_>,
    ) -> Result<()> {
        let named = manifest.iter().flat_map(|m| m.terms.hosts.keys());
        if let Some(host) = named.into_iter().find(|h| self.blacklisted_hosts.contains(*h)) {
            return Err(Exit::Policy.refuse(format!("this site does not work with host {host}")));
        }
        match asked.peers.iter().find(|peer| !bounds.permits_peer(**peer)) {
            Some(peer) => Err(Exit::Policy.refuse(format!(
                "a tunnel would lead to {peer}, which is not among the peers of site and manifest"
            ))),
            None => Ok(()),
        }
    }
}

/// Whether the terms name this host, by its key, and the nodes that it is to stand for.
fn names(terms: &Terms, asked: &Asked<'_>) -> Result<()> {
    let no = |why: String| Err(Exit::Policy.refuse(why));
    match terms.hosts.get(asked.host) {
        None => no(format!("the manifest does not name host {}", asked.host)),
        Some(party) if party.key != asked.key => no(format!(
            "the manifest names another key for host {}: it enrolled anew since; draft anew",
            asked.host
        )),
        Some(party) if party.collector != asked.collector => no(format!(
            "the placement has host {} run another collector than the manifest: draft anew",
            asked.host
        )),
        Some(party) if party.nodes != asked.nodes => no(format!(
            "the placement gives host {} other nodes than the manifest: draft anew",
            asked.host
        )),
        Some(_) => Ok(()),
    }
}

/// Whether now is between a manifest's times, by this host's clock; where clocks differ, that is said.
fn in_window(terms: &Terms, asked: &Asked<'_>) -> Result<()> {
    let Terms { not_before, not_after, .. } = terms;
    if not_after.0.saturating_sub(not_before.0) > LONGEST {
        let hours = LONGEST / 3600;
        return Err(
            Exit::Policy.refuse(format!("the manifest's window is longer than {hours} hours"))
        );
    }
    if terms.hold_at(asked.now) {
        return Ok(());
    }
    let apart = asked.their_clock.map(|theirs| theirs.0.abs_diff(asked.now.0));
    let why = match apart {
        Some(apart) if apart > APART => format!(
            "this host's clock and the director's are {apart} s apart: set the wrong one (timedatectl \
             set-ntp true)"
        ),
        _ => "wait for it, or draft anew".into(),
    };
    let now = asked.now;
    Err(Exit::Policy.refuse(format!(
        "it is {now} on this host, and the manifest holds from {not_before} until {not_after}: {why}"
    )))
}

impl Permit {
    /// Uses the manifest up: from now on it opens nothing here.
    ///
    /// # Errors
    /// [`Exit::Policy`] where it was used meanwhile.
    pub fn spend(&self) -> Result<()> {
        self.manifest.as_ref().map_or(Ok(()), |m| self.records.spend(&m.terms.nonce))
    }

    /// Fails where leave would not be given any more: looked at whenever the lease is renewed.
    ///
    /// # Errors
    /// [`Exit::Policy`] says what changed.
    pub fn holds(&self, now: Utc) -> Result<()> {
        self.site.open_at(now)?;
        let Some(manifest) = &self.manifest else { return Ok(()) };
        if let Some(why) = self.records.revoked(manifest) {
            return Err(Exit::Policy.refuse(why));
        }
        if manifest.terms.hold_at(now) {
            return Ok(());
        }
        let not_after = manifest.terms.not_after;
        Err(Exit::Policy.refuse(format!("the manifest's window ended at {not_after}; it is {now}")))
    }

    /// The site's records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The site's policy.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// For logs: what was agreed, and by whom.
    pub fn facts(&self) -> Value {
        let Some(manifest) = &self.manifest else {
            return json!({ "manifest": null, "why": "internal networks", "bounds": self.bounds });
        };
        let signed: Vec<Value> =
            manifest.signatures.iter().map(|s| json!({ "role": s.role, "key": s.key })).collect();
        json!({ "manifest": manifest.terms.digest(), "signed": signed, "bounds": self.bounds })
    }
}
