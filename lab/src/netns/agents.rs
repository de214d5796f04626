//! Agents of a turn: their configurations and processes.

use super::crooked::{self, Crooked};
use super::headquarters::{Desk, Seat, Seats};
use super::layout::{Layout, Space, datapath_at};
use super::line::Line;
use super::solo::{self, Solo};
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::plan::{DrawKind, Failure, Fault, Plan};
use crate::programs;
use crate::run;
use anyhow::{Context, Result, bail};
use ashiato_agent::config::{self, Interval, KEEP_ROUTES_MS, RING_MIB, RunKey, Vantage};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use traceback::Place;
use traceback::case::Filter;
use traceback::disclose::Cut;
use traceback::report::Role;
use traceback::router::{Far, Spread};

/// The marking step of one packet in so many is timed.
const SAMPLED_1_IN: u32 = 16;
/// MiB of a port's receive ring, twice what an agent has by itself: where one machine stands for many, their
/// threads wait for processors.
const RING: u8 = 2 * RING_MIB;
/// How long programs may take to get ready, and how much longer for each vantage.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_EACH: Duration = Duration::from_millis(500);

/// The agents of one turn on this host.
#[derive(Debug)]
pub(crate) struct Agents {
    pub(super) workers: Vec<Worker>,
    /// Position of each one's collector.
    desks: Vec<usize>,
    /// Those with a process of their own, by router.
    pub(super) solos: BTreeMap<usize, Solo>,
    /// What they say of themselves.
    pub posted: Posted,
}

/// What is known of agents that are ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Posted {
    /// How many vantages they serve.
    pub vantages: usize,
    /// What reading the clock twice costs, by the slowest of them.
    pub clock_cost_ns: u64,
    /// One packet in this many is timed.
    pub sampled_1_in: u64,
}

impl Agents {
    /// Starts the agents of a turn and returns when every vantage is ready.
    ///
    /// # Errors
    /// Names the agent or vantage that is not ready in time.
    pub(crate) fn start(
        plan: &Plan,
        scheme: usize,
        zero_unix_ns: u64,
        seats: &Seats,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
    ) -> Result<Self> {
        let alone = solo::alone(plan);
        let groups = groups(plan, scheme, zero_unix_ns, seats, stage.layout(), &alone)?;
        let vantages = groups.iter().map(|g| g.vantages.len()).sum();
        let mut agents = Self {
            workers: vec![],
            desks: vec![],
            solos: BTreeMap::new(),
            posted: Posted { vantages, clock_cost_ns: 0, sampled_1_in: SAMPLED_1_IN.into() },
        };
        for group in groups {
            let id = &plan.schemes[scheme].id;
            let desk = seats.desks.get(&group.desk).context("an agent without a collector")?;
            agents.put(plan, id, group, desk, (stage, nursery, folder))?;
        }
        let patience = PATIENCE + PATIENCE_EACH * u32::try_from(vantages).unwrap_or(u32::MAX);
        let said = await_ready(stage, &mut agents.workers, vantages, patience)?;
        let cost = |line: &serde_json::Value| line["clock_cost_ns"].as_u64();
        agents.posted.clock_cost_ns = said.iter().filter_map(cost).max().unwrap_or(0);
        Ok(agents)
    }

    /// Starts a group's process.
    fn put(
        &mut self,
        plan: &Plan,
        scheme: &str,
        group: Group,
        desk: &Desk,
        (stage, nursery, folder): (&mut Stage, &Nursery, &Path),
    ) -> Result<()> {
        let at = self.workers.len();
        let what = if group.crooked { "crooked" } else { "agent" };
        let role = format!("{what}-{scheme}-{at}");
        let work = stage.journal()?.dir().to_path_buf();
        let space = stage.layout().control().path();
        let cut_off = group.solo.filter(|router| solo::cut_off(plan).contains(router));
        let line = cut_off.map(|_| Line::open(&space, desk.collector)).transpose()?;
        let collector = config::Collector {
            address: line.as_ref().map_or(desk.collector, |line| line.address),
            server_name: "collector".into(),
            ca: desk.ca.clone(),
        };
        let path = work.join(format!("{role}.toml"));
        let text = config::Config { collector, vantages: group.vantages }.to_toml();
        fs::write(&path, text).context("cannot write a configuration")?;
        let command =
            if group.crooked { stand_in(plan, &work, path.clone())? } else { agent(&path)? };
        self.workers.push(nursery.start(stage, space, folder, &role, command)?);
        self.desks.push(group.desk);
        self.solos.extend(group.solo.map(|router| (router, Solo::new(at, path, line))));
        Ok(())
    }

