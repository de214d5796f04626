//! A vantage at work: its datapath's thread in its namespace, and the tasks that feed it tables.
//!
//! This is the whole agent but for reporting, so that tests and benches run exactly what agents run.

use crate::config::{self, Datapath, DrawKind, Vantage};
use crate::datapath::afpacket::Forwarder;
use crate::datapath::desk::{self, Bell, Counter, Event, Request};
use crate::datapath::kernel::program;
use crate::datapath::kernel::router::KernelRouter;
use crate::datapath::netns;
use crate::datapath::observer::Observer;
use crate::datapath::offload::Unmerged;
use crate::datapath::port::{Channel, Port};
use crate::datapath::serve::{Clock, serve};
use crate::datapath::watch::Watcher;
use crate::latency;
use crate::privilege::Held;
use anyhow::Context;
use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use traceback::Place;
use traceback::report::Role;
use traceback::schemes::{self, AnyScheme};
use traceback::vantage::{self, Draws, Setting};

/// A running vantage. It stops when this is dropped.
#[derive(Debug)]
pub struct Station {
    /// Asks the datapath.
    pub bell: Bell,
    /// What the datapath says.
    pub events: mpsc::Receiver<Event>,
    /// What its work costs.
    pub costs: Costs,
    /// How it moves packets; where that was to be chosen, what was.
    pub datapath: Datapath,
    /// Why that was chosen; `None` where the configuration says so.
    pub why: Option<String>,
    thread: Option<JoinHandle<()>>,
}

/// Costs that lie beside the marking step's times.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// Of timing a step, in nanoseconds: two looks at the clock where it runs.
    pub clock: u64,
    /// Of a run of the whole kernel program, in nanoseconds, as of the last cut; 0 where there is none
    /// or that is unknown.
    pub program: Arc<AtomicU64>,
}

impl Costs {
    fn in_userspace() -> Self {
        Self { clock: latency::clock_cost(), ..Self::default() }
    }
}

/// A vantage, and the place as which it works.
pub struct Post {
    /// The place that the scheme knows; the configuration's.
    pub place: Place,
    /// The scheme at work.
    pub vantage: Box<dyn vantage::Vantage>,
}

/// What puts a vantage to work: [`post`], except in experiments about routers that do otherwise.
pub type Posting<'a> = &'a (dyn Fn(&Vantage) -> anyhow::Result<Post> + Sync);

impl Station {
    /// Starts a vantage on the current tokio runtime, and returns when it forwards or watches.
    ///
    /// # Errors
    /// No such scheme, bad parameters, a missing namespace, interface or privilege.
    pub async fn start(config: &Vantage) -> anyhow::Result<Self> {
        Self::start_with(config, &post).await
    }

    /// The same with another vantage than the scheme's own.
    ///
    /// # Errors
    /// As above, and what `posting` says.
    pub async fn start_with(config: &Vantage, posting: Posting<'_>) -> anyhow::Result<Self> {
        if (config.role, config.datapath) == (Role::Router, Datapath::Auto) {
            return Self::choose(config, posting).await;
        }
        Self::start_by(config, config.datapath, posting).await
    }

    /// The kernel's datapath if it can be had, else the one in user space.
    async fn choose(config: &Vantage, posting: Posting<'_>) -> anyhow::Result<Self> {
        let held = Held::look();
        let lacks = held.lacks_for_programs();
        let why = if lacks.is_empty() {
            match Self::start_by(config, Datapath::Tc, posting).await {
                Ok(mut station) => {
                    station.why = Some(held.says());
                    return Ok(station);
                }
                Err(e) => format!("tc cannot be had: {e:#}"),
            }
        } else {
            format!("tc needs {}, which this process lacks", lacks.join(" and "))
        };
        let station = Self::start_by(config, Datapath::Afpacket, posting).await;
        let mut station = station.with_context(|| why.clone())?;
        station.why = Some(why);
        Ok(station)
    }

