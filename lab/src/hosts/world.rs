//! The world itself: a plan over hosts, and the turns of its schemes.

use super::director::{Director, Flown};
use super::home::Home;
use super::placement::{Placement, only_domain};
use super::seen::{self, Aftermath, Said};
use super::wire::{self, Assignment, Keys, from_host, to_host};
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::interrupt;
use crate::netns::agents::{Posted, mean};
use crate::netns::headquarters::{Desk, Place, Seats};
use crate::netns::layout::Share;
use crate::netns::site::{RAMP, RECOVERY, await_quiet, limit};
use crate::netns::{NetnsWorld, RunPaths, inquiry};
use crate::plan::{Class, Measure, Plan};
use crate::safety::Manifest;
use crate::safety::evidence::{EVIDENCE, Evidence};
use crate::scenario::spec::Datapath;
use crate::tape::Tape;
use crate::world::{Outcome, Traffic, World};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use traceback::Nanos;
use traceback::case::Case;

/// Time between the order to play and the first packet, so that the order is everywhere by then.
const LEAD_IN: Duration = Duration::from_millis(250);
/// How long hosts may take to stand, and to take away.
const RAISE: Duration = Duration::from_secs(120);
/// How long tunnels may take to stand.
const MEET: Duration = Duration::from_secs(40);
/// How long they may take to get ready for a turn: every vantage takes part of a second.
const PREPARE: Duration = Duration::from_secs(300);
/// How long they may take to hand over what they saw, and to end their agents.
const HAND_OVER: Duration = Duration::from_secs(60);

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
    fn facts(&self, run: &str) -> Value {
        let manifest = Manifest::parse(&self.manifest).ok();
        let signed = manifest.iter().flat_map(|m| &m.signatures);
        let signed: Vec<Value> = signed.map(|s| json!({ "role": s.role, "key": s.key })).collect();
        let digest = manifest.as_ref().map(|m| m.terms.digest());
        json!({ "run": run, "manifest": digest, "signed": signed })
    }

    /// Refuses a manifest that no host can accept, before any host is asked.
    fn check(&self, plan: &Plan) -> Result<()> {
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

/// A plan standing on other hosts. Dropped without removal, it hangs up, and they remove it.
#[derive(Debug)]
pub struct HostsWorld {
    plan: Arc<Plan>,
    run: RunPaths,
    /// What of the plan stands on each host.
    shares: Vec<Share>,
    posted: Option<Posted>,
    /// What is known of the last turn's traffic besides.
    after: Aftermath,
    director: Director,
    papers: Papers,
    /// Whether the run began slowly already.
    ramped: bool,
    evidence: Evidence,
    /// What each host permits.
    bounds: BTreeMap<String, Value>,
    home: Home,
}

impl HostsWorld {
    /// Starts the collector here, waits for the hosts, and has each make its share of the plan.
    ///
    /// # Errors
    /// Names what is out of bounds, missing or late; hosts remove what they made.
    pub fn up(
        plan: Plan,
        run: RunPaths,
        placement: &Placement,
        papers: Papers,
        progress: &dyn Fn(&str),
    ) -> Result<Self> {
        interrupt::watch()?;
        Self::takes(&plan, run.datapath, placement.tunnels)?;
        papers.check(&plan)?;
        let evidence = Evidence::open(&run.dir.join(EVIDENCE))?;
        evidence.add("begun", papers.facts(&run.id))?;
        let shares = placement.shares(&plan, &run.id)?;
        NetnsWorld::allows(&plan, run.datapath)?;
        let grounds = placement.grounds(&plan, &shares)?;
        let plan = Arc::new(plan);
        let home = Home::open(&plan, &run, &grounds)?;
        let director = Director::listen(placement)?;
        let (posted, after, bounds) = (None, Aftermath::default(), BTreeMap::new());
        let mut world = Self {
            plan,
            run,
            shares,
            posted,
            after,
            director,
            papers,
            ramped: false,
            evidence,
            bounds,
            home,
        };
        let hosts = world.shares.len();
        progress(&format!("waiting for {hosts} hosts to call {}", placement.listen));
        world.director.await_all(&mut world.home)?;
        progress(&format!("making {} links between hosts", crossing(&world.shares)));
        let raised = world.raise(placement);
        world.noted(raised)?;
        Ok(world)
    }

    /// Adds a failure to the evidence.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            let (code, why) = (Exit::of(error).code(), format!("{error:#}"));
            self.evidence.add("failed", json!({ "code": code, "why": why }))?;
        }
        result
    }

    fn raise(&mut self, placement: &Placement) -> Result<()> {
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

    /// Has agents, watchers and senders everywhere get ready.
    fn prepare(&mut self, scheme: usize) -> Result<()> {
        self.director.forget_arrivals();
        let scheme = u32::try_from(scheme)?;
        // Domains that ask each other about times count them from one zero.
        let zero_unix_ns = self.plan.exchange.as_ref().map_or(0, |_| self.home.headquarters.zero);
        let prepare = wire::Prepare { scheme, zero_unix_ns };
        self.director.tell_all(&to_host::Kind::Prepare(prepare));
        let ready = |_, kind| match kind {
            from_host::Kind::Ready(ready) => Ok(Some(ready)),
            _ => Ok(None),
        };
        let ready = self.director.gather(&mut self.home, "hosts to get ready", PREPARE, ready)?;
        let vantages: u64 = ready.iter().map(|r| r.vantages).sum();
        self.posted = Some(Posted {
            vantages: usize::try_from(vantages)?,
            clock_cost_ns: ready.iter().map(|r| r.clock_cost_ns).max().unwrap_or(0),
            sampled_1_in: ready.iter().map(|r| r.sampled_1_in).max().unwrap_or(0),
        });
        Ok(())
    }

    fn send(&mut self, scheme: usize) -> Result<Traffic> {
        self.prepare(scheme)?;
        let lead_ns = u64::try_from(LEAD_IN.as_nanos())?;
        if !(self.papers.manifest.is_empty() || self.ramped) {
            self.ramp(lead_ns)?;
        }
        self.director.tell_all(&to_host::Kind::Play(wire::Play { lead_ns }));
        self.home.go(LEAD_IN);
        let mut traffic = Traffic::default();
        let sent = |_, kind| match kind {
            from_host::Kind::Sent(sent) => Ok(Some(sent.packets)),
            _ => Ok(None),
        };
        let patience = limit(&self.plan) + LEAD_IN;
        for packets in
            self.director.gather(&mut self.home, "all packets to leave", patience, sent)?
        {
            for (flow, count) in packets {
                *traffic.sent.entry(flow).or_default() += count;
            }
        }
        self.await_flown(traffic.sent.values().sum())?;
        self.drain(&mut traffic)?;
        self.judge(&traffic)?;
        Ok(traffic)
    }

    /// Has everybody send a little, slowly, and goes on only when all of it arrived where it should.
    fn ramp(&mut self, lead_ns: u64) -> Result<()> {
        self.director.tell_all(&to_host::Kind::Ramp(wire::Ramp { lead_ns }));
        let ramped = |_, kind| match kind {
            from_host::Kind::Ramped(ramped) => Ok(Some(ramped.packets)),
            _ => Ok(None),
        };
        let all = self.director.gather(&mut self.home, "a slow beginning", RAMP, ramped)?;
        let by_flow: BTreeMap<u32, u64> = all.into_iter().flatten().collect();
        let sent: u64 = by_flow.values().sum();
        self.await_flown(sent)?;
        let Flown { arrived, lost } = self.director.flown(&mut self.home)?;
        self.evidence.add("ramped", json!({ "sent": sent, "arrived": arrived, "lost": lost }))?;
        if arrived + lost != sent {
            return Err(Exit::Safety.refuse(format!(
                "of {sent} packets that were sent slowly {arrived} arrived where they should, and links lost {lost} \
                 on purpose: look for the others before more are sent"
            )));
        }
        self.taps_agree(&by_flow)?;
        self.ramped = true;
        Ok(())
    }

    /// Waits until nothing that was sent is under way any more.
    fn await_flown(&mut self, sent: u64) -> Result<()> {
        let (director, home) = (&mut self.director, &mut self.home);
        await_quiet(&self.plan, sent, || {
            // What links lose on purpose will not arrive.
            let Flown { arrived, lost } = director.flown(home)?;
            Ok(arrived + lost)
        })
    }

    /// Fails where a router on the way of what was sent slowly did not see all of it that links let through, or another
    /// one any.
    fn taps_agree(&mut self, sent: &BTreeMap<u32, u64>) -> Result<()> {
        self.director.tell_all(&to_host::Kind::Look(wire::Look {}));
        let looked = |_, kind| match kind {
            from_host::Kind::Looked(looked) => Ok(Some(looked)),
            _ => Ok(None),
        };
        let all = self.director.gather(&mut self.home, "taps to be read", HAND_OVER, looked)?;
        let astray: u64 = all.iter().map(|looked| looked.astray).sum();
        let lost: u64 = all.iter().map(|looked| looked.lost).sum();
        // Of several ways, nobody knows which one such packets took.
        let open = self.plan.ways_differ();
        let taps = all.iter().flat_map(|looked| &looked.taps);
        let seen: BTreeMap<(usize, u32), u64> =
            taps.map(|tap| ((tap.router as usize, tap.flow), tap.packets)).collect();
        let mut faults = vec![];
        for flow in self.plan.flows.iter().filter(|flow| sent.contains_key(&flow.id)) {
            let wanted = sent.get(&flow.id).copied().unwrap_or(0);
            for router in &flow.path {
                let saw = seen.get(&(*router, flow.id)).copied().unwrap_or(0);
                let least = if open { 0 } else { wanted.saturating_sub(lost) };
                if !(least..=wanted).contains(&saw) {
                    let name = &self.plan.routers[*router].name;
                    faults.push(format!("{saw} of {wanted} of {} at {name}", flow.traffic));
                }
            }
        }
        if faults.is_empty() && astray == 0 {
            return Ok(());
        }
        Err(Exit::Safety.refuse(format!(
            "taps do not agree with what was sent slowly ({}; {astray} packets where none may be): look for the \
             reason before more are sent",
            faults.join(", ")
        )))
    }

    /// Ends the run where honest packets fare worse than its authors want.
    fn judge(&self, traffic: &Traffic) -> Result<()> {
        let legit = self.plan.flows.iter().filter(|f| f.class == Class::Legit).map(|f| f.id);
        let (mut sent, mut arrived) = (0, 0);
        for flow in legit {
            sent += traffic.sent.get(&flow).copied().unwrap_or(0);
            arrived += traffic.arrived.get(&flow).copied().unwrap_or(0);
        }
        let share = if sent == 0 { 1.0 } else { arrived as f64 / sent as f64 };
        match self.plan.caution.stops_at(Measure::Goodput, share) {
            Some(why) => Err(Exit::Stopped.refuse(why)),
            None => Ok(()),
        }
    }

    /// Takes in what all hosts saw.
    fn drain(&mut self, traffic: &mut Traffic) -> Result<()> {
        let faults = self.home.outlast(&mut self.director)?;
        self.director.tell_all(&to_host::Kind::Drain(wire::Drain {}));
        let mut tape = Tape::default();
        let seen = |_, kind| match kind {
            from_host::Kind::Tape(part) => {
                part.arrivals.iter().for_each(|a| tape.push(Nanos(a.at), &a.packet));
                Ok(None)
            }
            from_host::Kind::Seen(seen) => Ok(Some(Said::now(seen))),
            _ => Ok(None),
        };
        let patience = HAND_OVER + self.plan.faults_end() + RECOVERY;
        let what = "hosts to say what they saw";
        let all = self.director.gather(&mut self.home, what, patience, seen)?;
        self.note_losses(&all)?;
        self.after = seen::gather(&self.plan, &self.shares, all, faults, tape, traffic)?;
        Ok(())
    }

    /// What tunnels refused ends nothing: it did no harm. What they lost shows where it did not arrive.
    fn note_losses(&self, all: &[Said]) -> Result<()> {
        for (name, said) in self.director.names().zip(all) {
            let (refused, dropped) = said.found();
            if refused + dropped > 0 {
                tracing::warn!(
                    "host {name}: tunnels refused {refused} datagrams, and {dropped} found no room"
                );
                let fields = json!({ "host": name, "refused": refused, "dropped": dropped });
                self.evidence.add("tunnels", fields)?;
            }
        }
        Ok(())
    }
}

