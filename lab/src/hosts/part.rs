//! What a host does with its director's orders: its share of a plan, from raising to striking.

use super::daemon::Config;
use super::wire::{self, Assignment, FromHost, from_host, to_host};
use crate::exit::Exit;
use crate::netns::agents::{Seat, Seats};
use crate::netns::guard::Limits;
use crate::netns::layout::Layout;
use crate::netns::site::{Played, Seen, Site};
use crate::netns::{Heart, NetnsWorld, RunPaths};
use crate::plan::Plan;
use crate::safety::clock::Utc;
use crate::safety::incident::Incident;
use crate::safety::records::Records;
use crate::safety::{Asked, Permit, Site as Policy, evidence};
use crate::world::Arrival;
use anyhow::{Context, Result, bail, ensure};
use ashiato_collector::authority::Tls;
use ashiato_collector::identity::Identity;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Packets of the victim's in one message.
const CHUNK: usize = 1024;

/// One run on this host. Dropped, it removes itself.
#[derive(Debug)]
pub(super) struct Part<'a> {
    config: &'a Config,
    policy: &'a Policy,
    me: &'a Own,
    heart: Heart,
    say: UnboundedSender<FromHost>,
    raised: Option<Raised>,
    /// Leave to take part, and whether its manifest is used up.
    permit: Option<(Permit, bool)>,
    /// The run's id here, once it is known.
    run: String,
    failed: bool,
    start_ns: u64,
    arrived: u64,
    /// What could not be removed, once all was tried.
    left: Option<Vec<String>>,
}

#[derive(Debug)]
struct Raised {
    // The site goes first: keys lie in its journal's folder.
    site: Site,
    seats: Seats,
}

impl<'a> Part<'a> {
    pub(super) fn new(
        (config, policy, me): (&'a Config, &'a Policy, &'a Own),
        heart: Heart,
        say: UnboundedSender<FromHost>,
    ) -> Self {
        let (raised, start_ns, arrived, left) = (None, 0, 0, None);
        let (permit, run, failed) = (None, String::new(), false);
        Self {
            config,
            policy,
            me,
            heart,
            say,
            raised,
            permit,
            run,
            failed,
            start_ns,
            arrived,
            left,
        }
    }

    /// Does what it is told, and says so. What fails is said, too, after everything is removed. False
    /// once all is over.
    pub(super) fn obey(&mut self, order: to_host::Kind) -> bool {
        let over = matches!(order, to_host::Kind::Strike(_));
        match self.try_to(order) {
            Ok(Some(kind)) => self.tell(kind),
            Ok(None) => {}
            Err(error) => self.fail(&error),
        }
        !over
    }

    /// Gives the run up: removes everything, then says why.
    pub(super) fn fail(&mut self, error: &anyhow::Error) {
        eprintln!("host: the run ends here: {error:#}");
        // Traffic first, papers then.
        self.strike();
        if !self.failed {
            self.failed = true;
            let exit = Exit::of(error);
            self.note("ended", json!({ "code": exit.code(), "why": format!("{error:#}") }));
            if exit == Exit::Void {
                self.report(&format!("{error:#}"));
            }
        }
        self.tell(from_host::Kind::Failed(wire::Failed::of(error)));
    }

    /// Says what has arrived since it was last said.
    pub(super) fn tell_arrivals(&mut self) {
        let packets = self.raised.as_ref().map_or(0, |raised| raised.site.arrived());
        if packets > self.arrived {
            self.arrived = packets;
            self.tell(from_host::Kind::Arrived(wire::Arrived { packets }));
        }
    }

    /// Passes beats on, and fails when the run is to end although no order says so.
    pub(super) fn tend(&mut self) -> Result<()> {
        self.raised.as_mut().map_or(Ok(()), |raised| raised.site.tend())
    }

    /// Adds to the log of evidence. What cannot be written is said, and ends nothing by itself.
    fn note(&self, event: &str, fields: Value) {
        let mut all = json!({ "run": self.run, "director": self.config.director });
        if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
            all.extend(fields);
        }
        let records = Records::at(&self.policy.records);
        if let Err(e) = records.evidence().and_then(|log| log.add(event, all)) {
            eprintln!("host: evidence is not kept: {e:#}");
        }
    }

