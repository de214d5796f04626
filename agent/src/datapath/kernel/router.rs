//! A router whose packets stay in the kernel: its program, and what the agent reads from it.

use super::layout::{Counts, PortEntry, QUIET_ERRORS, QUIET_PORTS, Setting};
use super::log::{Log, monotonic};
use super::meter::Meter;
use super::program::{Hook, Program};
use super::teller::Teller;
use super::times;
use crate::config::{self, Datapath, DrawKind, Vantage as Config};
use crate::datapath::desk::{Counter, Share};
use crate::datapath::serve::{Clock, Work};
use crate::datapath::socket::interface_index;
use crate::datapath::tables::Tables;
use crate::datapath::{ethtool, netns};
use crate::latency::Nanoseconds;
use crate::station::{self, Post};
use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use traceback::case::{Answer, Query};
use traceback::invariant::mix2;
use traceback::report::Counters;
use traceback::router::ranks;
use traceback::schemes::AnyScheme;
use traceback::vantage::Vantage;
use traceback::{Nanos, Place};

/// A router at work.
pub struct KernelRouter {
    program: Program,
    vantage: Box<dyn Vantage>,
    log: Option<Log>,
    /// Whether the program keeps a table.
    table: bool,
    /// What sends the scheme's messages, where it has any.
    teller: Option<Teller>,
    ports: Vec<PortEntry>,
    /// Interface indices, by port.
    pub interfaces: Vec<u32>,
    names: Vec<String>,
    /// The vantage's name.
    name: String,
    /// What timing a step costs in the kernel, in nanoseconds.
    pub clock_cost: u64,
    /// What a run of the whole program costs, by the kernel's statistics; 0 where that is unknown.
    pub program_ns: Arc<AtomicU64>,
    _meter: Meter,
    gone: BTreeSet<usize>,
    /// Whether ways of packets are kept for a moment; `None` where the program looks for none.
    keeps: Option<bool>,
    keep_ms: u32,
    counts: Counts,
    times: Vec<u64>,
}

impl std::fmt::Debug for KernelRouter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelRouter").field("program", &self.program).finish_non_exhaustive()
    }
}

impl KernelRouter {
    /// Loads the scheme's program and attaches it to every port, in the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel forwards nothing here, does not take the program, or has another on a port.
    pub fn start(config: &Config, post: Post, clock: Clock) -> anyhow::Result<Self> {
        let Post { place, vantage } = post;
        can_be_mute(config)?;
        let names: Vec<String> = config.ports.iter().map(|p| p.ifname.clone()).collect();
        netns::kernel_forwards(names.iter().map(String::as_str))?;
        let interfaces = indices(&names)?;
        let scheme = station::scheme(config)?;
        let zero = monotonic().wrapping_sub(clock.now().0).cast_signed();
        let mut program = Program::load(
            if config.datapath == Datapath::Tc { Hook::Tc } else { Hook::Xdp },
            &*scheme,
            &place,
            &Setting { zero, me: place.id.0, degree: place.degree.into(), ..setting(config) },
            &interfaces,
        )?;
        let seed = mix2(clock.now().0, config.router.0.into());
        let log = scheme.log().map(|shape| program.log(shape, seed, clock.now())).transpose()?;
        let teller = teller(config, &*scheme, &mut program, &interfaces, place)?;
        let ports = ports(config);
        let times = program.times()?;
        attach(&mut program, &ports, &interfaces, &names)?;
        Ok(Self {
            program,
            vantage,
            log,
            table: scheme.entries().is_some(),
            teller,
            ports,
            interfaces,
            names,
            name: config.name(),
            clock_cost: times::clock_cost(&config.name(), &setting(config)),
            program_ns: Arc::default(),
            _meter: Meter::start()?,
            gone: BTreeSet::new(),
            keeps: None,
            keep_ms: if config.datapath == Datapath::Xdp { config.keep_routes_ms } else { 0 },
            counts: Counts::default(),
            times,
        })
    }

