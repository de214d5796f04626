//! A traffic actor: sends a host's packets of a plan as raw frames, and nothing else.
//!
//! It is a process of its own inside the host's namespace, so that the kernel ends it with its parent.
//! It sends only under a lease that the lab renews on its standard input:
//! ```text
//! ramp 1700000000000000000    slow packets begin, where the run begins slowly
//! go 1700000000000000000      the plan's time 0, in nanoseconds since the Unix epoch
//! beat                        renews the lease by two seconds
//! ```
//! It answers on standard output with one JSON object a line: `ready`, `ramped` where it began slowly, then `ledger`.

use super::answers::Ear;
use super::delays::Departures;
use super::lease::{End, Lease};
use super::{neighbour, place};
use crate::exit::Exit;
use crate::imitate::Imitator;
use crate::plan::{Flow, Plan, slow_departure};
use crate::process::Process;
use crate::scope::{Gate, MAX_PACKETS_PER_SECOND, peak_of};
use crate::traffic::Tag;
use crate::{run, sim, traffic};
use anyhow::{Context, Result};
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use traceback::Nanos;
use traceback::router::{ETHERNET, ethertype};

/// What an actor is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The plan's file.
    pub plan: PathBuf,
    /// Position of the host.
    pub host: usize,
    /// Position of the scheme whose turn it is: attackers may imitate it.
    pub scheme: usize,
    /// Interface to send by.
    pub interface: String,
    /// Its index.
    pub index: u32,
    /// Its link-layer address.
    pub mac: [u8; 6],
    /// The kernel's number of the namespace made for this host: the only one to send in.
    pub namespace: u64,
    /// Whether that is the namespace that the lab itself is in: a container that stands for a host.
    #[serde(default)]
    pub in_place: bool,
    /// How many packets a second all senders of the plan send together, at most.
    #[serde(default = "fastest")]
    pub pace: u64,
    /// Whether the first packets of each flow go slowly, and the others when told.
    #[serde(default)]
    pub ramps: bool,
    /// The process that holds the lease.
    pub parent: Process,
    /// Where it says when each packet left.
    pub departures: PathBuf,
}

fn fastest() -> u64 {
    MAX_PACKETS_PER_SECOND
}

/// What an actor says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Said {
    /// The gateway is known; the actor waits for `go`.
    Ready,
    /// What went slowly has left; the actor waits for `go`.
    Ramped {
        /// Flows with how many packets of each.
        sent: Vec<(u32, u64)>,
    },
    /// All that left, and why it ended.
    Ledger {
        /// Flows with how many packets of each.
        sent: Vec<(u32, u64)>,
        /// Why no more will come.
        end: End,
        /// How late a packet left at worst, in nanoseconds.
        latest_ns: u64,
        /// Packets that came and were not answered, at a reflector.
        #[serde(default)]
        refused: u64,
    },
}

/// Runs an actor until its packets are sent or its lease is lost.
///
/// # Errors
/// With [`Exit::Safety`] where it may not send here or not this packet.
pub fn run(config: &Config) -> Result<Exit> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie the actor to its parent")?;
    // The parent may have died before that call.
    if nix::unistd::getppid().as_raw() != config.parent.pid || !config.parent.is_alive() {
        return Err(Exit::Safety.refuse("the process that started this actor is gone"));
    }
    place::check(config)?;
    let text = fs::read(&config.plan)
        .with_context(|| format!("cannot read plan {}", config.plan.display()))?;
    let plan: Plan = serde_json::from_slice(&text)
        .with_context(|| format!("{} is no plan", config.plan.display()))?;
    let gate = Gate::new(&plan).map_err(|e| Exit::Safety.refuse(e))?;
    let host = plan.hosts.get(config.host).context("the plan has no such host")?;
    let gateway =
        neighbour::find((config.index, host.gateway)).context("cannot find the gateway")?;
    let socket = PacketSocket::open(&Opening {
        interface: Some(&config.interface),
        ethertype: 0,
        ..Opening::default()
    })?;
    let imitator = Imitator::new(&plan, run::scheme(&plan, config.scheme)?.as_ref())?;
    let macs = [gateway, config.mac];
    let gap = shortest_gap(&plan, config.host, config.pace.min(MAX_PACKETS_PER_SECOND));
    let ear = Ear::open(&plan, config.host, &config.interface)?;
    let mut actor = Actor::new((&plan, config.host), gate, (socket, ear), macs, gap, imitator);
    let lease = Lease::start()?;
    say(&Said::Ready)?;
    let end = actor.perform(&lease, config.ramps);
    let ended = end.as_ref().map_or(End::Refused, |e| *e);
    actor.left.keep(&config.departures)?;
    let refused = actor.ear.as_ref().map_or(0, Ear::refused);
    let sent = actor.sent.into_iter().collect();
    say(&Said::Ledger { sent, end: ended, latest_ns: actor.latest_ns, refused })?;
    Ok(if end? == End::Done { Exit::Met } else { Exit::Stopped })
}

pub(super) struct Actor<'a> {
    pub(super) plan: &'a Plan,
    pub(super) host: usize,
    gate: Gate,
    socket: PacketSocket,
    /// What it hears, where it stands for a reflector.
    pub(super) ear: Option<Ear>,
    frame: Vec<u8>,
    ip: Vec<u8>,
    /// Shortest time between two packets, so that lateness is never made up for by a burst.
    gap: Duration,
    pub(super) sent: BTreeMap<u32, u64>,
    left: Departures,
    latest_ns: u64,
    imitator: Imitator,
    /// Whether the first packets of each flow have left already.
    ramped: bool,
    /// When the next packet may leave.
    next: Option<Instant>,
}

