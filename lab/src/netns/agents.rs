//! Collector and agents of a run: their keys, their configurations, their processes.

use super::crooked::{self, Crooked};
use super::disk::{self, Disk};
use super::layout::{CONTROL, Layout, datapath_at};
use super::line::Line;
use super::solo::{self, Solo};
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::plan::{DrawKind, Failure, Fault, Node, Plan};
use crate::programs;
use anyhow::{Context, Result, bail};
use ashiato_agent::config::{self, Interval, RunKey, Vantage};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::identity::Identity;
use ashiato_collector::server;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use traceback::map::Map;
use traceback::report::Role;
use traceback::router::{Far, Spread};

/// The collector's port in the control namespace.
const PORT: u16 = 7400;
/// Keys serve one run and outlive no working day by much.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// The marking step of one packet in so many is timed.
const SAMPLED_1_IN: u32 = 16;
/// How long programs may take to get ready, and how much longer for each vantage.
const PATIENCE: Duration = Duration::from_secs(30);
const PATIENCE_EACH: Duration = Duration::from_millis(500);

/// The collector of a run and everybody's keys.
#[derive(Debug)]
pub(crate) struct Headquarters {
    /// The lab's own keys.
    pub operator: Tls,
    /// The collector's process.
    pub collector: Worker,
    /// Where it listens, in the control namespace, and keys of all vantages.
    pub seats: Seats,
    /// Its store's file system, where a fault will fill it.
    disk: Option<Disk>,
}

/// Where agents report to, and as whom.
#[derive(Debug)]
pub(crate) struct Seats {
    /// The collector's address.
    pub collector: SocketAddr,
    /// The authority of the run.
    pub ca: PathBuf,
    /// Vantages of the plan.
    pub seats: Vec<Seat>,
}

/// One vantage of the plan and its keys.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What it does there.
    pub role: Role,
    /// Position of the router; for the observer, of the victim's gateway.
    pub router: usize,
    /// Its keys.
    pub tls: Tls,
}

impl Seat {
    /// The node of the plan that it is at.
    pub(crate) fn node(&self, plan: &Plan) -> Node {
        match self.role {
            Role::Router => Node::Router(self.router),
            Role::Observer => Node::Host(plan.case.victim),
        }
    }
}

impl Headquarters {
    /// Makes keys and starts the collector, which gets the map and nothing else of the plan. It listens
    /// in the run's control namespace, on `listen` where that is the host's own.
    ///
    /// # Errors
    /// When keys cannot be made or the collector does not start.
    pub(crate) fn open(
        plan: &Plan,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
        listen: Option<SocketAddr>,
    ) -> Result<Self> {
        let work = stage.journal()?.dir().to_path_buf();
        let dir = work.join("keys");
        let authority = Authority::new(LIFETIME).context("cannot make keys")?;
        let issue = |who: Identity| authority.write(&dir, &who, &[]).context("cannot make keys");
        let inside = SocketAddr::new(CONTROL.parse::<IpAddr>().context("control address")?, PORT);
        let address = listen.unwrap_or(inside);
        let own = authority.write(&dir, &Identity::Collector, &[address.ip()])?;
        let operator = issue(Identity::Operator("lab".into()))?;
        let mut keys = vec![];
        for (router, spec) in plan.routers.iter().enumerate().filter(|(_, r)| r.works()) {
            keys.push(Seat { role: Role::Router, router, tls: issue(Identity::Router(spec.id))? });
        }
        let router = plan.hosts[plan.case.victim].router;
        let tls = issue(Identity::Observer(plan.gateway()))?;
        keys.push(Seat { role: Role::Observer, router, tls });
        let map = work.join("map.json");
        fs::write(&map, serde_json::to_vec(&plan.map()?)?).context("cannot write the map")?;
        let full = plan.faults.iter().any(|f| f.what == Failure::DiskFull);
        let store = if full { work.join(disk::FOLDER) } else { work.clone() };
        let config = server::Config {
            listen: address,
            tls: own.clone(),
            store: store.join("reports.db"),
            map: Some(map),
            store_limit_bytes: None,
            ask_timeout_ms: 5_000,
            cut_timeout_ms: 20_000,
        };
        let path = work.join("collector.json");
        fs::write(&path, serde_json::to_vec(&config)?).context("cannot write a configuration")?;
        let program = programs::find("ashiato-collector")?;
        let mut command =
            if full { disk::behind(&store, &program)? } else { Command::new(program) };
        command.args(["serve", "--die-with-parent", "--config"]).arg(path);
        let space = stage.layout().control().path();
        let mut collector = nursery.start(stage, space, folder, "collector", command)?;
        await_ready(stage, std::slice::from_mut(&mut collector), 1, PATIENCE)?;
        let seats = Seats { collector: address, ca: own.ca, seats: keys };
        let disk = full.then(|| Disk::of(&collector, &store));
        Ok(Self { operator, collector, seats, disk })
    }

    /// Fills the collector's file system.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub(crate) fn fill_disk(&self) -> Result<()> {
        self.disk.as_ref().context("the collector's disk is not the lab's")?.fill()
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When what fills it cannot be removed.
    pub(crate) fn free_disk(&self) -> Result<()> {
        self.disk.as_ref().context("the collector's disk is not the lab's")?.free()
    }
}

