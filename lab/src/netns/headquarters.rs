//! Collectors of a run, and everybody's keys.
//!
//! One collector serves all, unless domains ask each other: then each has its own, with an authority, an
//! operator and keys of its own, and the agents of its routers know no other.

use super::agents::{PATIENCE, await_ready};
use super::disk::{self, Disk};
use super::home::{Files, Home};
use super::layout::CONTROL;
use super::stage::Stage;
use super::workers::{Nursery, Worker};
use crate::plan::{Failure, Node, Plan};
use crate::programs;
use crate::world::Spent;
use anyhow::{Context, Result};
use ashiato_collector::authority::Tls;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use traceback::report::Role;

/// How names of files begin that a collector keeps.
const KEPT: [&str; 2] = ["reports.db", "exchange."];
/// The collector's port in the control namespace.
const PORT: u16 = 7400;
/// The port on which domains hear each other (RFC 6546).
pub(crate) const RID: u16 = 4590;

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

/// Where a collector listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ground {
    /// For agents and operators.
    pub desk: SocketAddr,
    /// For other domains, where it speaks for one.
    pub office: SocketAddr,
    /// Whether this machine starts it; else one that is handed its folder.
    pub here: bool,
}

impl Ground {
    /// Those of a plan's collectors in a run's control namespace.
    pub(super) fn control(plan: &Plan) -> Result<Vec<Self>> {
        let first: Ipv4Addr = CONTROL.parse().context("control address")?;
        let at = (u32::from(first)..).map(|ip| IpAddr::from(Ipv4Addr::from(ip)));
        let ground = |ip| Self { desk: (ip, PORT).into(), office: (ip, RID).into(), here: true };
        Ok(at.map(ground).take(plan.collectors()).collect())
    }
}

/// A collector at work.
#[derive(Debug)]
pub(crate) struct Post {
    /// The lab's own keys there: those of one person, or of two.
    pub operators: Vec<Tls>,
    /// Its process, or what another machine is to start.
    pub collector: Place,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its folder, where it is here.
    folder: PathBuf,
}

impl Post {
    /// What it spent so far, where it is here; its agents' part is not known here.
    fn spent(&self) -> Spent {
        let Place::Here(worker) = &self.collector else { return Spent::default() };
        Spent { collector: worker.busy(), agents: None, store_bytes: kept(&self.folder).ok() }
    }
}

/// Bytes of what a collector keeps: reports, inquiries, its log.
fn kept(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in folder.read_dir()? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if KEPT.iter().any(|kept| name.starts_with(kept)) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Where a collector runs.
#[derive(Debug)]
pub(crate) enum Place {
    /// Here.
    Here(Worker),
    /// On a machine that is handed these files, and starts it under this role.
    Elsewhere { role: String, files: Files },
}

impl Place {
    /// The end of its log, for errors, where it is here.
    pub(crate) fn quote(&self) -> String {
        match self {
            Self::Here(worker) => worker.quote(),
            Self::Elsewhere { .. } => String::new(),
        }
    }
}

/// Where agents report to, and as whom.
#[derive(Debug)]
pub(crate) struct Seats {
    /// Collectors, as agents know them, by position.
    pub desks: BTreeMap<usize, Desk>,
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
    /// their own part of it. `grounds` says where each listens, in the run's control namespace. `zero` is the
    /// run's, in nanoseconds since the Unix epoch, where domains ask each other about times.
    ///
    /// # Errors
    /// When keys cannot be made or a collector does not start.
    pub(crate) fn open(
        plan: &Plan,
        stage: &mut Stage,
        nursery: &Nursery,
        folder: &Path,
        grounds: &[Ground],
        zero: u64,
    ) -> Result<Self> {
        let work = stage.journal()?.dir().to_path_buf();
        let home = |(desk, ground): (usize, &Ground)| Home::found(plan, desk, &work, *ground);
        let homes: Vec<Home> = grounds.iter().enumerate().map(home).collect::<Result<_>>()?;
        let seats = Seats { desks: BTreeMap::new(), seats: vec![] };
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
        let fills = plan.faults.iter().any(|f| f.what == Failure::DiskFull);
        let disk = (fills && home.desk == 0).then(|| home.dir.join(disk::FOLDER));
        let config = home.configure(plan, homes, disk.is_some(), self.zero)?;
        let role = home.role(plan);
        let collector = if home.ground.here {
            let worker = start(&config, &role, disk.as_deref(), (stage, nursery, folder))?;
            if let Some(disk) = &disk {
                self.disk = Some(Disk::of(&worker, disk));
            }
            Place::Here(worker)
        } else {
            // Before keys of others lie there.
            Place::Elsewhere { role, files: home.files()? }
        };
        self.seats.seats.extend(home.seats(plan)?);
        let desk = Desk { collector: home.ground.desk, ca: home.keys.ca.clone() };
        self.seats.desks.insert(home.desk, desk);
        let operators = home.operators()?;
        let (address, folder) = (home.ground.desk, home.dir.clone());
        self.posts.push(Post { operators, collector, address, folder });
        Ok(())
    }

    /// Position of the collector of the victim's domain, which rebuilds.
    pub(crate) fn home(&self) -> usize {
        let seat = self.seats.seats.iter().find(|s| s.role == Role::Observer);
        seat.map_or(0, |seat| seat.desk)
    }

    /// What domains' machines spent so far, by domain; `agents` knows what each one's agents did.
    pub(crate) fn spent(&self, agents: impl Fn(usize) -> Option<Duration>) -> Vec<Spent> {
        let posts = self.posts.iter().enumerate();
        posts.map(|(at, post)| Spent { agents: agents(at), ..post.spent() }).collect()
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

/// Starts a collector, behind a small disk of its own where that is to fill up, and returns when it is ready.
///
/// # Errors
/// With the end of its log.
pub(crate) fn start(
    config: &Path,
    role: &str,
    disk: Option<&Path>,
    (stage, nursery, folder): (&mut Stage, &Nursery, &Path),
) -> Result<Worker> {
    let program = programs::find("ashiato-collector")?;
    let mut command = match disk {
        Some(disk) => disk::behind(disk, &program)?,
        None => Command::new(program),
    };
    command.args(["serve", "--die-with-parent", "--config"]).arg(config);
    let space = stage.layout().control().path();
    let mut collector = nursery.start(stage, space, folder, role, command)?;
    await_ready(stage, std::slice::from_mut(&mut collector), 1, PATIENCE)?;
    Ok(collector)
}