impl World for HostsWorld {
    fn traffic(&mut self, scheme: usize) -> Result<Traffic> {
        self.evidence.add("turn", json!({ "scheme": self.plan.schemes[scheme].id }))?;
        let sent = self.send(scheme);
        self.noted(sent)
    }

    fn permitted(&self) -> BTreeMap<String, Value> {
        self.bounds.clone()
    }

    fn reconstruct(&mut self, scheme: usize, case: &Case) -> Result<Outcome> {
        let posted = self.posted.take().context("traffic comes before reconstruction")?;
        let (stage, headquarters) = (&self.home.stage, &self.home.headquarters);
        let Aftermath { zeros, dead } = std::mem::take(&mut self.after);
        let watch = inquiry::Watch { zeros, dead };
        let outcome =
            inquiry::inquire(&self.plan, scheme, case, stage, headquarters, posted, watch)?;
        self.director.tell_all(&to_host::Kind::Dismiss(wire::Dismiss {}));
        let ended = |_, kind| match kind {
            from_host::Kind::Ended(ended) => Ok(Some(ended.program_ns)),
            _ => Ok(None),
        };
        let runs = self.director.gather(&mut self.home, "agents to end", HAND_OVER, ended)?;
        // What agents spend elsewhere, nobody here knows.
        let spent = self.home.headquarters.spent(|_| None);
        Ok(Outcome { program_ns: mean(&runs.concat()), spent, ..outcome })
    }

    fn remove(&mut self) -> Result<u64> {
        let (left, logs) = self.director.strike(RAISE);
        self.evidence.add("ended", json!({ "left": left, "evidence_of_hosts": logs }))?;
        let here = self.home.stage.strike()?.left;
        let all = left.into_iter().chain(here.iter().map(ToString::to_string));
        let all: Vec<String> = all.inspect(|object| tracing::error!("left: {object}")).collect();
        if let Some(unknown) = all.iter().find(|o| o.contains("does not say")) {
            bail!("{unknown}");
        }
        Ok(all.len() as u64)
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

/// Links that leave a host.
fn crossing(shares: &[Share]) -> usize {
    shares.iter().map(|s| s.tunnels.len()).sum::<usize>() / 2
}