    /// Fails when an agent has ended that no fault was to kill, or reports an error.
    ///
    /// # Errors
    /// With what it said, and the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.listen()?;
        let heard = |s: &&Solo| s.dead || s.is_awaited();
        let heard: Vec<usize> = self.solos.values().filter(heard).map(|s| s.worker).collect();
        let others = self.workers.iter_mut().enumerate().filter(|(at, _)| !heard.contains(at));
        for (_, worker) in others {
            while let Some(line) = worker.line(Duration::ZERO)? {
                if line.contains("\"error\"") {
                    bail!("{} says {}{}", worker.role, line.trim(), worker.quote());
                }
            }
        }
        Ok(())
    }

    /// Processor time so far of those who report to a collector.
    pub(crate) fn busy(&self, desk: usize) -> Option<Duration> {
        let all = self.workers.iter().zip(&self.desks).filter(|(_, at)| **at == desk);
        all.map(|(worker, _)| worker.busy()).sum()
    }

    /// Positions of workers that were killed.
    fn all_dead(&self) -> Vec<usize> {
        self.solos.values().filter(|s| s.dead).map(|s| s.worker).collect()
    }

    /// Ends them in order: each reports a last time before it goes. Returns for each of their kernel
    /// programs what the kernel says a run takes, in nanoseconds.
    ///
    /// # Errors
    /// When one had to be killed.
    pub(crate) fn end(mut self) -> Result<Vec<u64>> {
        self.workers.iter_mut().for_each(Worker::ask_to_end);
        let (mut runs, dead) = (vec![], self.all_dead());
        let living = self.workers.iter_mut().enumerate().filter(|(at, _)| !dead.contains(at));
        for (_, worker) in living {
            worker.wait(Duration::from_secs(20))?;
            // What it said before it ended is still to be heard; then the line is dead.
            while let Ok(Some(line)) = worker.line(Duration::from_secs(1)) {
                let said: Option<serde_json::Value> = serde_json::from_str(&line).ok();
                runs.extend(said.and_then(|said| said["program_ns"].as_u64()));
            }
        }
        Ok(runs)
    }
}

/// Vantages that share a process.
struct Group {
    vantages: Vec<Vantage>,
    /// Position of their collector.
    desk: usize,
    /// Whether the lab's own process stands in for agents here.
    crooked: bool,
    /// The router, where a fault befalls it and nobody else.
    solo: Option<usize>,
}

/// Which vantages here share a process.
fn groups(
    plan: &Plan,
    scheme: usize,
    zero_unix_ns: u64,
    seats: &Seats,
    layout: &Layout,
    alone: &BTreeSet<usize>,
) -> Result<Vec<Group>> {
    let cut = plan.acting(&*run::scheme(plan, scheme)?)?;
    let mut groups = vec![];
    let mut shared: BTreeMap<(bool, usize), Vec<Vantage>> = BTreeMap::new();
    for seat in seats.seats.iter().filter(|seat| layout.holds(seat.node(plan))) {
        let vantage = vantage(plan, scheme, zero_unix_ns, &cut, layout, seat)?;
        let solo = Some(seat.router).filter(|r| seat.role == Role::Router && alone.contains(r));
        let crooked = seat.role == Role::Router && plan.routers[seat.router].is_crooked();
        if !crooked && (solo.is_some() || plan.process_per_router) {
            groups.push(Group { vantages: vec![vantage], desk: seat.desk, crooked, solo });
        } else {
            shared.entry((crooked, seat.desk)).or_default().push(vantage);
        }
    }
    let group = |((crooked, desk), vantages)| Group { vantages, desk, crooked, solo: None };
    groups.extend(shared.into_iter().map(group));
    Ok(groups)
}

/// The mean of what kernel programs say a run of them takes; `None` where none ran.
pub(crate) fn mean(runs: &[u64]) -> Option<u64> {
    runs.iter().sum::<u64>().checked_div(runs.len() as u64)
}

/// Starts an agent with its configuration.
pub(super) fn agent(config: &Path) -> Result<Command> {
    let mut command = Command::new(programs::find("ashiato-agent")?);
    command.args(["run", "--die-with-parent", "--config"]).arg(config);
    Ok(command)
}

/// Starts the lab's own process for routers that do otherwise than agents.
fn stand_in(plan: &Plan, work: &Path, agents: PathBuf) -> Result<Command> {
    let all = (0..plan.routers.len()).filter(|r| plan.routers[*r].is_crooked());
    let routers = all.map(|r| Crooked::of(plan, r)).collect::<Result<_>>()?;
    let path = work.join("crooked.json");
    fs::write(&path, serde_json::to_vec(&crooked::Config { agents, routers })?)
        .context("cannot write a configuration")?;
    let mut command = Command::new(programs::find("ashiato")?);
    command.arg("crooked").arg("--config").arg(path);
    Ok(command)
}

