//! The gate at senders' links, in the kernel: it opens for two seconds at a time.
//!
//! A program at tc egress of every sending host's interface drops what has no lease, leaves the testbed's
//! addresses or is too fast, whoever sends it. Its filter belongs to the interface and not to a process: it
//! goes with the namespace, and when everything of ours is killed it closes by itself.

use super::filter::{self, Side};
use super::layout::Layout;
use super::lease::TERM;
use super::space::within;
use crate::clock::nanos;
use crate::exit::Exit;
use crate::safety::{Bounds, Caps};
use anyhow::{Context, Result};
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::{SchedClassifier, tc};
use aya::{Ebpf, EbpfLoader};
use ipnet::IpNet;
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much passes, where, and whether somebody looks after the gate itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How much.
    pub caps: Caps,
    /// Where inside the testbed's ranges, the longest match counts; everywhere where none are given.
    pub networks: Option<Vec<(IpNet, bool)>>,
    /// Whether nothing is sent where the kernel does not let us have the gate, and the gate is looked for
    /// whenever it is opened.
    pub strict: bool,
}

/// Those of a run inside one host.
impl Default for Limits {
    fn default() -> Self {
        Self { caps: Caps::ONE_HOST, networks: None, strict: false }
    }
}

impl Limits {
    /// Those of a run between hosts.
    pub fn within(bounds: &Bounds, strict: bool) -> Self {
        Self { caps: bounds.caps, networks: Some(bounds.table()), strict }
    }

    /// How fast senders go at most: a little slower than the gate, so that one who catches up meets no gate.
    pub fn pace(&self) -> u64 {
        match self.caps == Caps::ONE_HOST {
            true => self.caps.packets_per_second,
            false => (self.caps.packets_per_second * 9 / 10).max(1),
        }
    }

    /// What the program is told: its `struct setting`.
    fn setting(&self) -> [u64; 6] {
        let Caps { packets_per_second, bits_per_second, packets, attack_seconds } = self.caps;
        // A small cap needs a long window to be met evenly.
        let windows = if packets_per_second < 1_000 { 1 } else { 10 };
        let window = 1_000_000_000 / windows;
        [
            packets_per_second / windows,
            bits_per_second / windows,
            window,
            packets,
            attack_seconds.saturating_mul(windows),
            self.networks.is_some().into(),
        ]
    }
}

/// What the gate let through and what it held back since it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Let through.
    pub passed: u64,
    /// Sent while there was no lease.
    pub no_lease: u64,
    /// From or to somewhere outside the testbed.
    pub out_of_scope: u64,
    /// More than a whole run may send in a moment.
    pub too_fast: u64,
    /// More than a whole run may send in all, or for a longer time.
    pub spent: u64,
}

impl Held {
    /// What was added since an earlier look.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            passed: self.passed - before.passed,
            no_lease: self.no_lease - before.no_lease,
            out_of_scope: self.out_of_scope - before.out_of_scope,
            too_fast: self.too_fast - before.too_fast,
            spent: self.spent - before.spent,
        }
    }

    /// Fails where something was held back.
    ///
    /// # Errors
    /// [`Exit::Stopped`] for want of a lease, else [`Exit::Safety`].
    pub fn judge(&self) -> Result<()> {
        let Self { no_lease, out_of_scope, too_fast, spent, .. } = self;
        let why = format!(
            "the guard at senders' links held packets back: {no_lease} without a lease, {out_of_scope} \
             out of scope, {too_fast} too fast, {spent} beyond the run's budget"
        );
        match (no_lease, out_of_scope + too_fast + spent) {
            (0, 0) => Ok(()),
            (_, 0) => {
                Err(Exit::Stopped.refuse(format!("{why}: this host is too busy to renew it")))
            }
            (_, _) => Err(Exit::Safety.refuse(why)),
        }
    }
}

/// The gate of all hosts that stand here; none where the kernel does not let us have one.
#[derive(Debug, Clone)]
pub struct Guard(Option<Arc<Standing>>);

#[derive(Debug)]
struct Standing {
    ebpf: Mutex<Ebpf>,
    /// Where it is looked for, and by what number the kernel knows the program.
    watched: Vec<Watched>,
    program: u32,
}

/// An interface of a sender.
#[derive(Debug)]
struct Watched {
    space: PathBuf,
    index: u32,
    what: String,
}