    /// Loads the tables that the program needs at a port.
    fn set_ports(&mut self, tables: &Tables) -> anyhow::Result<()> {
        for (port, entry) in self.ports.iter_mut().enumerate() {
            let Some(link) = tables.links.get(port) else { continue };
            if link.mac == [0; 6] {
                if self.gone.insert(port) {
                    let (name, who) = (&self.names[port], &self.name);
                    tracing::warn!(
                        "{who}: {name} is gone; nothing is marked there until a restart"
                    );
                }
                continue;
            }
            entry.mac = link.mac;
            entry.by_destination = tables.by_destination.into();
            self.program.set_port(self.interfaces[port], *entry)?;
        }
        Ok(())
    }

    /// Says whether the kernel is asked for the way of every packet, when that changes.
    fn say_keeping(&mut self, by_destination: bool) {
        let who = &self.name;
        if self.keep_ms == 0 || self.keeps.replace(by_destination) == Some(by_destination) {
            return;
        }
        if by_destination {
            tracing::info!(
                "{who}: keeps the kernel's word about a destination for {} ms",
                self.keep_ms
            );
        } else {
            tracing::info!(
                "{who}: asks the kernel about every packet, since more than its destination decides: \
                 several next hops, types of service, or rules"
            );
        }
    }

    /// Takes closed pages of the log over.
    fn harvest(&mut self) {
        if let Some(log) = &mut self.log {
            log.harvest(&mut |page| self.vantage.absorb(page));
        }
    }

    fn read(&mut self, latency: &mut Nanoseconds) -> anyhow::Result<Counts> {
        let now = self.program.counts()?;
        let grown = now.since(&self.counts);
        self.counts = now;
        if let Some(mean) = self.program.mean_run() {
            self.program_ns.store(mean, Ordering::Relaxed);
        }
        if grown.received > 0 {
            times::add_new(&self.program.times()?, &mut self.times, latency);
        }
        Ok(grown)
    }
}

/// Interface indices in the calling thread's namespace.
///
/// # Errors
/// When there is no such interface.
pub fn indices(names: &[String]) -> anyhow::Result<Vec<u32>> {
    names.iter().map(|name| Ok(interface_index(name)?.cast_unsigned())).collect()
}

/// Refuses a router that is to keep its errors to itself and cannot: only where they leave can they be told
/// from what it forwards.
fn can_be_mute(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        !config.mute || config.datapath == Datapath::Tc,
        "{}: mute needs datapath tc or afpacket: XDP does not see the kernel's own errors",
        config.name()
    );
    Ok(())
}

/// What sends the scheme's messages from this place, where it has any.
fn teller(
    config: &Config,
    scheme: &dyn AnyScheme,
    program: &mut Program,
    interfaces: &[u32],
    place: Place,
) -> anyhow::Result<Option<Teller>> {
    let Some(ring) = program.take_ring()? else { return Ok(None) };
    let vantage = scheme.vantage(station::setting(config, place)?);
    Teller::open(config, ring, interfaces.to_vec(), vantage).map(Some)
}

/// Tells the program about all ports, then attaches it: what it does not know, it leaves to the kernel,
/// unmarked.
fn attach(
    program: &mut Program,
    ports: &[PortEntry],
    interfaces: &[u32],
    names: &[String],
) -> anyhow::Result<()> {
    for (port, index) in ports.iter().zip(interfaces) {
        program.set_port(*index, *port)?;
    }
    names.iter().try_for_each(|name| program.attach(name))
}

/// The router's interfaces, in the calling thread's namespace.
fn ports(config: &Config) -> Vec<PortEntry> {
    let far: Vec<_> = config.ports.iter().map(config::Port::far).collect();
    let ports =
        config.ports.iter().zip(ranks(&far)).zip(0..).map(|((port, link), index)| PortEntry {
            from: port.neighbour.map_or(0, |r| r.0),
            index,
            edge: u8::from(port.neighbour.is_none()),
            known: 1,
            link,
            border: port.border.into(),
            legacy: port.legacy.into(),
            silent: port.silent.into(),
            mac: ethtool::address(&port.ifname).unwrap_or_default(),
            ..PortEntry::default()
        });
    ports.collect()
}

