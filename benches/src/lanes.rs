//! Routers side by side, each between the same source and sink and with nothing but its way of
//! forwarding to tell it from the others.
//!
//! ```text
//! src s0 -- p0 rtr0 p1 -- d0 dst
//! src s1 -- p0 rtr1 p1 -- d1 dst     and so on: one namespace for each router
//! ```
//! All are there from the beginning, so that turns can be short. The calling thread sits in `src`.
//!
//! Source, sink and the program that only lets packets pass are one and the same in all lanes. The
//! kernel calls up to 48 XDP programs directly and others at a higher price, so there may not be many;
//! and it takes 25 ms to learn of one that is attached nowhere, so the source is attached, too, to an
//! interface at which nothing arrives.

use crate::agents;
use crate::host::{self, ip};
use crate::queue::Marker;
use crate::traffic::{Flow, Kind, Tools};
use anyhow::Context;
use ashiato_agent::config::{Datapath, DrawKind, Vantage};
use ashiato_agent::datapath::netns;
use ashiato_agent::datapath::offload::Unmerged;
use ashiato_agent::datapath::socket::interface_index;
use ashiato_agent::station::Station;
use nix::unistd::Pid;
use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use tokio::runtime::Runtime;

/// The core on which packets are made, forwarded and counted.
pub const CORE: usize = 1;
/// The core of everything else: agents that only watch over a kernel program.
const OTHER: usize = 0;

/// How a router forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The kernel, with nothing of ours.
    Kernel,
    /// The kernel, with an empty program at tc.
    Hook(Empty),
    /// An XDP program that forwards and does nothing else.
    Plain,
    /// The same, which asks the kernel for the way of every packet.
    Asking,
    /// An agent with this datapath.
    Agent(Datapath),
    /// A rule of iptables hands packets to a program, which marks them.
    Queue,
}

/// Where an empty program sits at tc, and what the kernel does behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Where the agent's would be: a link where packets leave, which asks what is attached behind it.
    Next,
    /// The same, which asks nothing else.
    Last,
    /// A link where packets come in.
    Ingress,
    /// A filter of clsact where packets leave.
    Filter,
}

/// One router to set up.
#[derive(Debug, Clone)]
pub struct Spec {
    /// As results name it, such as `xdp.fms`.
    pub name: String,
    /// How it forwards.
    pub way: Way,
    /// What it does to packets, where it does anything.
    pub scheme: &'static str,
    /// One marking step in so many is timed; 0 times none.
    pub every: u32,
    /// Whether an agent asks the kernel for the way of every packet.
    pub asks: bool,
    /// Packets that pass.
    pub kind: Kind,
}

/// A router, its source and its sink.
#[derive(Debug)]
pub struct Lane {
    /// What it is.
    pub spec: Spec,
    /// Source and sink.
    pub tools: Shared,
    /// Interface to the router.
    pub to: u32,
    /// What marks packets that the kernel queues.
    pub queue: Option<Marker>,
    /// A thread that forwards packets.
    pub worker: Option<Pid>,
    // The rest only has to live.
    _station: Option<Station>,
    _unmerged: Option<Unmerged>,
}

/// Programs that several lanes use, one at a time.
pub type Shared = Rc<RefCell<Tools>>;

/// The namespaces. They go when this is dropped.
#[derive(Debug)]
pub struct Yard {
    tag: String,
    /// For packets without and with room for records.
    tools: [Shared; 2],
    spaces: Vec<String>,
    runtime: Runtime,
}

