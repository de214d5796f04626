//! Sinks: what reached each host, counted by flow; at the victim also kept, packet by packet.

use super::layout::Layout;
use super::space;
use crate::plan::{Node, Plan};
use crate::tape::Tape;
use crate::traffic;
use anyhow::{Context, Result, anyhow, bail};
use ashiato_agent::datapath::serve::Clock;
use ashiato_agent::datapath::socket::{Opening, PacketSocket};
use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use traceback::packet::Packet;
use traceback::router::ETHERNET;

/// Receive buffer of each sink: half a second of small frames at the run's highest rate, many times
/// over, because frames take a page's part each.
const BUFFER: usize = 64 << 20;
/// Longest frame kept.
const FRAME: usize = (64 << 10) + 64;
/// How long a sink sleeps at most before it looks whether it is to end.
const NAP: Duration = Duration::from_millis(20);

/// How long it reads on at most once it is to end: what came before that is read by then.
const REST: Duration = Duration::from_secs(1);

/// Sinks of all hosts, each on a thread of its own.
#[derive(Debug)]
pub(crate) struct Sinks {
    sinks: Vec<(String, JoinHandle<Result<Drained>>)>,
    end: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
}

/// What all sinks took in.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// Packets of ours by flow, at the hosts they were for.
    pub arrived: BTreeMap<u32, u64>,
    /// Packets of ours at hosts that they were not for.
    pub astray: u64,
    /// Packets at the victim.
    pub tape: Tape,
    lost: u64,
}

impl Sinks {
    /// Opens all sinks; nothing that arrives after this is missed.
    ///
    /// # Errors
    /// Names the host whose sink does not open.
    pub(crate) fn open(plan: &Arc<Plan>, layout: &Layout, clock: Clock) -> Result<Self> {
        let (end, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut opening = vec![];
        let mut sinks = vec![];
        let here = |(host, _): &(usize, _)| layout.holds(Node::Host(*host));
        for (host, spec) in plan.hosts.iter().enumerate().filter(here) {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let path = layout.host(host).path();
            let sink =
                Sink { plan: plan.clone(), host, clock, end: end.clone(), total: arrived.clone() };
            let thread = thread::Builder::new()
                .name(format!("sink {}", spec.name))
                .spawn(move || sink.run(&path, &ready))
                .context("no thread for a sink")?;
            sinks.push((spec.name.clone(), thread));
            opening.push((spec.name.clone(), is_ready));
        }
        let opened = Self { sinks, end, arrived };
        for (name, ready) in opening {
            if ready.recv().is_err() {
                let error = opened.close().err().unwrap_or_else(|| anyhow!("it ended at once"));
                return Err(error.context(format!("cannot receive at host {name}")));
            }
        }
        Ok(opened)
    }

    /// Packets of ours that arrived so far, wherever.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Ends all sinks and gathers what they took in.
    ///
    /// # Errors
    /// When a sink lost packets: then the run says nothing.
    pub(crate) fn close(mut self) -> Result<Drained> {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Drained::default();
        for (name, thread) in std::mem::take(&mut self.sinks) {
            let drained = match thread.join() {
                Ok(drained) => drained.with_context(|| format!("sink of host {name}"))?,
                Err(_) => bail!("the sink of host {name} broke off"),
            };
            if drained.lost > 0 {
                bail!(
                    "the sink of host {name} lost {} packets: this host is too slow for the plan; \
                     lower its rates",
                    drained.lost
                );
            }
            for (flow, count) in drained.arrived {
                *all.arrived.entry(flow).or_default() += count;
            }
            all.astray += drained.astray;
            // One host alone is the victim.
            if !drained.tape.is_empty() {
                all.tape = drained.tape;
            }
        }
        Ok(all)
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        // A thread that goes on would keep its namespace alive.
        self.end.store(true, Ordering::Relaxed);
        for (_, thread) in self.sinks.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Sink {
    plan: Arc<Plan>,
    host: usize,
    clock: Clock,
    end: Arc<AtomicBool>,
    total: Arc<AtomicU64>,
}

impl Sink {
    fn run(&self, path: &Path, ready: &std::sync::mpsc::Sender<()>) -> Result<Drained> {
        space::enter(path)?;
        let _held = self.hold_ports()?;
        let socket = PacketSocket::open(&Opening {
            interface: Some("p0"),
            receive_buffer: Some(BUFFER),
            ..Opening::default()
        })?;
        let _ = ready.send(());
        let mut drained = Drained::default();
        let mut frame = vec![0; FRAME];
        // A plan's packets, and as many strangers again, bound what is kept.
        let mut ends = None;
        let most = 2 * self.plan.flows.iter().map(|f| f.packets).sum::<u64>() + 10_000;
        loop {
            // Asked before it receives: what came by then is read, too.
            let over = self.end.load(Ordering::Relaxed);
            let came = socket.recv(&mut frame, NAP).context("cannot receive")?;
            if let Some(len) = came {
                self.take(&frame[..len.min(FRAME)], &mut drained);
            }
            // Who goes on sending does not keep it from ending.
            let mut late = || ends.get_or_insert_with(Instant::now).elapsed() > REST;
            if over && (came.is_none() || late()) {
                break;
            }
            if drained.tape.len() > most {
                bail!(
                    "more than {most} packets came to the victim: that is not the plan's traffic"
                );
            }
        }
        drained.lost = u64::from(socket.statistics().context("cannot count losses")?.drops);
        Ok(drained)
    }

    fn take(&self, frame: &[u8], drained: &mut Drained) {
        let at = self.clock.now();
        let Some(Ok(packet)) = frame.get(ETHERNET..).map(Packet::parse) else { return };
        if let Some(tag) = traffic::tag(self.plan.key.0, &packet) {
            let flow = self.plan.flows.get(tag.flow as usize);
            if flow.is_some_and(|f| f.to == self.host) {
                *drained.arrived.entry(tag.flow).or_default() += 1;
            } else {
                drained.astray += 1;
            }
            self.total.fetch_add(1, Ordering::Relaxed);
        }
        if self.host == self.plan.case.victim {
            drained.tape.push(at, packet.as_bytes());
        }
    }

    /// Listens where the plan's packets go, so that the host's own stack does not answer each with an
    /// error message to an address that somebody else may have.
    fn hold_ports(&self) -> Result<Vec<UdpSocket>> {
        let address = self.plan.hosts[self.host].address;
        let mut ports: Vec<u16> =
            self.plan.flows.iter().filter(|f| f.to == self.host).map(|f| f.port).collect();
        ports.sort_unstable();
        ports.dedup();
        let hold = |port: u16| -> Result<UdpSocket> {
            let socket = UdpSocket::bind((address, port))
                .with_context(|| format!("cannot listen on {}", shown(address, port)))?;
            // Never read: the smallest buffer will do.
            nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBuf, &1)?;
            Ok(socket)
        };
        ports.into_iter().filter(|p| *p != 0).map(hold).collect()
    }
}

fn shown(address: IpAddr, port: u16) -> std::net::SocketAddr {
    (address, port).into()
}
