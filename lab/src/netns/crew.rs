//! The lab's side of its actors: it starts them, renews their lease, and takes their ledgers.

use super::actor::{Config, Said};
use super::delays::Left;
use super::guard::{Guard, Held, Limits};
use super::heart::Rhythm;
use super::layout::Space;
use super::lease::{End, TERM};
use super::space;
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::exit::Exit;
use crate::plan::{Node, Plan};
use crate::process::Process;
use crate::{programs, reap};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an actor may take to find its gateway.
const PATIENCE: Duration = Duration::from_secs(30);

/// Packets by flow.
pub(crate) type Sent = BTreeMap<u32, u64>;

/// The actors of one turn. They stop by themselves when this is no longer tended.
#[derive(Debug)]
pub(crate) struct Crew {
    actors: Vec<Actor>,
    guard: Guard,
    /// What the guard had held back before this turn.
    before: Held,
    rhythm: Rhythm,
}

#[derive(Debug)]
struct Actor {
    worker: Worker,
    departures: PathBuf,
    ready: bool,
    ramped: Option<Vec<(u32, u64)>>,
    ledger: Option<Vec<(u32, u64)>>,
}

impl Crew {
    /// Starts an actor in every host here that sends in the turn of a scheme, and returns when all know their gateways.
    ///
    /// # Errors
    /// Names the actor that does not start.
    pub(crate) fn start(
        plan: &Plan,
        scheme: usize,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
        (guard, limits): (Guard, &Limits),
        ramps: bool,
    ) -> Result<Self> {
        let work = stage.journal()?.dir().to_path_buf();
        fs::write(work.join("plan.json"), plan.to_json()).context("cannot write the plan")?;
        let senders = plan.flows.iter().filter(|f| f.packets > 0).map(|f| f.from);
        let here = |host: &usize| stage.layout().holds(Node::Host(*host));
        let hosts: BTreeSet<usize> = senders.filter(here).collect();
        let before = guard.held()?;
        let mut crew = Self { actors: vec![], guard, before, rhythm: Rhythm::of(stage.heart()) };
        for host in hosts {
            let space = stage.layout().host(host).clone();
            let config = config(&work, host, &space, scheme, limits.pace(), ramps)?;
            let path = work.join(format!("actor-{host}.json"));
            fs::write(&path, serde_json::to_vec(&config)?).context("cannot write for an actor")?;
            let mut command = Command::new(programs::find("ashiato")?);
            command.arg("actor").arg("--config").arg(path);
            let role = format!("{}-{}", reap::ACTOR, plan.hosts[host].name);
            let worker = nursery.start(stage, space.path(), folder, &role, command)?;
            let departures = config.departures;
            crew.actors.push(Actor {
                worker,
                departures,
                ready: false,
                ramped: None,
                ledger: None,
            });
            crew.tend()?;
        }
        crew.until(PATIENCE, "to find their gateways", &mut || stage.pulse(), |a| a.ready)?;
        Ok(crew)
    }

    /// Lets all actors begin slowly, and returns how much they sent so, by flow.
    ///
    /// # Errors
    /// When an actor ended early, the run was stopped, or time is over.
    pub(crate) fn ramp(
        &mut self,
        stage: &Stage,
        start_unix_ns: u64,
        limit: Duration,
    ) -> Result<Sent> {
        self.guard.renew()?;
        for actor in &mut self.actors {
            actor.worker.say(&format!("ramp {start_unix_ns}\n"));
        }
        self.until(limit, "to begin slowly", &mut || stage.pulse(), |a| a.ramped.is_some())?;
        let sent = self.actors.iter_mut().filter_map(|a| a.ramped.take());
        Ok(sent.flatten().collect())
    }

    /// Lets all actors begin: the plan's time 0 is this many nanoseconds after the Unix epoch.
    ///
    /// # Errors
    /// When the gate does not open.
    pub(crate) fn go(&mut self, zero_unix_ns: u64) -> Result<()> {
        // The first beat may come later than the first packet.
        self.guard.renew()?;
        for actor in &mut self.actors {
            actor.worker.say(&format!("go {zero_unix_ns}\n"));
        }
        Ok(())
    }

