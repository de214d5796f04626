//! One loaded kernel program and its maps.

use super::behind;
use super::layout::{CELLS, Counts, CountsAndWays, PortEntry, Setting};
use super::log::Log;
use super::objects;
use crate::datapath::socket::interface_index;
use anyhow::{Context, anyhow, bail};
use aya::maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, tc};
use aya::util::KernelVersion;
use aya::{Ebpf, EbpfLoader};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use traceback::scheme::LogShape;
use traceback::schemes::AnyScheme;
use traceback::{Nanos, Place};

/// Where a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// tc egress: marks what the kernel forwards.
    Tc,
    /// XDP: marks, and forwards where the setting says so.
    Xdp,
}

/// A program in the kernel. It is detached and unloaded when this is dropped.
#[derive(Debug)]
pub struct Program {
    /// Of XDP; aya keeps those of tc. Dropped before the program they hold.
    links: Vec<OwnedFd>,
    ebpf: Ebpf,
    hook: Hook,
}

/// Name of the tc program.
const MARK: &str = "mark_forwarded";

impl Hook {
    fn program(self) -> &'static str {
        match self {
            Self::Tc => MARK,
            Self::Xdp => "mark_and_forward",
        }
    }
}

impl Program {
    /// Loads a scheme's program for one router, whose interfaces have these indices.
    ///
    /// # Errors
    /// The kernel's verifier refuses it (its log is shown), or privilege is missing.
    pub fn load(
        hook: Hook,
        scheme: &dyn AnyScheme,
        place: &Place,
        setting: &Setting,
        interfaces: &[u32],
    ) -> anyhow::Result<Self> {
        let id = scheme.card().id;
        let objects = objects::of(id)
            .ok_or_else(|| anyhow!("scheme {id} has no kernel twin: use datapath afpacket"))?;
        if let Some(why) = scheme.userspace_only() {
            bail!(
                "scheme {id} has no kernel twin with these parameters, since {why}: use datapath afpacket"
            );
        }
        let object = if hook == Hook::Tc { objects.mark } else { objects.forward };
        let twin = scheme.twin(place);
        let ports = interfaces.iter().max().map_or(1, |index| index + 1);
        if ports > MOST_PORTS {
            bail!("interface index {} is above {MOST_PORTS}: restart the host", ports - 1);
        }
        let copies = scheme.log().map_or(1, |shape| Log::copies(&shape));
        let entries = scheme.entries().unwrap_or(0);
        let mut object = object.to_vec();
        let tcx = behind::prepare(&mut object).into();
        let setting = Setting { own_cells: u32::from(copies > 1), entries, tcx, ..*setting };
        let mut loader = EbpfLoader::new();
        loader.btf(behind::KERNEL.as_ref());
        loader.override_global("setting", &setting, true).map_max_entries("ports", ports);
        if !twin.is_empty() {
            loader.override_global("scheme", &twin[..], true);
        }
        if let Some(shape) = scheme.log() {
            loader.map_max_entries("cells", Log::entries(&shape)?);
        }
        if entries > 0 {
            loader.map_max_entries("table", entries);
        }
        let ebpf = loader.load(&object).map_err(|e| explain(id, hook, &e.into()))?;
        let mut loaded = Self { links: vec![], ebpf, hook };
        loaded.enter_kernel().map_err(|e| explain(id, hook, &e))?;
        Ok(loaded)
    }

    fn enter_kernel(&mut self) -> anyhow::Result<()> {
        match self.hook {
            Hook::Tc => self.tc()?.load()?,
            Hook::Xdp => self.xdp()?.load()?,
        }
        Ok(())
    }

    /// The tc program.
    ///
    /// # Errors
    /// Where this is an XDP program.
    pub fn tc(&mut self) -> anyhow::Result<&mut SchedClassifier> {
        let program = self.ebpf.program_mut(self.hook.program()).context("no such program")?;
        Ok(program.try_into()?)
    }

    /// The XDP program.
    ///
    /// # Errors
    /// Where this is a tc program.
    pub fn xdp(&mut self) -> anyhow::Result<&mut Xdp> {
        let program = self.ebpf.program_mut(self.hook.program()).context("no such program")?;
        Ok(program.try_into()?)
    }