    /// Drafts the report of an incident.
    fn report(&self, what: &str) {
        let manifest = self.permit.as_ref().and_then(|(permit, _)| permit.manifest.as_ref());
        let incident = Incident { run: &self.run, host: &self.me.name, what, manifest };
        let records = Records::at(&self.policy.records);
        match records.incident(&self.run, &incident.draft(self.policy)) {
            Ok(path) => eprintln!("host: draft of an incident's report: {}", path.display()),
            Err(e) => eprintln!("host: no draft of an incident's report: {e:#}"),
        }
    }

    fn tell(&self, kind: from_host::Kind) {
        // A director that is gone hears nothing; the line says so.
        let _ = self.say.send(FromHost::of(kind));
    }

    fn try_to(&mut self, order: to_host::Kind) -> Result<Option<from_host::Kind>> {
        use to_host::Kind;
        Ok(Some(match order {
            Kind::Raise(raise) => {
                let bounds_json = self.raise(&raise)?;
                from_host::Kind::Raised(wire::Raised { bounds_json })
            }
            Kind::Prepare(prepare) => {
                self.begin()?;
                self.note("turn", json!({ "scheme": prepare.scheme }));
                let Raised { site, seats } = self.raised()?;
                let posted = site.prepare(prepare.scheme as usize, seats)?;
                self.arrived = 0;
                from_host::Kind::Ready(wire::Ready {
                    vantages: posted.vantages as u64,
                    clock_cost_ns: posted.clock_cost_ns,
                    sampled_1_in: posted.sampled_1_in,
                })
            }
            Kind::Play(play) => {
                let site = &mut self.raised()?.site;
                let Played { sent, start, .. } = site.play(Duration::from_nanos(play.lead_ns))?;
                self.start_ns = start.0;
                from_host::Kind::Sent(wire::Sent { packets: sent })
            }
            Kind::Drain(_) => {
                let seen = self.raised()?.site.close()?;
                self.hand_over(seen)
            }
            Kind::Dismiss(_) => {
                let program_ns = self.raised()?.site.dismiss()?;
                from_host::Kind::Ended(wire::Ended { program_ns })
            }
            Kind::Strike(_) => {
                let left = self.strike();
                eprintln!("host: everything is removed; left {}", left.len());
                from_host::Kind::Struck(wire::Struck { left, evidence: self.conclude() })
            }
            // Heard where it comes in.
            Kind::Beat(_) => return Ok(None),
        }))
    }

    fn raised(&mut self) -> Result<&mut Raised> {
        self.raised.as_mut().context("nothing stands here")
    }

