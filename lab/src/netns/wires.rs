//! Wires: links that run through a namespace of the lab's own, where its program passes frames on.
//!
//! ```text
//! router p0 ==veth== w0-0  [ash-...-wires: XDP redirects w0-0 <-> w0-1]  w0-1 ==veth== p1 router
//! ```
//! Where the other router stands on another host, `w0-1` is the inner end of a tunnel to it. What a way of a link does
//! to packets is done where it begins, so that the host at its other end only passes them on.
//!
//! The program counts what goes to each router, which the datapath `xdp` needs, as its frames pass
//! neither packet sockets nor nftables. And it does to packets what a plan asks of the network: it loses
//! some, follows their ways, and translates addresses where they leave a router that does so. What has to
//! wait goes by way of the link stage ([`super::holder`]); conditions are set in [`super::straits`].

use super::layout::{Layout, Port};
use super::space::within;
use super::{holder, straits};
use crate::plan::{Node, Plan};
use anyhow::{Context, Result};
use ashiato_agent::datapath::kernel::program::{NATIVE, has_links, xdp_link};
use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::tc::TcAttachOptions;
use aya::programs::{LinkOrder, SchedClassifier, TcAttachType, Xdp, tc};
use aya::{Ebpf, EbpfLoader};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use traceback::room::MAGIC;

/// The smallest ring that the kernel makes.
const SMALLEST_RING: u32 = 4096;
/// Packets that are timed and under way at once, at most.
const TIMED: u64 = 1 << 16;

/// The wires of a run. They are cut when this is dropped.
#[derive(Debug)]
pub(crate) struct Wires {
    _links: Vec<OwnedFd>,
    ebpf: Mutex<Ebpf>,
    flows: u32,
    /// Routers that stand here.
    routers: Vec<usize>,
    /// Which ways begin here: of each link that from its first end, then that from its second.
    pub(super) begin: Vec<[bool; 2]>,
    /// Ways that begin here and are more than wires, as link and side.
    pub(super) special: Vec<(usize, usize)>,
}

impl Wires {
    /// Puts the program at both ends of every link, and one that passes everything at every interface
    /// where no agent's will sit.
    ///
    /// # Errors
    /// When the kernel does not take a program.
    pub(crate) fn lay(plan: &Plan, layout: &Layout) -> Result<Self> {
        let middle = layout.middle().context("the layout has no wires")?;
        let mut ebpf = load(plan)?;
        fill(plan, layout, &mut ebpf)?;
        let mut links = vec![];
        let wire = program(&mut ebpf, "wire")?;
        within(&middle.path(), || {
            for (_, index) in layout.middle_ends().into_iter().map(Layout::middle_end) {
                links.push(xdp_link(wire.as_fd(), index, NATIVE).context("cannot lay a wire")?);
            }
            Ok(())
        })?;
        if plan.is_timed() {
            within(&middle.path(), || watch_ends(plan, layout, &mut ebpf))?;
        }
        let pass = program(&mut ebpf, "pass")?;
        for (at, space) in layout.spaces.iter().enumerate() {
            if at < layout.routers() && layout.serves_by_xdp(plan, at) {
                continue;
            }
            links.extend(within(&space.path(), || {
                let link = |port: &Port| Ok(xdp_link(pass.as_fd(), port.index, NATIVE)?);
                space.ports.iter().map(link).collect::<Result<Vec<_>>>()
            })?);
        }
        let (flows, ebpf) = (u32::try_from(plan.flows.len())?, Mutex::new(ebpf));
        let here = |router: &usize| layout.holds(Node::Router(*router));
        let routers = (0..plan.routers.len()).filter(here).collect();
        let all = 0..plan.links.len();
        let begin: Vec<_> =
            all.clone().map(|link| [0, 1].map(|side| layout.begins(plan, link, side))).collect();
        let ways =
            all.filter(|link| plan.is_special(*link)).flat_map(|link| [(link, 0), (link, 1)]);
        let special = ways.filter(|(link, side)| begin[*link][*side]).collect();
        let wires = Self { _links: links, ebpf, flows, routers, begin, special };
        wires.calm(plan)?;
        Ok(wires)
    }