    /// Tends the actors until all have sent everything, and returns how much, by flow, and when.
    /// Meanwhile `pulse` is called every few milliseconds.
    ///
    /// # Errors
    /// When an actor ended early, time is over, or what `pulse` says.
    pub(crate) fn finish(
        mut self,
        limit: Duration,
        pulse: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(Sent, Left)> {
        self.until(limit, "to send everything", pulse, |a| a.ledger.is_some())?;
        self.guard.held()?.since(&self.before).judge()?;
        let (mut sent, mut left) = (Sent::new(), Left::default());
        for actor in &mut self.actors {
            for (flow, count) in actor.ledger.take().unwrap_or_default() {
                *sent.entry(flow).or_default() += count;
            }
            actor.worker.wait(Duration::from_secs(5))?;
            left.read(&actor.departures)?;
        }
        Ok((sent, left))
    }

    fn until(
        &mut self,
        limit: Duration,
        what: &str,
        pulse: &mut dyn FnMut() -> Result<()>,
        done: impl Fn(&Actor) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            pulse()?;
            if let Err(error) = self.tend() {
                // What looks like a broken actor may be the work of `ashiato stop`.
                pulse()?;
                return Err(error);
            }
            let Some(late) = self.actors.iter().find(|a| !done(a)) else { return Ok(()) };
            if Instant::now() > end {
                let role = &late.worker.role;
                bail!(
                    "waited {limit:?} for the actors {what}; {role} has not{}",
                    late.worker.quote()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Renews the lease when it is due and takes what actors say.
    pub(crate) fn tend(&mut self) -> Result<()> {
        if self.rhythm.is_due() {
            self.guard.renew()?;
            self.actors.iter_mut().for_each(|a| a.worker.say("beat\n"));
        }
        for actor in self.actors.iter_mut().filter(|a| a.ledger.is_none()) {
            while let Some(line) = actor.worker.line(Duration::ZERO)? {
                let said = serde_json::from_str(&line)
                    .with_context(|| format!("{} says {line:?}", actor.worker.role))?;
                match said {
                    Said::Ready => actor.ready = true,
                    Said::Ramped { sent } => actor.ramped = Some(sent),
                    Said::Ledger { sent, end: End::Done, latest_ns, refused } => {
                        let (ms, role) = (latest_ns / 1_000_000, &actor.worker.role);
                        tracing::info!("{role} was {ms} ms late at worst");
                        if refused > 0 {
                            tracing::info!("{role} answered {refused} packets not at all");
                        }
                        actor.ledger = Some(sent);
                        break;
                    }
                    Said::Ledger { end, .. } => return Err(early(&mut actor.worker, end)),
                }
            }
        }
        Ok(())
    }
}

/// What the actor of a host is told.
fn config(
    work: &Path,
    host: usize,
    space: &Space,
    scheme: usize,
    pace: u64,
    ramps: bool,
) -> Result<Config> {
    let port = space.ports.first().context("a sending host is on no link")?;
    Ok(Config {
        plan: work.join("plan.json"),
        host,
        scheme,
        interface: port.name.clone(),
        index: port.index,
        mac: port.mac,
        namespace: space::inode_at(&space.path()).context("the namespace is gone")?,
        in_place: space.own,
        pace,
        ramps,
        parent: Process::me(),
        departures: work.join(format!("departures-{host}")),
    })
}

fn early(worker: &mut Worker, end: End) -> anyhow::Error {
    let why = match end {
        End::LeaseLost => format!(
            "its lease was not renewed for {TERM:?}: this host is too busy (lower the plan's rates), \
             or the run's director is silent"
        ),
        End::Closed => "its lease was closed".into(),
        End::Terminated => "somebody sent it a signal".into(),
        End::Refused | End::Done => {
            let exit = match worker.wait(Duration::from_secs(2)).ok().and_then(|s| s.code()) {
                Some(code) if code == i32::from(Exit::Safety.code()) => Exit::Safety,
                _ => Exit::Internal,
            };
            return exit.refuse(format!("{} refused to send{}", worker.role, worker.quote()));
        }
    };
    Exit::Stopped.refuse(format!("{} stopped: {why}", worker.role))
}
