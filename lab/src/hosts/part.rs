//! What a host does with its director's orders: its share of a plan, from raising to striking.

mod raise;

use super::daemon::Config;
use super::keys::Own;
use super::links::Links;
use super::wire::{self, FromHost, Trouble, from_host, to_host};
use crate::clock::unix_ns;
use crate::exit::Exit;
use crate::netns::Heart;
use crate::netns::headquarters::Seats;
use crate::netns::site::{Played, Seen, Site};
use crate::netns::workers::Worker;
use crate::reap::Object;
use crate::safety::beacon::{Ears, Willing};
use crate::safety::incident::Incident;
use crate::safety::records::Records;
use crate::safety::sentinel::Sentinels;
use crate::safety::{Permit, Site as Policy, evidence};
use crate::tape::Arrival;
use crate::world::Happened;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
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
    /// The victim's voice, where it stands here, while packets fly.
    voice: Option<Willing>,
    /// What senders here hear of it, while they send.
    ears: Arc<Mutex<Option<Ears>>>,
    /// Those who look out for leaks, where a manifest is needed.
    sentinels: Arc<Mutex<Option<Sentinels>>>,
    /// The run's id here, once it is known.
    run: String,
    failed: bool,
    slow: Slow,
    start_ns: u64,
    /// Packets that arrived, and that links lost, as it was last said.
    flown: (u64, u64),
    /// What could not be removed, once all was tried.
    left: Option<Vec<String>>,
}

/// Whether the run is to begin slowly here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slow {
    /// Inside one internal network.
    Never,
    Due,
    Done,
}

#[derive(Debug)]
struct Raised {
    // Tunnels end before what they lead into; keys lie in the site's journal's folder.
    links: Option<Links>,
    /// The collector of this host's domain, where it runs here.
    office: Option<Worker>,
    site: Site,
    seats: Seats,
}