impl Yard {
    /// Makes the namespaces of source and sink, and moves the calling thread into the former and to
    /// the core that is measured.
    ///
    /// # Errors
    /// When privilege is missing.
    pub fn make() -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build()?;
        let tag = format!("ashi-bench-{}", std::process::id());
        let tools = |kind| anyhow::Ok(Rc::new(RefCell::new(Tools::new(&Flow::new(kind))?)));
        let tools = [tools(Kind::Short)?, tools(Kind::Room)?];
        let mut yard = Self { tag, tools, spaces: vec![], runtime };
        yard.add("src")?;
        yard.add("dst")?;
        netns::enter(&yard.path("src"))?;
        for (n, tools) in yard.tools.iter().enumerate() {
            let sent = format!("sent{n}");
            ip(&format!("link add {sent} type veth peer name unused{n}"))?;
            tools.borrow_mut().attach("send", &sent)?;
        }
        host::pin(Pid::from_raw(0), CORE)?;
        Ok(yard)
    }

    fn add(&mut self, space: &str) -> anyhow::Result<()> {
        ip(&format!("netns add {}", self.name(space)))?;
        self.spaces.push(space.into());
        // Nothing but the flow is to be on the links.
        self.within(space, || Ok(fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?))
    }

    fn name(&self, space: &str) -> String {
        format!("{}-{space}", self.tag)
    }

    fn path(&self, space: &str) -> PathBuf {
        host::netns_file(&self.name(space))
    }

    /// Does something in a namespace and comes back to that of the source, if there is one yet.
    fn within<T>(
        &self,
        space: &str,
        what: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        netns::enter(&self.path(space))?;
        let done = what();
        netns::enter(&self.path("src"))?;
        done
    }

    /// Sets up one more router.
    ///
    /// # Errors
    /// When a link cannot be made, or a program does not load.
    pub fn lane(&mut self, spec: Spec) -> anyhow::Result<Lane> {
        let name = spec.name.clone();
        self.open(spec).with_context(|| format!("set up {name}"))
    }

    fn open(&mut self, spec: Spec) -> anyhow::Result<Lane> {
        let n = self.spaces.len() - 2;
        let space = format!("rtr{n}");
        self.add(&space)?;
        self.link(&space, n)?;
        let to = interface_index(&format!("s{n}"))?.cast_unsigned();
        let tools = Rc::clone(&self.tools[usize::from(spec.kind == Kind::Room)]);
        self.within("dst", || tools.borrow_mut().attach("sink", &format!("d{n}")))?;
        let (mut unmerged, mut queue) = (None, None);
        let attach = |name| self.tools[0].borrow_mut().attach(name, "p0");
        if let Way::Plain | Way::Asking = spec.way {
            let program = if spec.way == Way::Plain { "forward_only" } else { "ask_and_forward" };
            self.within(&space, || attach(program))?;
        } else if !matches!(spec.way, Way::Agent(Datapath::Xdp | Datapath::XdpPass)) {
            // A veth takes frames of XDP only where there is a program at the other end.
            self.within(&space, || attach("empty_xdp"))?;
            unmerged = Some(self.within(&space, || Unmerged::keep(&["p0"], None, false))?);
        }
        if let Way::Hook(empty) = spec.way {
            self.within(&space, || self.tools[0].borrow_mut().attach_tc(empty))?;
        }
        if spec.way == Way::Queue {
            host::run(&format!("ip netns exec {} {}", self.name(&space), Marker::RULE))?;
            queue = Some(self.within(&space, || Marker::open(spec.scheme))?);
        }
        let (station, worker) = match spec.way {
            Way::Agent(datapath) => self.station(&space, n, &spec, datapath)?,
            _ => (None, None),
        };
        let (_station, _unmerged) = (station, unmerged);
        Ok(Lane { spec, tools, to, queue, worker, _station, _unmerged })
    }

    /// Two links, addresses, and a neighbour's entry for the sink.
    fn link(&self, space: &str, n: usize) -> anyhow::Result<()> {
        let router = self.name(space);
        for (port, leaf, other) in [(0, "src", format!("s{n}")), (1, "dst", format!("d{n}"))] {
            let (mac, peer) = (port + 1, 4 - port);
            let leaf = self.name(leaf);
            ip(&format!(
                "link add p{port} address 02:00:00:00:00:0{mac} netns {router} type veth \
                 peer name {other} address 02:00:00:00:00:0{peer} netns {leaf}"
            ))?;
            ip(&format!("-n {router} addr add 198.18.{port}.1/24 dev p{port}"))?;
            ip(&format!("-n {router} link set p{port} up"))?;
            ip(&format!("-n {leaf} link set {other} up"))?;
        }
        let sink = "neigh add 198.18.1.2 lladdr 02:00:00:00:00:03 dev p1 nud permanent";
        ip(&format!("-n {router} {sink}"))?;
        self.within(space, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))
    }

    /// An agent, and its thread where that forwards packets.
    fn station(
        &self,
        space: &str,
        n: usize,
        spec: &Spec,
        datapath: Datapath,
    ) -> anyhow::Result<(Option<Station>, Option<Pid>)> {
        let forwards = datapath == Datapath::Afpacket;
        if forwards {
            self.within(space, || Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "0")?))?;
        }
        let router = agents::router(self.path(space), n, spec.scheme, datapath);
        let keep_routes_ms = if spec.asks { 0 } else { router.keep_routes_ms };
        let (draws, sample_1_in) = (DrawKind::Kernel, spec.every);
        let config = Vantage { draws, sample_1_in, keep_routes_ms, ..router };
        let before = host::threads_named("router/")?;
        let station = self.runtime.block_on(Station::start(&config))?;
        let after = host::threads_named("router/")?;
        let thread = *after.difference(&before).next().context("the agent has no thread")?;
        host::pin(thread, if forwards { CORE } else { OTHER })?;
        Ok((Some(station), forwards.then_some(thread)))
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for space in &self.spaces {
            // What is left is named after this process, and the error has been printed.
            let _ = ip(&format!("netns del {}", self.name(space)));
        }
    }
}