    async fn start_by(
        config: &Vantage,
        datapath: Datapath,
        posting: Posting<'_>,
    ) -> anyhow::Result<Self> {
        let post = posting(config)?;
        let (desk, counter) = desk::pair().context("make a pipe")?;
        let (opened, opens) = oneshot::channel();
        let (config, runtime) = (Vantage { datapath, ..config.clone() }, Handle::current());
        let thread = std::thread::Builder::new()
            .name(config.name())
            .spawn(move || work(&config, post, counter, &runtime, opened))
            .context("start a thread")?;
        let (watcher, costs) = opens.await.context("the datapath's thread ended")??;
        if let Some(watcher) = watcher {
            let tables = watcher.tables().await?;
            desk.bell.ask(Request::Tables(Box::new(tables.clone())));
            tokio::spawn(watcher.follow(tables, desk.bell.try_clone()?, desk.wanted));
        }
        let (bell, events) = (desk.bell, desk.events);
        Ok(Self { bell, events, costs, datapath, why: None, thread: Some(thread) })
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        self.bell.ask(Request::Stop);
        // A datapath that waits to say something must not wait for ever.
        self.events.close();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// The scheme that a configuration names, at its place.
///
/// # Errors
/// No such scheme, or bad parameters; the kernel's randomness cannot be read.
pub fn post(config: &Vantage) -> anyhow::Result<Post> {
    let place = config.place();
    let scheme = scheme(config)?;
    Ok(Post { place, vantage: scheme.vantage(setting(config, place)?) })
}

/// The scheme that a configuration names.
///
/// # Errors
/// No such scheme, or bad parameters.
pub fn scheme(config: &Vantage) -> anyhow::Result<Arc<dyn AnyScheme>> {
    let entry = schemes::entry(&config.scheme)?;
    entry.build(&config.params).with_context(|| format!("params of {}", config.scheme))
}

/// How the configured vantage is set up at a place.
///
/// # Errors
/// The kernel's randomness cannot be read.
pub fn setting(config: &Vantage, place: Place) -> anyhow::Result<Setting> {
    let draws = match config.draws {
        DrawKind::Keyed => Draws::Keyed,
        DrawKind::Kernel => {
            let mut seed = [0; 8];
            let mut source = File::open("/dev/urandom").context("open /dev/urandom")?;
            source.read_exact(&mut seed).context("read /dev/urandom")?;
            Draws::Seeded(u64::from_le_bytes(seed))
        }
    };
    Ok(Setting { place, key: config.key.0, draws, filter: config.filter })
}

type Opened = oneshot::Sender<anyhow::Result<(Option<Watcher>, Costs)>>;

/// The datapath's thread.
fn work(config: &Vantage, post: Post, mut counter: Counter, runtime: &Handle, opened: Opened) {
    let clock = Clock::since(config.zero_unix_ns);
    let names: Vec<&str> = config.ports.iter().map(|p| p.ifname.as_str()).collect();
    if let Some(Err(e)) = config.netns.as_deref().map(netns::enter) {
        let _ = opened.send(Err(e));
        return;
    }
    let served = match (config.role, config.datapath) {
        (Role::Router, Datapath::Afpacket | Datapath::Pnet) => {
            match router(config, post.vantage, &names, runtime) {
                Ok((mut forwarder, watcher, _unmerged)) => {
                    let _ = opened.send(Ok((Some(watcher), Costs::in_userspace())));
                    serve(&mut forwarder, &mut counter, clock)
                }
                Err(e) => return drop(opened.send(Err(e))),
            }
        }
        (Role::Router, _) => match kernel_router(config, post, &names, runtime, clock) {
            Ok((mut router, watcher, _unmerged)) => {
                let program = router.program_ns.clone();
                let costs = Costs { clock: router.clock_cost, program };
                let _ = opened.send(Ok((Some(watcher), costs)));
                serve(&mut router, &mut counter, clock)
            }
            Err(e) => return drop(opened.send(Err(e))),
        },
        (Role::Observer, _) => match Observer::open(&names, post.vantage, config.sample_1_in) {
            Ok(mut observer) => {
                let _ = opened.send(Ok((None, Costs::in_userspace())));
                serve(&mut observer, &mut counter, clock)
            }
            Err(e) => return drop(opened.send(Err(e.into()))),
        },
    };
    if let Err(e) = served {
        tracing::error!("{}: the datapath stopped: {e}", config.name());
    }
}

fn router(
    config: &Vantage,
    vantage: Box<dyn vantage::Vantage>,
    names: &[&str],
    runtime: &Handle,
) -> anyhow::Result<(Forwarder, Watcher, Unmerged)> {
    netns::kernel_forwards_nothing(names)?;
    let unmerged = Unmerged::keep(names, config.netns.as_deref(), false)?;
    let is_plain = config.datapath == Datapath::Pnet;
    let channel = if is_plain { Channel::Pnet } else { Channel::Ring(config.ring_mib) };
    let ports = names.iter().map(|n| Port::open(n, channel)).collect::<Result<Vec<_>, _>>()?;
    let _entered = runtime.enter();
    let watcher = Watcher::connect(ports.iter().map(|p| p.index).collect())?;
    let far = config.ports.iter().map(config::Port::far).collect();
    // The router itself keeps its name, whatever the scheme's is: packets are spread by it.
    let place = Place { id: config.router, ..config.place() };
    let (every, spread) = (config.sample_1_in, config.spread);
    let mut forwarder = Forwarder::new(place, ports, far, vantage, every, spread);
    forwarder.mute(config.mute);
    Ok((forwarder, watcher, unmerged))
}

fn kernel_router(
    config: &Vantage,
    post: Post,
    names: &[&str],
    runtime: &Handle,
    clock: Clock,
) -> anyhow::Result<(KernelRouter, Watcher, Unmerged)> {
    let filters = config.datapath == Datapath::Tc && !program::has_links();
    let unmerged = Unmerged::keep(names, config.netns.as_deref(), filters)?;
    let router = KernelRouter::start(config, post, clock)?;
    let _entered = runtime.enter();
    let watcher = Watcher::connect(router.interfaces.clone())?;
    Ok((router, watcher, unmerged))
}