impl<'a> Part<'a> {
    pub(super) fn new(
        (config, policy, me): (&'a Config, &'a Policy, &'a Own),
        heart: Heart,
        say: UnboundedSender<FromHost>,
    ) -> Self {
        let (raised, start_ns, flown, left) = (None, 0, (0, 0), None);
        let (permit, run, failed) = (None, String::new(), false);
        let (voice, ears, sentinels) = (None, Arc::default(), Arc::default());
        Self {
            config,
            policy,
            me,
            heart,
            say,
            raised,
            permit,
            voice,
            ears,
            sentinels,
            run,
            failed,
            slow: Slow::Never,
            start_ns,
            flown,
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

    /// Does what is due although no order says so: passes beats on, begins and ends faults, says what has arrived
    /// since it was last said. Fails when the run is to end.
    pub(super) fn tend(&mut self) -> Result<()> {
        let Some(Raised { site, .. }) = &mut self.raised else { return Ok(()) };
        site.tend()?;
        let (packets, lost) = (site.arrived(), site.lost()?);
        if (packets, lost) != self.flown {
            self.flown = (packets, lost);
            self.tell(from_host::Kind::Arrived(wire::Arrived { packets, lost }));
        }
        Ok(())
    }

    /// Adds to the log of evidence. What cannot be written is said, and ends nothing by itself.
    fn note(&self, event: &str, fields: Value) {
        if let Err(e) = self.record(event, fields) {
            eprintln!("host: evidence is not kept: {e:#}");
        }
    }

    /// Adds to the log of evidence.
    fn record(&self, event: &str, fields: Value) -> Result<()> {
        let mut all = json!({ "run": self.run, "director": self.config.director });
        if let (Value::Object(all), Value::Object(fields)) = (&mut all, fields) {
            all.extend(fields);
        }
        Records::at(&self.policy.records).evidence()?.add(event, all)
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
                let key = &self.config.tls.key;
                let links = self.raised()?.links.as_ref();
                let half = links.map(|links| links.show(key)).transpose()?;
                let half = half.unwrap_or_default();
                from_host::Kind::Raised(wire::Raised { bounds_json, half })
            }
            Kind::Meet(meet) => {
                let Raised { links, site, .. } = self.raised()?;
                links.as_mut().map_or(Ok(()), |links| links.meet(&meet.halves, &site.stage))?;
                from_host::Kind::Met(wire::Met {})
            }
            Kind::Prepare(prepare) => self.prepare(&prepare)?,
            Kind::Ramp(ramp) => self.ramp(Duration::from_nanos(ramp.lead_ns))?,
            Kind::Look(_) => self.look()?,
            Kind::Play(play) => self.play(Duration::from_nanos(play.lead_ns))?,
            Kind::Drain(_) => {
                self.voice = None;
                let Raised { links, site, .. } = self.raised()?;
                let (zero, faults) = (site.zero().unwrap_or(0), site.outlast(None)?);
                let (seen, dead) = (site.close()?, site.dead());
                let found = links.as_ref().map(|links| links.faults(&site.stage)).transpose()?;
                self.hand_over(seen, (faults, dead), found.unwrap_or_default(), zero)?
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

    /// What taps here have counted so far.
    fn look(&mut self) -> Result<from_host::Kind> {
        let seen = self.raised()?.site.look()?;
        let taps = wire::Tap::all(seen.flows);
        let (astray, lost) = (seen.astray, seen.lost);
        Ok(from_host::Kind::Looked(wire::Looked { taps, astray, lost }))
    }

    /// Agents, watchers and senders of a scheme's turn.
    fn prepare(&mut self, order: &wire::Prepare) -> Result<from_host::Kind> {
        let scheme = order.scheme;
        self.begin()?;
        self.note("turn", json!({ "scheme": scheme }));
        let ramps = self.slow == Slow::Due;
        let Raised { site, seats, .. } = self.raised()?;
        let zero = if order.zero_unix_ns > 0 { order.zero_unix_ns } else { unix_ns() };
        let posted = site.prepare(scheme as usize, seats, ramps, zero)?;
        self.flown = (0, 0);
        Ok(from_host::Kind::Ready(wire::Ready {
            vantages: posted.vantages as u64,
            clock_cost_ns: posted.clock_cost_ns,
            sampled_1_in: posted.sampled_1_in,
        }))
    }

    /// The first packets, slowly.
    fn ramp(&mut self, lead: Duration) -> Result<from_host::Kind> {
        self.open_ears()?;
        let packets = self.raised()?.site.ramp(lead)?;
        self.slow = Slow::Done;
        Ok(from_host::Kind::Ramped(wire::Ramped { packets }))
    }

    /// All packets of a turn, or those that are left of it.
    fn play(&mut self, lead: Duration) -> Result<from_host::Kind> {
        if self.slow == Slow::Due {
            let why = "the director leaves out the slow beginning that runs between hosts have";
            return Err(Exit::Safety.refuse(why));
        }
        self.open_ears()?;
        let played = self.raised()?.site.play(lead, None);
        // What was sent needs no consent any more.
        *self.ears.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let Played { sent, start, .. } = played?;
        self.start_ns = start.0;
        Ok(from_host::Kind::Sent(wire::Sent { packets: sent }))
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

    /// Lets the victim speak and senders listen, in runs that need consent.
    fn open_ears(&mut self) -> Result<()> {
        let manifest = self.permit.as_ref().and_then(|(permit, _)| permit.manifest.as_ref());
        let (Some(manifest), Some(raised)) = (manifest, &self.raised) else { return Ok(()) };
        let (plan, terms) = (raised.site.plan(), &manifest.terms);
        let layout = raised.site.stage.layout();
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        if ears.is_none() {
            *ears = Some(Ears::open(plan, layout, terms)?);
        }
        if self.voice.is_none() {
            self.voice = Willing::begin(plan, layout, terms, &self.config.tls.key)?;
        }
        Ok(())
    }

    fn hand_over(
        &self,
        seen: Seen,
        (faults, dead): (Vec<Happened>, usize),
        (refused, dropped): (u64, u64),
        zero: u64,
    ) -> Result<from_host::Kind> {
        let trouble = Trouble { lost: seen.lost, carried: seen.carried, faults, dead };
        let arrival = |a: Arrival| wire::Arrival { at: a.at.0, packet: a.bytes };
        let mut tape = seen.tape.iter().map(arrival);
        loop {
            let arrivals: Vec<_> = tape.by_ref().take(CHUNK).collect();
            if arrivals.is_empty() {
                break;
            }
            self.tell(from_host::Kind::Tape(wire::Tape { arrivals }));
        }
        Ok(from_host::Kind::Seen(wire::Seen {
            taps: wire::Tap::all(seen.taps),
            arrived: seen.arrived,
            astray: seen.astray,
            start_ns: self.start_ns,
            refused,
            dropped,
            trouble_json: serde_json::to_vec(&trouble)?,
            ways: seen.ways.map_or_else(Vec::new, |ways| ways.each),
            clock_ns: unix_ns().saturating_sub(zero),
        }))
    }

    /// Removes everything; what is left, for people.
    pub(super) fn strike(&mut self) -> Vec<String> {
        self.voice = None;
        let failed = |e: anyhow::Error| vec![format!("removal failed: {e:#}; try `ashiato gc`")];
        let shown = |left: Vec<Object>| left.iter().map(ToString::to_string).collect();
        if let Some(mut raised) = self.raised.take() {
            (raised.links, raised.office) = (None, None);
            let left = raised.site.strike().map(|removed| shown(removed.left));
            self.left = Some(left.unwrap_or_else(failed));
        }
        // Last, since they look out until nothing can leak any more.
        let posted = self.sentinels.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut posted) = posted {
            let left = posted.withdraw().map_or_else(failed, shown);
            self.left.get_or_insert_default().extend(left);
        }
        self.left.clone().unwrap_or_default()
    }
}
