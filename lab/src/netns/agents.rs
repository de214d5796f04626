//! Collector and agents of a run: their keys, their configurations, their processes.

use super::crooked::{self, Crooked};
use super::layout::{CONTROL, Layout, datapath_at};
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::plan::{DrawKind, Node, Plan};
use crate::programs;
use anyhow::{Context, Result, bail};
use ashiato_agent::config::{self, Interval, RunKey, Vantage};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::identity::Identity;
use ashiato_collector::server;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
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
        let config = server::Config {
            listen: address,
            tls: own.clone(),
            store: work.join("reports.db"),
            map: Some(map),
            store_limit_bytes: None,
            ask_timeout_ms: 5_000,
            cut_timeout_ms: 20_000,
        };
        let path = work.join("collector.json");
        fs::write(&path, serde_json::to_vec(&config)?).context("cannot write a configuration")?;
        let mut command = Command::new(programs::find("ashiato-collector")?);
        command.args(["serve", "--die-with-parent", "--config"]).arg(path);
        let space = stage.layout().control().path();
        let mut collector = nursery.start(stage, space, folder, "collector", command)?;
        await_ready(stage, std::slice::from_mut(&mut collector), 1, PATIENCE)?;
        let seats = Seats { collector: address, ca: own.ca, seats: keys };
        Ok(Self { operator, collector, seats })
    }
}

/// The agents of one turn on this host.
#[derive(Debug)]
pub(crate) struct Agents {
    workers: Vec<Worker>,
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
        let id = &plan.schemes[scheme].id;
        let map = plan.map()?;
        let here = seats.seats.iter().filter(|seat| stage.layout().holds(seat.node(plan)));
        let (mut honest, mut crooked) = (vec![], vec![]);
        for seat in here {
            let vantage = vantage(plan, scheme, zero_unix_ns, &map, stage.layout(), seat)?;
            let other = seat.role == Role::Router && plan.routers[seat.router].is_crooked();
            if other { &mut crooked } else { &mut honest }.push(vantage);
        }
        let vantages = honest.len() + crooked.len();
        let mut groups: Vec<Vec<Vantage>> = if plan.process_per_router {
            honest.into_iter().map(|v| vec![v]).collect()
        } else {
            vec![honest].into_iter().filter(|all| !all.is_empty()).collect()
        };
        let honest = groups.len();
        groups.extend((!crooked.is_empty()).then_some(crooked));
        let work = stage.journal()?.dir().to_path_buf();
        let mut workers = vec![];
        for (at, vantages) in groups.into_iter().enumerate() {
            let what = if at < honest { "agent" } else { "crooked" };
            let role = format!("{what}-{id}-{at}");
            let collector = config::Collector {
                address: seats.collector,
                server_name: "collector".into(),
                ca: seats.ca.clone(),
            };
            let path = work.join(format!("{role}.toml"));
            let text = config::Config { collector, vantages }.to_toml();
            fs::write(&path, text).context("cannot write a configuration")?;
            let command = if at < honest { agent(&path)? } else { stand_in(plan, &work, path)? };
            let space = stage.layout().control().path();
            workers.push(nursery.start(stage, space, folder, &role, command)?);
        }
        let patience = PATIENCE + PATIENCE_EACH * u32::try_from(vantages).unwrap_or(u32::MAX);
        let said = await_ready(stage, &mut workers, vantages, patience)?;
        let cost = |line: &serde_json::Value| line["clock_cost_ns"].as_u64();
        let clock_cost_ns = said.iter().filter_map(cost).max().unwrap_or(0);
        let posted = Posted { vantages, clock_cost_ns, sampled_1_in: SAMPLED_1_IN.into() };
        Ok(Self { workers, posted })
    }

    /// Fails when an agent has ended or reports an error.
    ///
    /// # Errors
    /// With what it said, and the end of its log.
    pub(crate) fn check(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            while let Some(line) = worker.line(Duration::ZERO)? {
                if line.contains("\"error\"") {
                    bail!("{} says {}{}", worker.role, line.trim(), worker.quote());
                }
            }
        }
        Ok(())
    }

    /// Ends them in order: each reports a last time before it goes. Returns for each of their kernel
    /// programs what the kernel says a run takes, in nanoseconds.
    ///
    /// # Errors
    /// When one had to be killed.
    pub(crate) fn end(mut self) -> Result<Vec<u64>> {
        self.workers.iter_mut().for_each(Worker::ask_to_end);
        let mut runs = vec![];
        for worker in &mut self.workers {
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

/// The mean of what kernel programs say a run of them takes; `None` where none ran.
pub(crate) fn mean(runs: &[u64]) -> Option<u64> {
    runs.iter().sum::<u64>().checked_div(runs.len() as u64)
}

/// Starts an agent with its configuration.
fn agent(config: &Path) -> Result<Command> {
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
    })
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