/// What is fixed before the program is loaded.
fn setting(config: &Config) -> Setting {
    let keyed = config.draws == DrawKind::Keyed;
    let (key, me) = (config.key.0, config.router.into());
    let silent = config.ports.iter().any(|port| port.silent);
    let quiet = [(silent, QUIET_PORTS), (config.mute, QUIET_ERRORS)];
    Setting {
        quiet: quiet.into_iter().map(|(on, bit)| if on { bit } else { 0 }).sum(),
        forwards: u32::from(config.datapath == Datapath::Xdp),
        ahead: config.ports.iter().any(|port| port.legacy).into(),
        by_ports: netns::routes_by_ports().into(),
        kept: ticks(config.keep_routes_ms),
        ..Setting::new(key, me, config.degree, keyed, config.sample_1_in)
    }
}

/// So many milliseconds in ticks of the kernel's clock; one at least, unless there are none.
pub fn ticks(ms: u32) -> u64 {
    let tick = nix::time::clock_getres(nix::time::ClockId::CLOCK_MONOTONIC_COARSE);
    let tick = tick.map(Duration::from).unwrap_or_default().max(Duration::from_micros(1));
    let whole = Duration::from_millis(ms.into()).as_nanos() / tick.as_nanos();
    u64::try_from(whole).unwrap_or(u64::MAX).max(u64::from(ms > 0))
}

impl Work for KernelRouter {
    fn sockets(&self) -> Vec<BorrowedFd<'_>> {
        self.teller.iter().map(Teller::ring).collect()
    }

    fn batch(&mut self, _: usize, at: Nanos, counter: &Counter) -> usize {
        self.teller.as_mut().map_or(0, |teller| teller.batch(at, counter))
    }

    fn error(&mut self, _: usize) {}

    fn tables(&mut self, tables: Tables) {
        self.say_keeping(tables.by_destination);
        if let Err(e) = self.set_ports(&tables) {
            tracing::error!("cannot tell the kernel program about a port: {e:#}");
        }
        if let Some(teller) = &mut self.teller {
            teller.set_tables(tables);
        }
    }

    fn tick(&mut self, at: Nanos) -> bool {
        self.harvest();
        let waits = self.teller.as_mut().is_some_and(|teller| teller.tick(at));
        waits || self.log.is_some()
    }

    fn cut(&mut self, mut fresh: Nanoseconds) -> Share {
        self.harvest();
        let grown = self.read(&mut fresh).unwrap_or_else(|e| {
            tracing::error!("cannot read the kernel program's counters: {e:#}");
            Counts::default()
        });
        let lost = if self.table || self.teller.is_some() { grown.overfull } else { 0 };
        if grown.overfull > lost {
            tracing::warn!(
                "{}: {} packets were logged into pages that were full: the agent is late, and its \
                 answers hold more false ones than planned",
                self.name,
                grown.overfull
            );
        }
        let counters = Counters {
            received: grown.received,
            forwarded: grown.forwarded,
            local: grown.local,
            malformed: grown.malformed,
            unroutable: grown.unroutable,
            expired: grown.expired,
            answered: self.teller.as_mut().map_or(0, Teller::answered),
            harms: grown.harms(),
            ..Counters::default()
        };
        let pages = self.log.as_ref().map_or(0, Log::footprint);
        let made = self.program.made().unwrap_or(0);
        let footprint = (self.vantage.footprint() + pages) as u64 + made * ENTRY;
        Share { counters, lost, footprint, ledger: None, latency: fresh }
    }

    fn answer(&mut self, query: &Query) -> Answer {
        // The page that is peeked at may close at once: then the harvest brings it again, whole.
        if let Some(log) = &self.log {
            log.peek(&mut |page| self.vantage.absorb(page));
        }
        self.harvest();
        if !self.table {
            return self.vantage.answer(query);
        }
        if let Err(e) = self.program.table(|entries| self.vantage.adopt(entries)) {
            tracing::error!("cannot read the kernel program's table: {e:#}");
        }
        let answer = self.vantage.answer(query);
        // What the kernel holds is not held twice.
        self.vantage.adopt(&mut std::iter::empty());
        answer
    }
}

/// Bytes of an entry of a table: key and number.
const ENTRY: u64 = 12;