/// The agents of one turn on this host.
#[derive(Debug)]
pub(crate) struct Agents {
    pub(super) workers: Vec<Worker>,
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
            solos: BTreeMap::new(),
            posted: Posted { vantages, clock_cost_ns: 0, sampled_1_in: SAMPLED_1_IN.into() },
        };
        for group in groups {
            let id = &plan.schemes[scheme].id;
            agents.put(plan, id, group, seats, (stage, nursery, folder))?;
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
        seats: &Seats,
        (stage, nursery, folder): (&mut Stage, &Nursery, &Path),
    ) -> Result<()> {
        let at = self.workers.len();
        let what = if group.crooked { "crooked" } else { "agent" };
        let role = format!("{what}-{scheme}-{at}");
        let work = stage.journal()?.dir().to_path_buf();
        let space = stage.layout().control().path();
        let cut_off = group.solo.filter(|router| solo::cut_off(plan).contains(router));
        let line = cut_off.map(|_| Line::open(&space, seats.collector)).transpose()?;
        let collector = config::Collector {
            address: line.as_ref().map_or(seats.collector, |line| line.address),
            server_name: "collector".into(),
            ca: seats.ca.clone(),
        };
        let path = work.join(format!("{role}.toml"));
        let text = config::Config { collector, vantages: group.vantages }.to_toml();
        fs::write(&path, text).context("cannot write a configuration")?;
        let command =
            if group.crooked { stand_in(plan, &work, path.clone())? } else { agent(&path)? };
        self.workers.push(nursery.start(stage, space, folder, &role, command)?);
        self.solos.extend(group.solo.map(|router| (router, Solo::new(at, path, line))));
        Ok(())
    }

    /// Fails when an agent has ended or reports an error.
    ///
    /// # Errors
    /// With what it said, and the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        let dead = self.all_dead();
        let living = self.workers.iter_mut().enumerate().filter(|(at, _)| !dead.contains(at));
        for (_, worker) in living {
            while let Some(line) = worker.line(Duration::ZERO)? {
                if line.contains("\"error\"") {
                    bail!("{} says {}{}", worker.role, line.trim(), worker.quote());
                }
            }
        }
        Ok(())
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
    let map = plan.map()?;
    let (mut honest, mut crooked, mut groups) = (vec![], vec![], vec![]);
    for seat in seats.seats.iter().filter(|seat| layout.holds(seat.node(plan))) {
        let vantage = vantage(plan, scheme, zero_unix_ns, &map, layout, seat)?;
        let solo = Some(seat.router).filter(|r| seat.role == Role::Router && alone.contains(r));
        if seat.role == Role::Router && plan.routers[seat.router].is_crooked() {
            crooked.push(vantage);
        } else if solo.is_some() || plan.process_per_router {
            groups.push(Group { vantages: vec![vantage], crooked: false, solo });
        } else {
            honest.push(vantage);
        }
    }
    let shared = [(honest, false), (crooked, true)].into_iter();
    let shared = shared.map(|(vantages, crooked)| Group { vantages, crooked, solo: None });
    groups.extend(shared.filter(|g| !g.vantages.is_empty()));
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
    map: &Map,
    layout: &Layout,
    seat: &Seat,
) -> Result<Vantage> {
    let (router, chosen) = (&plan.routers[seat.router], &plan.schemes[scheme]);
    let place = map.place(router.id).context("the map does not hold a router of the plan")?;
    let (space, far, filter) = match seat.role {
        Role::Router => {
            let ports = plan.router_ports(seat.router);
            let far: Vec<_> = ports.iter().map(|p| p.far).collect();
            (layout.router(seat.router), far, None)
        }
        Role::Observer => {
            let far = Far { neighbour: Some(router.id), ..Far::default() };
            (layout.host(plan.case.victim), vec![far], Some(plan.case.filter))
        }
    };
    Ok(Vantage {
        role: seat.role,
        router: router.id,
        index: place.index,
        degree: place.degree,
        asn: place.asn,
        netns: (!space.own).then(|| space.path()),
        cert: seat.tls.cert.clone(),
        key_file: seat.tls.key.clone(),
        scheme: chosen.id.clone(),
        params: chosen.params.clone(),
        key: RunKey(plan.key),
        draws: draws(plan.draws)?,
        report_every: Interval(Duration::from_millis(500)),
        sample_1_in: SAMPLED_1_IN,
        datapath: datapath_at(router, layout.datapath).unwrap_or(layout.datapath).agent(),
        spread: plan.spread.unwrap_or(Spread::Flow),
        filter,
        ports: space.ports.iter().zip(far).map(port).collect(),
        hlog: None,
        zero_unix_ns,
        answer_after: answer_after(plan, seat),
    })
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

/// A port with what is at its other end, as an agent's configuration has it.
fn port((port, far): (&super::layout::Port, Far)) -> config::Port {
    let Far { neighbour, border, legacy } = far;
    config::Port { ifname: port.name.clone(), neighbour, border, legacy }
}

/// Waits until processes have said so many "ready" lines, and returns these.
fn await_ready(
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
