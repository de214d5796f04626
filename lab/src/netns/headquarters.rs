//! Collectors of a run, and everybody's keys.
//!
//! One collector serves all, unless domains ask each other: then each has its own, with an authority, an
//! operator and keys of its own, and the agents of its routers know no other.

use super::agents::{PATIENCE, await_ready};
use super::disk::{self, Disk};
use super::layout::CONTROL;
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::office::{self, PEOPLE};
use crate::plan::{Failure, Node, Plan};
use crate::programs;
use anyhow::{Context, Result};
use ashiato_collector::authority::{Authority, Tls};
use ashiato_collector::exchange::Config;
use ashiato_collector::identity::Identity;
use ashiato_collector::server;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use traceback::report::Role;

/// The collector's port in the control namespace.
const PORT: u16 = 7400;
/// The port on which domains hear each other (RFC 6546).
const RID: u16 = 4590;
/// Keys serve one run and outlive no working day by much.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The collectors of a run and everybody's keys.
#[derive(Debug)]
pub(crate) struct Headquarters {
    /// One for all, or one for each domain in the plan's order.
    pub posts: Vec<Post>,
    /// Where they listen, in the control namespace, and keys of all vantages.
    pub seats: Seats,
    /// The run's zero that they know, in nanoseconds since the Unix epoch.
    pub zero: u64,
    /// The file system of the first one's store, where a fault will fill it.
    disk: Option<Disk>,
}

/// A collector at work.
#[derive(Debug)]
pub(crate) struct Post {
    /// The lab's own keys there: those of one person, or of two.
    pub operators: Vec<Tls>,
    /// Its process.
    pub collector: Worker,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Where agents report to, and as whom.
#[derive(Debug)]
pub(crate) struct Seats {
    /// Collectors, as agents know them.
    pub desks: Vec<Desk>,
    /// Vantages of the plan.
    pub seats: Vec<Seat>,
}

/// A collector, as agents know it.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// Its address.
    pub collector: SocketAddr,
    /// The authority of its keys.
    pub ca: PathBuf,
}