    /// The ring by which frames that wait leave the program; once.
    ///
    /// # Errors
    /// When it was taken, or cannot be mapped into memory.
    pub(super) fn take_stage(&self) -> Result<RingBuf<MapData>> {
        Ok(self.ebpf().take_map("stage").context("the stage is taken")?.try_into()?)
    }

    pub(super) fn ebpf(&self) -> MutexGuard<'_, Ebpf> {
        self.ebpf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets that went to routers here since the wires were laid, by router and flow; under the number
    /// of flows, those of flows that the plan does not have.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn counts(&self) -> Result<BTreeMap<(usize, u32), u64>> {
        let ebpf = self.ebpf();
        let map = ebpf.map("passed").context("no map of counts")?;
        let passed: PerCpuArray<&MapData, u64> = map.try_into()?;
        let mut counts = BTreeMap::new();
        for router in &self.routers {
            for flow in 0..=self.flows {
                let cell = u32::try_from(*router)? * (self.flows + 1) + flow;
                counts.insert((*router, flow), passed.get(&cell, 0)?.iter().sum());
            }
        }
        Ok(counts)
    }

    /// The ways of a turn's packets as numbers (see [`super::followed`]), which are forgotten then; none where the
    /// ways are the plan's.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn followed(&self, plan: &Plan) -> Result<Vec<u64>> {
        if !plan.ways_differ() {
            return Ok(vec![]);
        }
        let mut ebpf = self.ebpf();
        let map = ebpf.map_mut("ways").context("no map of ways")?;
        let mut ways: Array<&mut MapData, u64> = map.try_into()?;
        let packets: u64 = plan.flows.iter().map(|f| f.packets).sum();
        let mut take = |at| {
            let number = ways.get(&at, 0)?;
            ways.set(at, 0, 0)?;
            Ok(number)
        };
        (0..u32::try_from(packets)?).map(&mut take).collect()
    }
}

fn load(plan: &Plan) -> Result<Ebpf> {
    let flows = plan.flows.len() as u64;
    let [payload4, payload6] = [false, true].map(|v6| u64::from(super::taps::offset(plan, v6)));
    let magic = u32::from_ne_bytes(MAGIC).into();
    let follows = plan.ways_differ();
    let packets: u64 = plan.flows.iter().map(|f| f.packets).sum();
    let entries = |n: u64| u32::try_from(n.max(1)).context("the plan is too large for the wires");
    let (timed, every) = (plan.is_timed(), straits::every(plan));
    let setting = [
        plan.key.1,
        flows,
        payload4,
        payload6,
        magic,
        follows.into(),
        timed.into(),
        every,
        straits::TIMES,
    ];
    let ways = 2 * plan.links.len() as u64;
    let if_timed = |n: u64| entries(if timed { n } else { 0 });
    EbpfLoader::new()
        .override_global("setting", &setting, true)
        .map_max_entries("passed", entries(plan.routers.len() as u64 * (flows + 1))?)
        .map_max_entries("ends", entries(ways + 2)?)
        .map_max_entries("conditions", entries(ways)?)
        .map_max_entries("straits", entries(ways)?)
        .map_max_entries("tally", entries(ways * u64::from(straits::KINDS))?)
        .map_max_entries("stage", if timed { holder::RING } else { SMALLEST_RING })
        .map_max_entries("entered", if_timed(TIMED)?)
        .map_max_entries("outs", entries(ways)?)
        .map_max_entries("times", if_timed(ways * straits::TIMES)?)
        .map_max_entries("shares", entries(flows)?)
        .map_max_entries("ways", entries(if follows { packets } else { 0 })?)
        .map_max_entries("own", entries(own(plan).len() as u64)?)
        .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/wire.o")))
        .context("cannot load the wires' program")
}