impl Guard {
    /// Puts the gate, closed, at every interface of every host of a layout. A container without the
    /// privilege goes without, and says so: what senders check themselves remains.
    ///
    /// # Errors
    /// When the kernel does not take the program for another reason, or for any where limits are strict.
    pub fn stand(layout: &Layout, limits: &Limits) -> Result<Self> {
        match raise(layout, limits) {
            Ok(standing) => Ok(Self(Some(Arc::new(standing)))),
            Err(error) if is_unprivileged(&error) && !limits.strict => {
                tracing::warn!(
                    "no guard in the kernel at senders' links: it needs CAP_BPF and CAP_PERFMON, or \
                     CAP_SYS_ADMIN; senders check lease, addresses and rate themselves"
                );
                Ok(Self(None))
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the gate, for [`TERM`] from now.
    ///
    /// # Errors
    /// When the kernel does not take it; [`Exit::Safety`] where the gate is watched and somebody took it away.
    pub fn renew(&self) -> Result<()> {
        self.0.as_ref().map_or(Ok(()), |standing| standing.look())?;
        let now = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
        self.until(now + TERM)
    }

    /// Closes it at once.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn close(&self) -> Result<()> {
        self.until(Duration::ZERO)
    }

    fn until(&self, end: Duration) -> Result<()> {
        let Some(standing) = &self.0 else { return Ok(()) };
        let mut ebpf = standing.ebpf.lock().unwrap_or_else(PoisonError::into_inner);
        let map = ebpf.map_mut("lease").context("no map lease")?;
        let mut lease: Array<&mut MapData, u64> = map.try_into()?;
        Ok(lease.set(0, nanos(end), 0)?)
    }

    /// What it let through and held back.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn held(&self) -> Result<Held> {
        let Some(standing) = &self.0 else { return Ok(Held::default()) };
        let ebpf = standing.ebpf.lock().unwrap_or_else(PoisonError::into_inner);
        let map = ebpf.map("counts").context("no map counts")?;
        let counts: PerCpuArray<&MapData, u64> = map.try_into()?;
        let sum = |reason| anyhow::Ok(counts.get(&reason, 0)?.iter().sum());
        let (passed, no_lease) = (sum(0)?, sum(1)?);
        Ok(Held { passed, no_lease, out_of_scope: sum(2)?, too_fast: sum(3)?, spent: sum(4)? })
    }
}

impl Standing {
    /// Fails where the gate is not at every interface that is watched.
    fn look(&self) -> Result<()> {
        for Watched { space, index, what } in &self.watched {
            if !within(space, || filter::is_at(*index, Side::Egress, self.program))? {
                return Err(Exit::Safety.refuse(format!(
                    "the gate at {what} is gone: somebody removed its filter; all traffic ends"
                )));
            }
        }
        Ok(())
    }
}

fn raise(layout: &Layout, limits: &Limits) -> Result<Standing> {
    let mut ebpf = EbpfLoader::new()
        .override_global("setting", &limits.setting(), true)
        .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard.o")))
        .context("cannot load the guard")?;
    let mut networks: LpmTrie<&mut MapData, [u8; 16], u32> =
        ebpf.map_mut("networks").context("no map networks")?.try_into()?;
    for (net, pass) in limits.networks.iter().flatten() {
        networks.insert(&key(net), u32::from(*pass), 0)?;
    }
    let program: &mut SchedClassifier =
        ebpf.program_mut("guard").context("no program guard")?.try_into()?;
    program.load().context("the kernel does not take the guard")?;
    let mut watched = vec![];
    for space in layout.hosts() {
        within(&space.path(), || {
            for port in &space.ports {
                attach(program, &port.name)
                    .with_context(|| format!("no guard at {} of {}", port.name, space.name))?;
            }
            Ok(())
        })?;
        watched.extend(space.ports.iter().filter(|_| limits.strict).map(|port| Watched {
            space: space.path(),
            index: port.index,
            what: format!("{} of {}", port.name, space.shown()),
        }));
    }
    let program = program.info()?.id();
    Ok(Standing { ebpf: Mutex::new(ebpf), watched, program })
}

/// A network as the program looks it up.
fn key(net: &IpNet) -> Key<[u8; 16]> {
    match net.network() {
        IpAddr::V4(address) => {
            Key::new(96 + u32::from(net.prefix_len()), address.to_ipv6_mapped().octets())
        }
        IpAddr::V6(address) => Key::new(net.prefix_len().into(), address.octets()),
    }
}

/// Whether the kernel refused for want of a privilege.
fn is_unprivileged(error: &anyhow::Error) -> bool {
    let code = |e: &io::Error| e.raw_os_error() == Some(libc::EPERM);
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(code))
}

/// As a filter of clsact, which no process owns.
fn attach(program: &mut SchedClassifier, interface: &str) -> Result<()> {
    // Somebody else's clsact will do.
    let _ = tc::qdisc_add_clsact(interface);
    filter::attach(program, interface, Side::Egress)
}