impl<'a> Actor<'a> {
    fn new(
        (plan, host): (&'a Plan, usize),
        gate: Gate,
        (socket, ear): (PacketSocket, Option<Ear>),
        [to, from]: [[u8; 6]; 2],
        gap: Duration,
        imitator: Imitator,
    ) -> Self {
        let frame = [to, from].concat();
        let (sent, left) = (BTreeMap::new(), Departures::default());
        Self {
            plan,
            host,
            gate,
            socket,
            ear,
            frame,
            ip: vec![],
            gap,
            sent,
            left,
            latest_ns: 0,
            imitator,
            ramped: false,
            next: None,
        }
    }

    /// Sends everything, where it ramps the first packets of each flow slowly.
    fn perform(&mut self, lease: &Lease, ramps: bool) -> Result<End> {
        if ramps && let Err(end) = self.ramp(lease)? {
            return Ok(end);
        }
        self.act(lease)
    }

    /// Sends the first packets of each flow slowly, and says so.
    fn ramp(&mut self, lease: &Lease) -> Result<Result<(), End>> {
        let zero = match lease.wait_for_ramp() {
            Ok(zero) => zero,
            Err(end) => return Ok(Err(end)),
        };
        let plan = self.plan;
        let own = |f: &&Flow| f.from == self.host && f.reflects.is_none();
        let mine = plan.flows.iter().filter(own);
        let slow =
            |flow| (0..plan.caution.slow(flow)).map(move |seq| (slow_departure(flow, seq), seq));
        let mut all: Vec<(Nanos, Tag)> =
            mine.flat_map(|f| slow(f).map(|(at, seq)| (at, Tag { flow: f.id, seq }))).collect();
        all.sort_unstable();
        for (at, tag) in all {
            if let Err(end) = self.send_one(lease, zero, at, tag)? {
                return Ok(Err(end));
            }
        }
        if let Err(end) = self.answer(lease, zero, true)? {
            return Ok(Err(end));
        }
        self.ramped = true;
        say(&Said::Ramped { sent: self.sent.clone().into_iter().collect() })?;
        Ok(Ok(()))
    }

    /// Sends everything in time.
    fn act(&mut self, lease: &Lease) -> Result<End> {
        let zero = match lease.wait_for_go() {
            Ok(zero) => zero,
            Err(end) => return Ok(end),
        };
        let plan = self.plan;
        for (at, tag) in sim::schedule(plan) {
            let flow = &plan.flows[tag.flow as usize];
            let gone = self.ramped && tag.seq < plan.caution.slow(flow);
            if flow.from != self.host || gone {
                continue;
            }
            if let Err(end) = self.send_one(lease, zero, at, tag)? {
                return Ok(end);
            }
        }
        Ok(self.answer(lease, zero, false)?.err().unwrap_or(End::Done))
    }

    /// Sends one packet when it is due, `at` after `zero`.
    pub(super) fn send_one(
        &mut self,
        lease: &Lease,
        zero: Instant,
        at: Nanos,
        tag: Tag,
    ) -> Result<Result<(), End>> {
        let flow = &self.plan.flows[tag.flow as usize];
        let due = zero + Duration::from_nanos(at.0);
        if let Err(end) = lease.sleep_until(self.next.map_or(due, |next| due.max(next))) {
            return Ok(Err(end));
        }
        let mut ip = std::mem::take(&mut self.ip);
        traffic::build(&mut ip, self.plan, flow, tag.seq);
        self.imitator.forge(flow, at, &mut ip);
        self.gate.check(&ip).map_err(|e| Exit::Safety.refuse(e))?;
        self.frame.truncate(12);
        self.frame.extend(ethertype(&ip));
        self.frame.extend_from_slice(&ip);
        self.ip = ip;
        let leaves = Instant::now();
        if let Err(end) = self.send(lease)? {
            return Ok(Err(end));
        }
        *self.sent.entry(flow.id).or_default() += 1;
        let since = leaves.saturating_duration_since(zero).as_nanos();
        self.left.add(tag, Nanos(u64::try_from(since).unwrap_or(u64::MAX)));
        let now = Instant::now();
        self.next = Some(now + self.gap);
        let late = u64::try_from(now.saturating_duration_since(due).as_nanos());
        self.latest_ns = self.latest_ns.max(late.unwrap_or(u64::MAX));
        Ok(Ok(()))
    }

    /// Sends the frame, waiting while the interface's queue is full.
    fn send(&self, lease: &Lease) -> Result<Result<(), End>> {
        debug_assert!(self.frame.len() > ETHERNET);
        loop {
            match self.socket.send(&self.frame) {
                Ok(()) => return Ok(Ok(())),
                Err(e)
                    if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
                        || e.raw_os_error() == Some(libc::ENOBUFS) =>
                {
                    if let Err(end) = lease.sleep_until(Instant::now() + Duration::from_micros(50))
                    {
                        return Ok(Err(end));
                    }
                }
                Err(e) => return Err(e).context("cannot send"),
            }
        }
    }
}

/// A host's share of the run's pace, by its share of the plan's rate.
fn shortest_gap(plan: &Plan, host: usize, pace: u64) -> Duration {
    let mine = peak_of(plan.flows.iter().filter(|f| f.from == host));
    let others = peak_of(plan.flows.iter().filter(|f| f.from != host));
    let share = mine.max(1) as f64 / (mine + others).max(1) as f64;
    Duration::from_secs_f64(1.0 / (pace.max(1) as f64 * share))
}

fn say(said: &Said) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}