/// Tells the program about links, flows and routers that translate: each does where it stands.
fn fill(plan: &Plan, layout: &Layout, ebpf: &mut Ebpf) -> Result<()> {
    let map = ebpf.map_mut("ends").context("no map of ends")?;
    let mut ends: Array<&mut MapData, [u32; 5]> = map.try_into()?;
    for (link, spec) in plan.links.iter().enumerate() {
        for (side, (near, far)) in [(spec.a, spec.b), (spec.b, spec.a)].into_iter().enumerate() {
            let [here, there] = [side, 1 - side].map(|side| Layout::middle_end((link, side)).1);
            let router = match far.node {
                Node::Router(at) if layout.holds(far.node) => u32::try_from(at)? + 1,
                _ => 0,
            };
            let nat = match near.node {
                Node::Router(r) if plan.routers[r].nat && layout.holds(near.node) => {
                    in_packet(plan.routers[r].id.0)
                }
                _ => 0,
            };
            let (link, way) = (u32::try_from(link)?, u32::try_from(2 * link + side)?);
            ends.set(here, [there, router, link, way, nat], 0)?;
        }
    }
    let map = ebpf.map_mut("shares").context("no map of shares")?;
    let mut shares: Array<&mut MapData, [u64; 2]> = map.try_into()?;
    let mut first = 0;
    for flow in &plan.flows {
        shares.set(flow.id, [first, flow.packets], 0)?;
        first += flow.packets;
    }
    let map = ebpf.map_mut("own").context("no map of addresses")?;
    let mut owners: HashMap<&mut MapData, u32, u32> = map.try_into()?;
    for (address, router) in own(plan) {
        owners.insert(address, router, 0)?;
    }
    Ok(())
}

/// IPv4 addresses of routers that translate, each with the one that its router puts into packets.
fn own(plan: &Plan) -> BTreeMap<u32, u32> {
    let mut own = BTreeMap::new();
    for (at, router) in plan.routers.iter().enumerate().filter(|(_, r)| r.nat) {
        let id = in_packet(router.id.0);
        let ports = plan.router_ports(at).into_iter().flat_map(|p| p.addresses);
        let v4 = ports.filter_map(|a| match a {
            IpAddr::V4(a) => Some(in_packet(a.into())),
            IpAddr::V6(_) => None,
        });
        own.extend(v4.chain([id]).map(|address| (address, id)));
    }
    own
}

/// A number as the program reads it from a packet.
fn in_packet(address: u32) -> u32 {
    u32::from_ne_bytes(address.to_be_bytes())
}

/// Puts the program that times what comes out at the ends, in the middle, of links that make packets wait.
fn watch_ends(plan: &Plan, layout: &Layout, ebpf: &mut Ebpf) -> Result<()> {
    let program: &mut SchedClassifier =
        ebpf.program_mut("leave").context("no such program")?.try_into()?;
    program.load().context("the kernel does not take the program leave")?;
    let ends = layout.middle_ends();
    for end in ends.into_iter().filter(|(link, _)| plan.is_timed_link(*link)) {
        let (interface, _) = Layout::middle_end(end);
        let what = || format!("cannot time what leaves by {interface}");
        if has_links() {
            let order = TcAttachOptions::TcxOrder(LinkOrder::default());
            let way = TcAttachType::Egress;
            program.attach_with_options(&interface, way, order).with_context(what)?;
        } else {
            tc::qdisc_add_clsact(&interface).with_context(what)?;
            program.attach(&interface, TcAttachType::Egress).with_context(what)?;
        }
    }
    Ok(())
}

fn program(ebpf: &mut Ebpf, name: &str) -> Result<aya::programs::ProgramFd> {
    let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    program.load().with_context(|| format!("the kernel does not take the program {name}"))?;
    Ok(program.fd()?.try_clone()?)
}