    /// Attaches to an interface of the calling thread's network namespace.
    ///
    /// # Errors
    /// The interface is gone, another XDP program sits there, or privilege is missing.
    pub fn attach(&mut self, interface: &str) -> anyhow::Result<()> {
        match self.hook {
            Hook::Tc => self.attach_tc(interface),
            Hook::Xdp => self.attach_xdp(interface),
        }
        .with_context(|| format!("cannot attach to {interface}"))
    }

    fn attach_tc(&mut self, interface: &str) -> anyhow::Result<()> {
        let name = self.hook.program();
        if has_links() {
            let (_, others) = SchedClassifier::query_tcx(interface, TcAttachType::Egress)?;
            if others.iter().any(|p| p.name_as_str() == Some(name)) {
                bail!("another agent marks there already: end it first");
            }
            let order = tc::TcAttachOptions::TcxOrder(LinkOrder::default());
            self.tc()?.attach_with_options(interface, TcAttachType::Egress, order)?;
            return Ok(());
        }
        // Somebody else's clsact will do.
        let _ = tc::qdisc_add_clsact(interface);
        self.tc()?.attach(interface, TcAttachType::Egress)?;
        Ok(())
    }

    fn attach_xdp(&mut self, interface: &str) -> anyhow::Result<()> {
        let index = interface_index(interface)?.cast_unsigned();
        let program = self.xdp()?.fd()?.try_clone()?;
        let link = match xdp_link(program.as_fd(), index, NATIVE) {
            Ok(link) => link,
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => bail!(
                "another XDP program is attached: see `ip link show {interface}`; detach it, or use \
                 datapath tc"
            ),
            Err(native) => {
                tracing::warn!("{interface}: its driver has no XDP ({native}); using generic XDP");
                return self.attach_generic(interface);
            }
        };
        self.links.push(link);
        Ok(())
    }

    /// Attaches an XDP program in the network stack, where any driver has it.
    ///
    /// # Errors
    /// Another program sits there, or the kernel refuses.
    pub fn attach_generic(&mut self, interface: &str) -> anyhow::Result<()> {
        let index = interface_index(interface)?.cast_unsigned();
        let link = xdp_link(self.xdp()?.fd()?.as_fd(), index, GENERIC)?;
        self.links.push(link);
        Ok(())
    }

