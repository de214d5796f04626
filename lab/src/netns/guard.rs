//! The gate at senders' links, in the kernel: it opens for two seconds at a time.
//!
//! A program at tc egress of every sending host's interface drops what has no lease, leaves the testbed's
//! addresses or is too fast, whoever sends it. Its filter belongs to the interface and not to a process: it
//! goes with the namespace, and when everything of ours is killed it closes by itself.

use super::layout::Layout;
use super::lease::TERM;
use super::space::within;
use crate::exit::Exit;
use crate::scope::MAX_PACKETS_PER_SECOND;
use anyhow::{Context, Result};
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::tc::{NlOptions, TcAttachOptions};
use aya::programs::{SchedClassifier, TcAttachType, tc};
use aya::{Ebpf, EbpfLoader};
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::mem::forget;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Packets are counted over so many windows a second.
const WINDOWS: u64 = 10;

/// What the gate let through and what it held back since it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Let through.
    pub passed: u64,
    /// Sent while there was no lease.
    pub no_lease: u64,
    /// From or to somewhere outside the testbed.
    pub out_of_scope: u64,
    /// More than a whole run may send.
    pub too_fast: u64,
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
        }
    }

    /// Fails where something was held back.
    ///
    /// # Errors
    /// [`Exit::Stopped`] for want of a lease, else [`Exit::Safety`].
    pub fn judge(&self) -> Result<()> {
        let Self { no_lease, out_of_scope, too_fast, .. } = self;
        let why = format!(
            "the guard at senders' links held packets back: {no_lease} without a lease, {out_of_scope} \
             out of scope, {too_fast} too fast"
        );
        match (no_lease, out_of_scope + too_fast) {
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
pub struct Guard(Option<Arc<Mutex<Ebpf>>>);

impl Guard {
    /// Puts the gate, closed, at every interface of every host of a layout. A container without the
    /// privilege goes without, and says so: what senders check themselves remains.
    ///
    /// # Errors
    /// When the kernel does not take the program for another reason.
    pub fn stand(layout: &Layout) -> Result<Self> {
        match raise(layout) {
            Ok(ebpf) => Ok(Self(Some(Arc::new(Mutex::new(ebpf))))),
            Err(error) if is_unprivileged(&error) => {
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
    /// When the kernel does not take it.
    pub fn renew(&self) -> Result<()> {
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
        let Some(ebpf) = &self.0 else { return Ok(()) };
        let mut ebpf = ebpf.lock().unwrap_or_else(PoisonError::into_inner);
        let map = ebpf.map_mut("lease").context("no map lease")?;
        let mut lease: Array<&mut MapData, u64> = map.try_into()?;
        Ok(lease.set(0, u64::try_from(end.as_nanos()).unwrap_or(u64::MAX), 0)?)
    }

    /// What it let through and held back.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn held(&self) -> Result<Held> {
        let Some(ebpf) = &self.0 else { return Ok(Held::default()) };
        let ebpf = ebpf.lock().unwrap_or_else(PoisonError::into_inner);
        let map = ebpf.map("counts").context("no map counts")?;
        let counts: PerCpuArray<&MapData, u64> = map.try_into()?;
        let sum = |reason| anyhow::Ok(counts.get(&reason, 0)?.iter().sum());
        let (passed, no_lease) = (sum(0)?, sum(1)?);
        Ok(Held { passed, no_lease, out_of_scope: sum(2)?, too_fast: sum(3)? })
    }
}

fn raise(layout: &Layout) -> Result<Ebpf> {
    let most = MAX_PACKETS_PER_SECOND / WINDOWS;
    let mut ebpf = EbpfLoader::new()
        .override_global("setting", &most, true)
        .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard.o")))
        .context("cannot load the guard")?;
    let program: &mut SchedClassifier =
        ebpf.program_mut("guard").context("no program guard")?.try_into()?;
    program.load().context("the kernel does not take the guard")?;
    for space in layout.hosts() {
        within(&space.path(), || {
            for port in &space.ports {
                attach(program, &port.name)
                    .with_context(|| format!("no guard at {} of {}", port.name, space.name))?;
            }
            Ok(())
        })?;
    }
    Ok(ebpf)
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
    let options = TcAttachOptions::Netlink(NlOptions::default());
    let id = program.attach_with_options(interface, TcAttachType::Egress, options)?;
    // A link that is dropped looks for its filter in the namespace where the thread happens to be.
    forget(program.take_link(id)?);
    Ok(())
}
