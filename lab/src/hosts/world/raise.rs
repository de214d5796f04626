//! Hosts make their shares of the plan, each told of its nodes and keys, and meet.

use super::{HostsWorld, RAISE};
use crate::clock::unix_ns;
use crate::hosts::placement::{Placement, only_domain};
use crate::hosts::wire::{self, Assignment, Keys, from_host, to_host};
use crate::netns::headquarters::{Desk, Place, Seats};
use crate::netns::layout::Share;
use crate::plan::Plan;
use crate::scenario::spec::Datapath;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// How long tunnels may take to stand.
const MEET: Duration = Duration::from_secs(40);

impl HostsWorld {
    pub(super) fn raise(&mut self, placement: &Placement) -> Result<()> {
        let whole_sha256 = self.plan.sha256();
        let seats = &self.home.headquarters.seats;
        for (host, share) in self.shares.iter().enumerate() {
            let known = self.plan.known_to(&share.nodes)?;
            let plan_sha256 = known.sha256();
            let whole = plan_sha256 == whole_sha256;
            let office = placement.hosts[host].collector.and_then(|_| self.office(share));
            let stands = (share.clone(), office);
            let assignment = assignment(&self.plan, seats, self.run.datapath, stands)?;
            self.director.tell(
                host,
                to_host::Kind::Raise(wire::Raise {
                    // Two hosts of a test may share one machine, so their ids differ.
                    run: format!("{}-{}", placement.hosts[host].name, self.run.id),
                    plan_json: known.to_json(),
                    plan_sha256,
                    whole_sha256: whole_sha256.clone(),
                    assignment_json: serde_json::to_vec(&assignment)?,
                    scenario: if whole { self.papers.scenario.clone() } else { vec![] },
                    manifest: self.papers.manifest.clone(),
                    clock_unix_ns: unix_ns(),
                }),
            );
        }
        let raised = |host: usize, kind| match kind {
            from_host::Kind::Raised(raised) => {
                let underlay = placement.hosts[host].underlay.to_string();
                let half = wire::Half { underlay, shown: raised.half };
                Ok(Some((serde_json::from_slice(&raised.bounds_json)?, half)))
            }
            _ => Ok(None),
        };
        let all: Vec<(Value, wire::Half)> =
            self.director.gather(&mut self.home, "hosts to make their share", RAISE, raised)?;
        let (bounds, halves): (Vec<Value>, Vec<wire::Half>) = all.into_iter().unzip();
        let names = placement.hosts.iter().map(|host| host.name.clone());
        self.bounds = names.zip(bounds).collect();
        self.evidence.add("raised", json!({ "permitted": self.bounds }))?;
        self.introduce(halves)
    }

    /// What a host needs that runs its domain's collector.
    fn office(&self, share: &Share) -> Option<wire::Office> {
        let post = &self.home.headquarters.posts[only_domain(&self.plan, share)?];
        match &post.collector {
            Place::Elsewhere { role, files } => {
                let (role, port, files) = (role.clone(), post.address.port(), files.clone());
                Some(wire::Office { role, port, files })
            }
            Place::Here(_) => None,
        }
    }

    /// Has hosts prove to each other who they are, where tunnels between them are sealed.
    fn introduce(&mut self, halves: Vec<wire::Half>) -> Result<()> {
        self.director.tell_all(&to_host::Kind::Meet(wire::Meet { halves }));
        let met = |_, kind| match kind {
            from_host::Kind::Met(_) => Ok(Some(())),
            _ => Ok(None),
        };
        self.director.gather(&mut self.home, "tunnels to stand", MEET, met).map(drop)
    }
}

/// What a host is told: its nodes, and the keys of the vantages there and no others.
fn assignment(
    plan: &Plan,
    seats: &Seats,
    datapath: Datapath,
    (share, office): (Share, Option<wire::Office>),
) -> Result<Assignment> {
    let read = |path: &Path| {
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let here = || seats.seats.iter().filter(|seat| share.nodes.contains(&seat.node(plan)));
    let mut desks: BTreeMap<usize, wire::Desk> = BTreeMap::new();
    for at in here().map(|seat| seat.desk) {
        let Desk { collector, ca } = &seats.desks[&at];
        desks.insert(at, wire::Desk { collector: *collector, ca: read(ca)? });
    }
    let keys = here().map(|seat| {
        let (cert, key) = (read(&seat.tls.cert)?, read(&seat.tls.key)?);
        Ok(Keys { role: seat.role, router: seat.router, desk: seat.desk, cert, key })
    });
    let keys = keys.collect::<Result<_>>()?;
    Ok(Assignment { datapath, share, desks, keys, office })
}