    /// Tells the program about one of the router's interfaces.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn set_port(&mut self, interface: u32, entry: PortEntry) -> anyhow::Result<()> {
        let map = self.ebpf.map_mut("ports").context("no map of ports")?;
        let mut ports: Array<&mut MapData, PortEntry> = map.try_into()?;
        Ok(ports.set(interface, entry, 0)?)
    }

    /// Everything counted since loading, over all processors.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn counts(&self) -> anyhow::Result<Counts> {
        let map = self.ebpf.map("owned").context("no map of counters")?;
        let sum = |each: &mut dyn Iterator<Item = &Counts>| {
            each.fold(Counts::default(), |sum, c| sum.plus(c))
        };
        Ok(match self.hook {
            Hook::Tc => sum(&mut PerCpuArray::<_, Counts>::try_from(map)?.get(&0, 0)?.iter()),
            Hook::Xdp => {
                let owned = PerCpuArray::<_, CountsAndWays>::try_from(map)?.get(&0, 0)?;
                sum(&mut owned.iter().map(|o| &o.counts))
            }
        })
    }

    /// The cells of the marking step's histogram since loading, over all processors.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn times(&self) -> anyhow::Result<Vec<u64>> {
        let map = self.ebpf.map("times").context("no map of times")?;
        let times: PerCpuArray<&MapData, [u64; CELLS]> = map.try_into()?;
        let mut sum = vec![0; CELLS];
        for each in times.get(&0, 0)?.iter() {
            sum.iter_mut().zip(each).for_each(|(sum, n)| *sum += n);
        }
        Ok(sum)
    }

    /// How long a run of the whole program took on average, in nanoseconds, while the kernel kept
    /// statistics; `None` where it never ran meanwhile.
    pub fn mean_run(&self) -> Option<u64> {
        let info = self.ebpf.program(self.hook.program())?.info().ok()?;
        u64::try_from(info.run_time().as_nanos()).ok()?.checked_div(info.run_count())
    }

    /// Hands over the entries that the program made in its table, one by one, as there may be a million; none where
    /// the scheme has no table.
    ///
    /// # Errors
    /// When the kernel does not give them all.
    pub fn table(
        &self,
        take: impl FnOnce(&mut dyn Iterator<Item = (u64, u32)>),
    ) -> anyhow::Result<()> {
        let Some(map) = self.ebpf.map("table") else { return Ok(()) };
        let table = HashMap::<_, u64, u32>::try_from(map)?;
        let mut end = Ok(());
        take(&mut table.iter().map_while(|entry| entry.map_err(|e| end = Err(e)).ok()));
        Ok(end?)
    }

    /// The ring by which it hands over packets that messages are about; `None` where the scheme sends none,
    /// and once it was taken.
    ///
    /// # Errors
    /// When the ring cannot be mapped into memory.
    pub fn take_ring(&mut self) -> anyhow::Result<Option<RingBuf<MapData>>> {
        Ok(self.ebpf.take_map("told_about").map(RingBuf::try_from).transpose()?)
    }

    /// How many entries it made.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn made(&self) -> anyhow::Result<u64> {
        let Some(map) = self.ebpf.map("made") else { return Ok(0) };
        Ok(Array::<_, u64>::try_from(map)?.get(&0, 0)?)
    }

    /// The log that the program keeps, its first page open.
    ///
    /// # Errors
    /// When its maps cannot be mapped into memory.
    pub fn log(&self, shape: LogShape, seed: u64, now: Nanos) -> anyhow::Result<Log> {
        let map = |name: &str| match self.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(anyhow!("no map {name}")),
        };
        Log::start([map("pages")?, map("cells")?], shape, seed, now)
    }
}

/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` of linux/if_link.h.
const GENERIC: u32 = 1 << 1;
/// The flag of [`xdp_link`] that asks for XDP in the driver.
pub const NATIVE: u32 = 1 << 2;
/// Entries of the map of ports at most; 16 bytes each.
const MOST_PORTS: u32 = 1 << 20;

/// Attaches an XDP program to an interface by a link, and in no other way: aya's own attachment falls
/// back to netlink, which would replace a stranger's program and outlive this process.
///
/// # Errors
/// `EBUSY` where another program is attached; what the kernel says otherwise.
pub fn xdp_link(program: BorrowedFd<'_>, index: u32, flags: u32) -> io::Result<OwnedFd> {
    const BPF_LINK_CREATE: libc::c_long = 28;
    const BPF_XDP: u32 = 37;
    // The first fields of the kernel's `union bpf_attr` for this command; the rest may be left out.
    let attributes = [program.as_raw_fd().cast_unsigned(), index, BPF_XDP, flags];
    // SAFETY: the kernel reads the 16 bytes of `attributes` and keeps no pointer to them.
    let link = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_LINK_CREATE, attributes.as_ptr(), size_of_val(&attributes))
    };
    let link = i32::try_from(link).unwrap_or(-1);
    if link < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(link) })
}

/// Whether tc programs are attached by links, which go with their owner; before Linux 6.6 they are
/// filters of clsact, which stay.
pub fn has_links() -> bool {
    KernelVersion::current().is_ok_and(|v| v >= KernelVersion::new(6, 6, 0))
}

/// Removes the filter that a killed agent left on an interface of the calling thread's namespace.
pub fn remove_filter(interface: &str) {
    // There is none where the agent was killed before it attached.
    let _ = tc::qdisc_detach_program(interface, TcAttachType::Egress, MARK);
}

/// Says what to do about a program that does not load.
fn explain(id: &str, hook: Hook, error: &anyhow::Error) -> anyhow::Error {
    let name = if hook == Hook::Tc { "tc" } else { "xdp" };
    anyhow!(
        "the kernel does not take the {name} program of scheme {id}: {error:#}\n\
         it needs CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or root), Linux {} or later; see `ashiato-agent selftest`",
        if hook == Hook::Tc { "5.17" } else { "5.18" },
    )
}
