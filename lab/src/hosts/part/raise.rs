//! From an order to a share of a plan that stands: what it says is looked at, by this host's own policy, and made.

use super::{Part, Raised, Slow};
use crate::exit::Exit;
use crate::hosts::keys::lay_out;
use crate::hosts::links::Links;
use crate::hosts::office;
use crate::hosts::wire::{self, Assignment};
use crate::netns::guard::Limits;
use crate::netns::layout::Layout;
use crate::netns::site::Site;
use crate::netns::{NetnsWorld, RunPaths};
use crate::plan::{Measure, Plan};
use crate::safety::beacon::Ears;
use crate::safety::clock::Utc;
use crate::safety::sentinel::{Kind, Sentinels};
use crate::safety::{Asked, Permit};
use anyhow::{Context, Result, ensure};
use nix::sys::statvfs::statvfs;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Bytes that must be free where logs go.
const LEAST_FREE: u64 = 16 << 20;

impl Part<'_> {
    /// This host's own look at what it is handed.
    fn admit(&mut self, raise: &wire::Raise, plan: &Plan, given: &Assignment) -> Result<Permit> {
        let peers: Vec<IpAddr> = given.share.tunnels.values().map(|t| t.far).collect();
        let theirs = raise.clock_unix_ns / 1_000_000_000;
        let asked = Asked {
            scenario: &raise.scenario,
            plan,
            manifest: &raise.manifest,
            host: &self.me.name,
            key: &self.me.key,
            nodes: given.share.nodes.iter().map(|n| plan.node_name(*n).to_owned()).collect(),
            collector: given.office.as_ref().map(|office| office.port),
            peers: &peers,
            director: self.config.director.ip(),
            their_clock: (theirs > 0).then_some(Utc(theirs)),
            now: Utc::now(),
        };
        let offset = theirs.abs_diff(asked.now.0) as f64;
        let stops = plan.caution.stops_at(Measure::ClockOffset, offset);
        let stops = stops.map_or(Ok(()), |why| Err(Exit::Stopped.refuse(why)));
        match stops.and_then(|()| self.policy.admit(&asked)) {
            Ok(permit) => {
                // Nobody could prove afterwards what was agreed.
                let recorded = self.record("admitted", permit.facts());
                recorded.map_err(|e| Exit::HostNotReady.refuse(format!("no evidence: {e:#}")))?;
                Ok(permit)
            }
            Err(error) => {
                self.failed = true;
                let exit = Exit::of(&error).code();
                self.note("refused", json!({ "code": exit, "why": format!("{error:#}") }));
                Err(error)
            }
        }
    }

    /// What it is handed, as far as it can be believed without looking at policies.
    fn understand(&self, raise: &wire::Raise) -> Result<(Plan, Assignment)> {
        // It becomes a part of paths.
        let is_plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let plain = (1..=96).contains(&raise.run.len()) && raise.run.bytes().all(is_plain);
        ensure!(plain, "the run's id is none: {:?}", raise.run);
        let digest = hex::encode(Sha256::digest(&raise.plan_json));
        ensure!(digest == raise.plan_sha256, "the plan came broken");
        let plan: Plan = serde_json::from_slice(&raise.plan_json).context("this is no plan")?;
        let given: Assignment =
            serde_json::from_slice(&raise.assignment_json).context("this is no assignment")?;
        // The director's word is not enough: this host has limits of its own.
        NetnsWorld::allows(&plan, given.datapath)?;
        for tunnel in given.share.tunnels.values() {
            if tunnel.near != self.config.underlay {
                return Err(Exit::Policy.refuse(format!(
                    "the placement gives this host the underlay {}, and its own configuration \
                     says {}",
                    tunnel.near, self.config.underlay
                )));
            }
        }
        Ok((plan, given))
    }

    /// Everything that is to stand here; what is permitted, as JSON.
    pub(super) fn raise(&mut self, raise: &wire::Raise) -> Result<Vec<u8>> {
        ensure!(self.raised.is_none() && self.left.is_none(), "one call is one run");
        let (plan, given) = self.understand(raise)?;
        let (run, datapath) = (raise.run.clone(), given.datapath);
        self.run.clone_from(&run);
        let permit = self.admit(raise, &plan, &given)?;
        permit.manifest.as_ref().map_or(Ok(()), |_| only_sealed(&given))?;
        let limits = Limits::within(&permit.bounds, permit.manifest.is_some());
        let bounds = serde_json::to_vec(&permit.bounds)?;
        let layout = Layout::part(&plan, &run, datapath, &given.share, self.config.in_place)?;
        let dir = std::path::absolute(self.config.folder.join(&run))?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let names: Vec<&str> = given.share.nodes.iter().map(|n| plan.node_name(*n)).collect();
        eprintln!("host: run {run}: standing for {}", names.join(", "));
        let paths = RunPaths { id: run, dir, datapath };
        let plan = Arc::new(plan);
        self.watch(&permit, &layout, &plan, &paths)?;
        let terms = permit.manifest.as_ref().map(|manifest| manifest.terms.clone());
        if terms.is_some() {
            self.slow = Slow::Due;
        }
        self.permit = Some((permit, false));
        let mut site = Site::up(plan, layout, &paths, self.heart.clone(), limits)?;
        let keys = site.stage.journal()?.dir().join("keys");
        let whole = &raise.whole_sha256;
        let links = Links::open(&given.share, &mut site.stage, terms.as_ref(), whole)?;
        let seats = lay_out(&keys, &given)?;
        let underlay = self.config.underlay;
        let office = given.office.as_ref();
        let office =
            office.map(|o| office::open(o, &mut site, &paths.dir, underlay)).transpose()?;
        self.raised = Some(Raised { links, office, seats, site });
        Ok(bounds)
    }

    /// Ends the run when it would not be let in any more, when a packet leaks, when the victim falls silent,
    /// or when the disk is nearly full. Between hosts of one internal network nothing can leak.
    fn watch(
        &self,
        permit: &Permit,
        layout: &Layout,
        plan: &Arc<Plan>,
        run: &RunPaths,
    ) -> Result<()> {
        let plan = plan.clone();
        let permit = permit.clone();
        let ports = layout.spaces.iter().filter(|s| s.own).flat_map(|s| &s.ports);
        let ours = ports.map(|port| port.name.clone()).collect();
        let (sentinels, ears) = (self.sentinels.clone(), self.ears.clone());
        if permit.manifest.is_some() {
            let posted = Sentinels::post(Kind::of_kernel(), &run.id, &run.dir, ours)?;
            *sentinels.lock().unwrap_or_else(PoisonError::into_inner) = Some(posted);
        }
        let folder = self.config.folder.clone();
        self.heart.guard_by(Box::new(move || {
            let mut sentinels = sentinels.lock().unwrap_or_else(PoisonError::into_inner);
            sentinels.as_mut().map_or(Ok(()), Sentinels::check)?;
            permit.holds(Utc::now())?;
            let ears = ears.lock().unwrap_or_else(PoisonError::into_inner);
            ears.as_ref().map_or(Ok(()), Ears::check)?;
            has_room(&folder, &plan)
        }));
        Ok(())
    }
}

/// Refuses links to other owners' hosts that everybody on the way could read and write.
fn only_sealed(given: &Assignment) -> Result<()> {
    match given.share.tunnels.values().all(|tunnel| tunnel.sealed) {
        true => Ok(()),
        false => Err(Exit::Safety.refuse(
            "the placement says tunnels = \"bare\", and runs under a manifest have sealed ones: leave that out",
        )),
    }
}

/// Fails where the disk under a folder is nearly full: evidence would be lost.
fn has_room(folder: &Path, plan: &Plan) -> Result<()> {
    let disk = statvfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let free = disk.blocks_available() * disk.fragment_size();
    let shown = folder.display();
    if free < LEAST_FREE {
        let why = format!("{shown} has only {free} bytes left: make room");
        return Err(Exit::Stopped.refuse(why));
    }
    match plan.caution.stops_at(Measure::DiskFree, free as f64) {
        Some(why) => Err(Exit::Stopped.refuse(format!("{shown}: {why}"))),
        None => Ok(()),
    }
}