fn vantage(
    plan: &Plan,
    scheme: usize,
    zero_unix_ns: u64,
    cut: &Cut,
    layout: &Layout,
    seat: &Seat,
) -> Result<Vantage> {
    let (router, chosen) = (&plan.routers[seat.router], &plan.schemes[scheme]);
    let place = place(plan, cut, seat)?;
    let datapath = datapath_at(plan, seat.router, layout.datapath).unwrap_or(layout.datapath);
    let (space, far, filter) = post(plan, cut, layout, seat);
    let ports = space.ports.iter().zip(far);
    Ok(Vantage {
        role: seat.role,
        router: router.id,
        index: place.index,
        degree: place.degree,
        asn: place.asn,
        acts_as: Some(place.id).filter(|name| *name != router.id),
        mute: seat.role == Role::Router && plan.is_mute(seat.router),
        netns: (!space.own).then(|| space.path()),
        cert: seat.tls.cert.clone(),
        key_file: seat.tls.key.clone(),
        scheme: chosen.id.clone(),
        params: chosen.params.clone(),
        key: RunKey(plan.key),
        draws: draws(plan.draws)?,
        report_every: Interval(Duration::from_millis(500)),
        sample_1_in: SAMPLED_1_IN,
        datapath: datapath.agent(),
        keep_routes_ms: KEEP_ROUTES_MS,
        ring_mib: RING,
        spread: plan.spread.unwrap_or(Spread::Flow),
        filter,
        ports: ports.map(|(port, far)| config::Port::new(&port.name, far)).collect(),
        hlog: None,
        zero_unix_ns,
        answer_after: answer_after(plan, seat),
    })
}

/// Where a vantage works, who is at the other ends of its ports, and what it counts there.
fn post<'a>(
    plan: &Plan,
    cut: &Cut,
    layout: &'a Layout,
    seat: &Seat,
) -> (&'a Space, Vec<Far>, Option<Filter>) {
    match seat.role {
        Role::Router => {
            let far = plan.acting_ports(seat.router, cut).iter().map(|p| p.far).collect();
            (layout.router(seat.router), far, None)
        }
        Role::Observer => {
            let router = plan.routers[seat.router].id;
            let far = Far { neighbour: Some(router), ..Far::default() };
            (layout.host(plan.case.victim), vec![far], Some(plan.case.filter))
        }
    }
}

/// The place as which a vantage works: routers act as their domain shows them.
fn place(plan: &Plan, cut: &Cut, seat: &Seat) -> Result<Place> {
    let place = match seat.role {
        Role::Router => plan.acting_place(seat.router, cut),
        Role::Observer => cut.whole().place(plan.routers[seat.router].id),
    };
    place.context("the map does not hold a router of the plan")
}

/// How late a router answers, where a fault makes it slow.
fn answer_after(plan: &Plan, seat: &Seat) -> Option<Interval> {
    let slow = |f: &Fault| {
        let Failure::Slow { routers, delay } = &f.what else { return None };
        routers.contains(&seat.router).then_some(delay.0)
    };
    let delay = plan.faults.iter().filter(|_| seat.role == Role::Router).find_map(slow)?;
    Some(Interval(Duration::from_nanos(delay)))
}

fn draws(kind: DrawKind) -> Result<config::DrawKind> {
    match kind {
        DrawKind::Keyed => Ok(config::DrawKind::Keyed),
        DrawKind::Kernel => Ok(config::DrawKind::Kernel),
        DrawKind::Law => bail!("agents draw for themselves"),
    }
}

/// Waits until processes have said so many "ready" lines, and returns these.
pub(super) fn await_ready(
    stage: &Stage,
    workers: &mut [Worker],
    wanted: usize,
    patience: Duration,
) -> Result<Vec<serde_json::Value>> {
    let end = Instant::now() + patience;
    let mut ready = vec![];
    while ready.len() < wanted {
        stage.pulse()?;
        for worker in &mut *workers {
            while let Some(line) = worker.line(Duration::ZERO)? {
                let said: serde_json::Value = serde_json::from_str(&line)
                    .with_context(|| format!("{} says {line:?}", worker.role))?;
                match said["event"].as_str() {
                    Some("ready") => ready.push(said),
                    _ => bail!("{} says {}{}", worker.role, line.trim(), worker.quote()),
                }
            }
        }
        if Instant::now() > end {
            let names: BTreeSet<&str> =
                ready.iter().filter_map(|r| r["vantage"].as_str()).collect();
            let roles: Vec<&str> = workers.iter().map(|w| w.role.as_str()).collect();
            bail!(
                "waited {patience:?} for {} to get ready; {} of {wanted} are: {names:?}{}",
                roles.join(", "),
                ready.len(),
                workers.iter().map(Worker::quote).next_back().unwrap_or_default()
            );
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(ready)
}