    /// Uses the manifest up, once, before anything is sent.
    fn begin(&mut self) -> Result<()> {
        match &mut self.permit {
            Some((permit, spent @ false)) => {
                permit.spend()?;
                *spent = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Notes the run's end; the hash at which the log of evidence stands.
    fn conclude(&self) -> String {
        let records = Records::at(&self.policy.records);
        if let (Some((_, true)), false) = (&self.permit, self.failed) {
            self.note("ended", json!({ "code": 0, "why": "the director ended the run" }));
            if let Err(e) = records.introduce() {
                eprintln!("host: {e:#}");
            }
        }
        evidence::check(&records.evidence_path()).map(|head| head.hash).unwrap_or_default()
    }

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
            peers: &peers,
            director: self.config.director.ip(),
            their_clock: (theirs > 0).then_some(Utc(theirs)),
            now: Utc::now(),
        };
        match self.policy.admit(&asked) {
            Ok(permit) => {
                self.note("admitted", permit.facts());
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

    /// Everything that is to stand here; what is permitted, as JSON.
    fn raise(&mut self, raise: &wire::Raise) -> Result<Vec<u8>> {
        ensure!(self.raised.is_none() && self.left.is_none(), "one call is one run");
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
        let (run, datapath) = (raise.run.clone(), given.datapath);
        self.run.clone_from(&run);
        let permit = self.admit(raise, &plan, &given)?;
        let limits = Limits::within(&permit.bounds, permit.manifest.is_some());
        let bounds = serde_json::to_vec(&permit.bounds)?;
        let layout = Layout::part(&plan, &run, datapath, &given.share, self.config.in_place)?;
        let dir = std::path::absolute(self.config.folder.join(&run))?;
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let names: Vec<&str> = given.share.nodes.iter().map(|n| plan.node_name(*n)).collect();
        eprintln!("host: run {run}: standing for {}", names.join(", "));
        let paths = RunPaths { id: run, dir, datapath };
        self.watch(&permit);
        self.permit = Some((permit, false));
        let mut site = Site::up(Arc::new(plan), layout, &paths, self.heart.clone(), limits)?;
        let keys = site.stage.journal()?.dir().join("keys");
        self.raised = Some(Raised { seats: lay_out(&keys, &given)?, site });
        Ok(bounds)
    }

    /// Ends the run when it would not be let in any more.
    fn watch(&self, permit: &Permit) {
        let permit = permit.clone();
        self.heart.guard_by(Box::new(move || permit.holds(Utc::now())));
    }

    fn hand_over(&self, seen: Seen) -> from_host::Kind {
        for arrivals in seen.tape.chunks(CHUNK) {
            let arrival = |a: &Arrival| wire::Arrival { at: a.at.0, packet: a.bytes.clone() };
            let arrivals = arrivals.iter().map(arrival).collect();
            self.tell(from_host::Kind::Tape(wire::Tape { arrivals }));
        }
        let tap = |((router, flow), packets): ((usize, u32), u64)| wire::Tap {
            router: u32::try_from(router).unwrap_or(u32::MAX),
            flow,
            packets,
        };
        from_host::Kind::Seen(wire::Seen {
            taps: seen.taps.into_iter().map(tap).collect(),
            arrived: seen.arrived,
            astray: seen.astray,
            start_ns: self.start_ns,
        })
    }

    /// Removes everything; what is left, for people.
    pub(super) fn strike(&mut self) -> Vec<String> {
        if let Some(mut raised) = self.raised.take() {
            let left = match raised.site.strike() {
                Ok(removed) => removed.left.iter().map(ToString::to_string).collect(),
                Err(e) => vec![format!("removal failed: {e:#}; try `ashiato gc`")],
            };
            self.left = Some(left);
        }
        self.left.clone().unwrap_or_default()
    }
}

/// Who this host is, by its certificate.
#[derive(Debug)]
pub(super) struct Own {
    /// Its name.
    pub name: String,
    /// SHA-256 of its public key, in hex.
    pub key: String,
}

impl Own {
    /// Reads the certificate.
    ///
    /// # Errors
    /// [`Exit::Usage`] where it is no host's.
    pub(super) fn read(tls: &Tls) -> Result<Self> {
        let shown = tls.cert.display();
        let pem = fs::read(&tls.cert)
            .map_err(|e| Exit::Usage.refuse(format!("cannot read {shown}: {e}")))?;
        let der = Identity::certificate_in(&pem).unwrap_or_default();
        match (Identity::of_certificate(&der), Identity::key_of(&der)) {
            (Some(Identity::Host(name)), Some(key)) => {
                Ok(Self { name, key: hex::encode(Sha256::digest(key)) })
            }
            _ => Err(Exit::Usage.refuse(format!("{shown} is no certificate of a host"))),
        }
    }
}

/// Lays the run's keys out where agents find them.
fn lay_out(dir: &Path, given: &Assignment) -> Result<Seats> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).context("a folder for keys")?;
    let write = |name: String, text: &str| {
        let path = dir.join(name);
        let open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        open.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        anyhow::Ok(path)
    };
    let ca = write("ca.pem".into(), &given.ca)?;
    let mut seats = vec![];
    for (at, keys) in given.keys.iter().enumerate() {
        let cert = write(format!("{at}.pem"), &keys.cert)?;
        let tls = Tls { ca: ca.clone(), cert, key: write(format!("{at}.key"), &keys.key)? };
        seats.push(Seat { role: keys.role, router: keys.router, tls });
    }
    if seats.is_empty() && !given.keys.is_empty() {
        bail!("no keys came");
    }
    Ok(Seats { collector: given.collector, ca, seats })
}