/// One vantage of the plan and its keys.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What it does there.
    pub role: Role,
    /// Position of the router; for the observer, of the victim's gateway.
    pub router: usize,
    /// Position of its collector in [`Seats::desks`].
    pub desk: usize,
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
    /// Makes keys and starts collectors, which get a map and nothing else of the plan; those of domains get
    /// their own part of it. They listen in the run's control namespace, on `listen` where that is the host's
    /// own. `zero` is the run's, in nanoseconds since the Unix epoch, where domains ask each other about times.
    ///
    /// # Errors
    /// When keys cannot be made or a collector does not start.
    pub(crate) fn open(
        plan: &Plan,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
        listen: Option<SocketAddr>,
        zero: u64,
    ) -> Result<Self> {
        let work = stage.journal()?.dir().to_path_buf();
        let count = if plan.exchange.is_some() { plan.domains.len() } else { 1 };
        let home = |desk| Home::found(plan, desk, (count == 1, &work), listen);
        let homes: Vec<Home> = (0..count).map(home).collect::<Result<_>>()?;
        let seats = Seats { desks: vec![], seats: vec![] };
        let mut hq = Self { posts: vec![], seats, zero, disk: None };
        for home in &homes {
            hq.staff(plan, (home, &homes), (stage, nursery, folder))?;
        }
        Ok(hq)
    }

    /// Starts one collector.
    fn staff(
        &mut self,
        plan: &Plan,
        (home, homes): (&Home, &[Home]),
        (stage, nursery, folder): (&mut Stage, &Nursery, &Path),
    ) -> Result<()> {
        self.seats.seats.extend(home.seats(plan)?);
        let fills = plan.faults.iter().any(|f| f.what == Failure::DiskFull);
        let full = fills && home.desk == 0;
        let store = if full { home.dir.join(disk::FOLDER) } else { home.dir.clone() };
        let path = home.configure(plan, homes, &store, self.zero)?;
        let program = programs::find("ashiato-collector")?;
        let mut command =
            if full { disk::behind(&store, &program)? } else { Command::new(program) };
        command.args(["serve", "--die-with-parent", "--config"]).arg(path);
        let space = stage.layout().control().path();
        let mut collector = nursery.start(stage, space, folder, &home.role(plan), command)?;
        await_ready(stage, std::slice::from_mut(&mut collector), 1, PATIENCE)?;
        if full {
            self.disk = Some(Disk::of(&collector, &store));
        }
        self.seats.desks.push(Desk { collector: home.address, ca: home.own.ca.clone() });
        let operators = home.operators()?;
        self.posts.push(Post { operators, collector, address: home.address });
        Ok(())
    }

    /// Position of the collector of the victim's domain, which rebuilds.
    pub(crate) fn home(&self) -> usize {
        let seat = self.seats.seats.iter().find(|s| s.role == Role::Observer);
        seat.map_or(0, |seat| seat.desk)
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

/// What one collector is about to be.
struct Home {
    /// Its position; that of its domain, where it serves one.
    desk: usize,
    /// Its folder.
    dir: PathBuf,
    /// Where it listens.
    address: SocketAddr,
    /// The domain's own keys, where it speaks for one.
    domain_keys: Option<Tls>,
    /// Whether it serves all domains.
    only: bool,
    authority: Authority,
    own: Tls,
}

impl Home {
    /// Makes its folder and its first keys.
    fn found(
        plan: &Plan,
        desk: usize,
        (only, work): (bool, &Path),
        listen: Option<SocketAddr>,
    ) -> Result<Self> {
        let address = listen.unwrap_or(SocketAddr::new(control(desk)?, PORT));
        let dir = if only { work.to_path_buf() } else { work.join(format!("desk{desk}")) };
        fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let authority = Authority::new(LIFETIME).context("cannot make keys")?;
        let issue = |who: Identity| authority.write(&dir.join("keys"), &who, &[address.ip()]);
        let own = issue(Identity::Collector).context("cannot make keys")?;
        let domain = plan.exchange.as_ref().and_then(|_| plan.domains.get(desk));
        let domain = domain.map(|domain| issue(Identity::Domain(domain.id.clone())));
        let domain_keys = domain.transpose().context("cannot make keys")?;
        Ok(Self { desk, dir, address, domain_keys, only, authority, own })
    }

    fn issue(&self, who: &Identity) -> Result<Tls> {
        self.authority.write(&self.dir.join("keys"), who, &[]).context("cannot make keys")
    }

    /// Keys of the people who answer for it.
    fn operators(&self) -> Result<Vec<Tls>> {
        let people = if self.domain_keys.is_some() { &PEOPLE[..] } else { &PEOPLE[..1] };
        people.iter().map(|name| self.issue(&Identity::Operator((*name).into()))).collect()
    }

    /// Whether a router's agent reports here.
    fn keeps(&self, plan: &Plan, router: usize) -> bool {
        self.only || plan.domains[self.desk].id == plan.routers[router].domain
    }

    /// Writes its configuration.
    fn configure(&self, plan: &Plan, homes: &[Self], store: &Path, zero: u64) -> Result<PathBuf> {
        let map = self.dir.join("map.json");
        fs::write(&map, serde_json::to_vec(&plan.map()?)?).context("cannot write the map")?;
        let exchange = self.exchange(plan, homes, zero)?;
        let config = server::Config {
            listen: self.address,
            tls: self.own.clone(),
            store: store.join("reports.db"),
            // Who speaks for a domain knows its surroundings and no more.
            map: exchange.as_ref().map_or(Some(map), |exchange| exchange.map.clone()),
            store_limit_bytes: None,
            ask_timeout_ms: 5_000,
            cut_timeout_ms: 20_000,
            exchange,
        };
        let path = self.dir.join("collector.json");
        fs::write(&path, serde_json::to_vec(&config)?).context("cannot write a configuration")?;
        Ok(path)
    }

    /// How it speaks for its domain, where it does.
    fn exchange(&self, plan: &Plan, homes: &[Self], zero: u64) -> Result<Option<Config>> {
        let Some(seats) = homes.iter().map(Self::office).collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let seat = &seats[self.desk];
        let put = |path: PathBuf, bytes: Vec<u8>| {
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        put(seat.policy(), serde_json::to_vec(&plan.policy(self.desk))?)?;
        put(seat.map(), serde_json::to_vec(&office::surroundings(plan, self.desk)?)?)?;
        Ok(Some(office::exchange(plan, self.desk, &seats, zero)))
    }

    /// Where others reach its domain, where it speaks for one.
    fn office(&self) -> Option<office::Seat> {
        let keys = self.domain_keys.as_ref()?;
        let listen = SocketAddr::new(self.address.ip(), RID);
        let (certificate, key) = (keys.cert.clone(), keys.key.clone());
        Some(office::Seat { listen, certificate, key, dir: self.dir.clone() })
    }

    /// Vantages that report here, with keys of their own.
    fn seats(&self, plan: &Plan) -> Result<Vec<Seat>> {
        let routers = plan.routers.iter().enumerate().filter(|(_, r)| r.works());
        let routers = routers.map(|(at, r)| (Role::Router, at, Identity::Router(r.id)));
        let gateway = plan.hosts[plan.case.victim].router;
        let observer = (Role::Observer, gateway, Identity::Observer(plan.gateway()));
        let all = routers.chain([observer]).filter(|(_, router, _)| self.keeps(plan, *router));
        let seat = |(role, router, who): (Role, usize, Identity)| {
            Ok(Seat { role, router, desk: self.desk, tls: self.issue(&who)? })
        };
        all.map(seat).collect()
    }

    /// The name of its process.
    fn role(&self, plan: &Plan) -> String {
        let domain = &plan.domains.get(self.desk).filter(|_| !self.only);
        domain.map_or("collector".into(), |domain| format!("collector-{}", domain.id))
    }
}

/// A collector's address in the control namespace.
fn control(desk: usize) -> Result<IpAddr> {
    let first: std::net::Ipv4Addr = CONTROL.parse().context("control address")?;
    let desk = u32::try_from(desk).context("so many domains")?;
    Ok(std::net::Ipv4Addr::from(u32::from(first) + desk).into())
}
