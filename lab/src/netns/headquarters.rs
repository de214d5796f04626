//! Collectors of a run, and everybody's keys.
//!
//! One collector serves all, unless domains ask each other: then each has its own, with an authority, an
//! operator and keys of its own, and the agents of its routers know no other.

use super::agents::{PATIENCE, await_ready};
use super::disk::{self, Disk};
use super::layout::CONTROL;
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::plan::{Failure, Node, Plan};
use crate::programs;
use anyhow::{Context, Result};
use ashiato_collector::authority::{Authority, Tls};
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
/// Keys serve one run and outlive no working day by much.
const LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The collectors of a run and everybody's keys.
#[derive(Debug)]
pub(crate) struct Headquarters {
    /// One for all, or one for each domain in the plan's order.
    pub posts: Vec<Post>,
    /// Where they listen, in the control namespace, and keys of all vantages.
    pub seats: Seats,
    /// The file system of the first one's store, where a fault will fill it.
    disk: Option<Disk>,
}

/// A collector at work.
#[derive(Debug)]
pub(crate) struct Post {
    /// The lab's own keys there.
    pub operator: Tls,
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
    /// Makes keys and starts collectors, which get the map and nothing else of the plan. They listen in the
    /// run's control namespace, on `listen` where that is the host's own.
    ///
    /// # Errors
    /// When keys cannot be made or a collector does not start.
    pub(crate) fn open(
        plan: &Plan,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
        listen: Option<SocketAddr>,
    ) -> Result<Self> {
        let work = stage.journal()?.dir().to_path_buf();
        let count = if plan.exchange.is_some() { plan.domains.len() } else { 1 };
        let mut hq =
            Self { posts: vec![], seats: Seats { desks: vec![], seats: vec![] }, disk: None };
        for desk in 0..count {
            let inside = SocketAddr::new(control(desk)?, PORT);
            let address = listen.unwrap_or(inside);
            let only = count == 1;
            let dir = if only { work.clone() } else { work.join(format!("desk{desk}")) };
            let home = Home { desk, only, dir, address };
            hq.staff(plan, &home, (stage, nursery, folder))?;
        }
        Ok(hq)
    }

    /// Makes one collector's keys and starts it.
    fn staff(
        &mut self,
        plan: &Plan,
        home: &Home,
        (stage, nursery, folder): (&mut Stage, &Nursery, &Path),
    ) -> Result<()> {
        fs::create_dir_all(&home.dir)
            .with_context(|| format!("cannot make {}", home.dir.display()))?;
        let keys = home.dir.join("keys");
        let authority = Authority::new(LIFETIME).context("cannot make keys")?;
        let issue = |who: Identity| authority.write(&keys, &who, &[]).context("cannot make keys");
        let own = authority.write(&keys, &Identity::Collector, &[home.address.ip()])?;
        let operator = issue(Identity::Operator("lab".into()))?;
        self.seats.seats.extend(home.seats(plan, &issue)?);
        let full = plan.faults.iter().any(|f| f.what == Failure::DiskFull);
        let store = if full { home.dir.join(disk::FOLDER) } else { home.dir.clone() };
        let path = home.configure(plan, &own, &store)?;
        let program = programs::find("ashiato-collector")?;
        let mut command =
            if full { disk::behind(&store, &program)? } else { Command::new(program) };
        command.args(["serve", "--die-with-parent", "--config"]).arg(path);
        let space = stage.layout().control().path();
        let mut collector = nursery.start(stage, space, folder, &home.role(plan), command)?;
        await_ready(stage, std::slice::from_mut(&mut collector), 1, PATIENCE)?;
        if full && home.desk == 0 {
            self.disk = Some(Disk::of(&collector, &store));
        }
        self.seats.desks.push(Desk { collector: home.address, ca: own.ca });
        self.posts.push(Post { operator, collector, address: home.address });
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
    /// Its position.
    desk: usize,
    /// Whether it serves all domains.
    only: bool,
    /// Its folder.
    dir: PathBuf,
    /// Where it listens.
    address: SocketAddr,
}

impl Home {
    /// Whether a router's agent reports here.
    fn keeps(&self, plan: &Plan, router: usize) -> bool {
        self.only || plan.domains[self.desk].id == plan.routers[router].domain
    }

    /// Writes its configuration.
    fn configure(&self, plan: &Plan, own: &Tls, store: &Path) -> Result<PathBuf> {
        let map = self.dir.join("map.json");
        fs::write(&map, serde_json::to_vec(&plan.map()?)?).context("cannot write the map")?;
        let config = server::Config {
            listen: self.address,
            tls: own.clone(),
            store: store.join("reports.db"),
            map: Some(map),
            store_limit_bytes: None,
            ask_timeout_ms: 5_000,
            cut_timeout_ms: 20_000,
            exchange: None,
        };
        let path = self.dir.join("collector.json");
        fs::write(&path, serde_json::to_vec(&config)?).context("cannot write a configuration")?;
        Ok(path)
    }

    /// Vantages that report here, with keys of their own.
    fn seats(&self, plan: &Plan, issue: &dyn Fn(Identity) -> Result<Tls>) -> Result<Vec<Seat>> {
        let routers = plan.routers.iter().enumerate().filter(|(_, r)| r.works());
        let routers = routers.map(|(at, r)| (Role::Router, at, Identity::Router(r.id)));
        let gateway = plan.hosts[plan.case.victim].router;
        let observer = (Role::Observer, gateway, Identity::Observer(plan.gateway()));
        let all = routers.chain([observer]).filter(|(_, router, _)| self.keeps(plan, *router));
        let seat =
            |(role, router, who)| Ok(Seat { role, router, desk: self.desk, tls: issue(who)? });
        all.map(seat).collect()
    }

    /// The name of its process.
    fn role(&self, plan: &Plan) -> String {
        if self.only {
            "collector".into()
        } else {
            format!("collector-{}", plan.domains[self.desk].id)
        }
    }
}

/// A collector's address in the control namespace.
fn control(desk: usize) -> Result<IpAddr> {
    let first: std::net::Ipv4Addr = CONTROL.parse().context("control address")?;
    let desk = u32::try_from(desk).context("so many domains")?;
    Ok(std::net::Ipv4Addr::from(u32::from(first) + desk).into())
}
