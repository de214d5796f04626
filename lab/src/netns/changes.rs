//! Changes of routes while packets flow: each router's kernel gets its new routes when the plan says so,
//! and agents follow it as they would follow a routing daemon.
//!
//! The routers do not change in one instant, and packets under way meet some that have and some that have
//! not: what ways they took is for the wires to say. One thread holds a netlink socket in each router.

use super::build::route_message;
use super::layout::{Layout, Route};
use super::netlink::{connect, runtime};
use super::space;
use crate::plan::{Node, Plan};
use anyhow::{Context, Result, anyhow};
use futures_util::future::try_join_all;
use rtnetlink::Handle;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
use traceback::Nanos;

/// The thread that changes routes. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Changes {
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

enum Order {
    /// Make every change in its time; the plan's time 0 is so many nanoseconds after the Unix epoch.
    Go(u64),
    /// Make no more, put the first routes back, and say how late each change was.
    Rest(Sender<Result<Vec<Duration>>>),
}

impl Changes {
    /// Connects to the routers here of a plan whose routes change.
    ///
    /// # Errors
    /// When a router cannot be entered.
    pub(crate) fn open(plan: &Plan, layout: &Layout) -> Result<Self> {
        let here = |router: &usize| layout.holds(Node::Router(*router));
        let all = (0..plan.routers.len()).filter(here);
        let routers = all.map(|r| Router::of(plan, layout, r));
        let routers: Vec<Router> = routers.collect::<Result<_>>()?;
        let times: Vec<Nanos> = plan.epochs.iter().map(|e| e.at).collect();
        let (orders, inbox) = mpsc::channel();
        let (opened, opens) = mpsc::channel();
        let work = move || match Worker::open(routers, times) {
            Ok(mut worker) => {
                let _ = opened.send(Ok(()));
                worker.serve(&inbox);
            }
            Err(e) => drop(opened.send(Err(e))),
        };
        let thread = thread::Builder::new().name("changes".into()).spawn(work);
        let thread = thread.context("no thread for changes of routes")?;
        let changes = Self { orders: Some(orders), thread: Some(thread) };
        opens.recv().context("the thread for changes of routes broke off")??;
        Ok(changes)
    }

    /// Makes every change in its time.
    pub(crate) fn go(&self, zero_unix_ns: u64) {
        // A thread that is gone shows when it is to rest.
        let _ = self.orders.as_ref().map(|o| o.send(Order::Go(zero_unix_ns)));
    }

    /// Puts the first routes back, and says how late each change was.
    ///
    /// # Errors
    /// When a router did not take a change.
    pub(crate) fn rest(&self) -> Result<Vec<Duration>> {
        let (reply, said) = mpsc::channel();
        let gone = || anyhow!("the thread for changes of routes is gone");
        let orders = self.orders.as_ref().ok_or_else(gone)?;
        orders.send(Order::Rest(reply)).map_err(|_| gone())?;
        said.recv().map_err(|_| gone())?
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been printed already.
            let _ = thread.join();
        }
    }
}

/// One router's routes, by time: first those that it begins with.
struct Router {
    path: std::path::PathBuf,
    name: String,
    routes: Vec<Vec<Route>>,
}

impl Router {
    fn of(plan: &Plan, layout: &Layout, router: usize) -> Result<Self> {
        let space = layout.router(router);
        let mut routes = vec![space.routes.clone()];
        for epoch in &plan.epochs {
            routes.push(layout.routes_of(plan, router, &epoch.routes[router], &[])?);
        }
        Ok(Self { path: space.path(), name: plan.routers[router].name.clone(), routes })
    }

    /// Goes from one time's routes to another's.
    async fn change(&self, handle: &Handle, from: usize, to: usize) -> Result<()> {
        let (old, new) = (&self.routes[from], &self.routes[to]);
        for route in new.iter().filter(|r| !old.contains(r)) {
            handle.route().add(route_message(route)?).replace().execute().await?;
        }
        let holds = |r: &&Route| new.iter().any(|n| (n.net, n.len) == (r.net, r.len));
        for route in old.iter().filter(|r| !holds(r)) {
            handle.route().del(route_message(route)?).execute().await?;
        }
        Ok(())
    }
}

struct Worker {
    runtime: Runtime,
    routers: Vec<(Router, Handle)>,
    times: Vec<Nanos>,
    /// Whose time's routes stand now.
    now: usize,
    /// What became of the changes since the last rest.
    late: Result<Vec<Duration>>,
}

impl Worker {
    fn open(routers: Vec<Router>, times: Vec<Nanos>) -> Result<Self> {
        let runtime = runtime()?;
        let mut connected = vec![];
        for router in routers {
            space::enter(&router.path)?;
            connected.push((router, connect(&runtime)?));
        }
        Ok(Self { runtime, routers: connected, times, now: 0, late: Ok(vec![]) })
    }

    fn serve(&mut self, orders: &Receiver<Order>) {
        let mut zero = None;
        loop {
            let order = match zero.and_then(|zero| Some(zero + self.times.get(self.now)?.0)) {
                Some(due) => orders.recv_timeout(until(due)),
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Go(at)) => zero = Some(at),
                Ok(Order::Rest(reply)) => {
                    zero = None;
                    let back = self.change(0);
                    let late = std::mem::replace(&mut self.late, Ok(vec![]));
                    let _ = reply.send(back.and(late));
                }
                Err(RecvTimeoutError::Timeout) => self.next(zero),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Makes the change that is due.
    fn next(&mut self, zero: Option<u64>) {
        let due = Duration::from_nanos(zero.unwrap_or(0) + self.times[self.now].0);
        let done = self.change(self.now + 1);
        match (done, &mut self.late) {
            (Ok(()), Ok(late)) => late.push(since_epoch().saturating_sub(due)),
            (Err(e), late) => *late = Err(e),
            (Ok(()), Err(_)) => {}
        }
    }

    /// Goes to another time's routes, in all routers at once.
    fn change(&mut self, to: usize) -> Result<()> {
        let from = std::mem::replace(&mut self.now, to);
        if from == to {
            return Ok(());
        }
        let all = self.routers.iter().map(|(router, handle)| async move {
            let what = || format!("cannot change the routes of {}", router.name);
            router.change(handle, from, to).await.with_context(what)
        });
        self.runtime.block_on(try_join_all(all)).map(drop)
    }
}

fn until(unix_ns: u64) -> Duration {
    Duration::from_nanos(unix_ns).saturating_sub(since_epoch())
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
