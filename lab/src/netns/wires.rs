//! Wires and taps in one, for the datapath `xdp`: its frames pass neither packet sockets nor nftables.
//!
//! ```text
//! router p0 ==veth== w0a  [ash-...-wires: XDP redirects w0a <-> w0b and counts]  w0b ==veth== p1 router
//! ```
//! The program is the lab's own and sits on the far side of every interface that an agent serves.

use super::layout::Layout;
use super::space::within;
use crate::plan::Plan;
use anyhow::{Context, Result};
use ashiato_agent::datapath::kernel::program::{NATIVE, xdp_link};
use ashiato_agent::datapath::socket::interface_index;
use aya::maps::{Array, MapData, PerCpuArray};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use traceback::room::MAGIC;

/// The wires of a run. They are cut when this is dropped.
#[derive(Debug)]
pub(crate) struct Wires {
    _links: Vec<OwnedFd>,
    ebpf: Ebpf,
    flows: u32,
    routers: usize,
}

impl Wires {
    /// Puts the program at both ends of every link, and one that passes everything at every host.
    ///
    /// # Errors
    /// When the kernel does not take the program.
    pub(crate) fn lay(plan: &Plan, layout: &Layout) -> Result<Self> {
        let middle = layout.middle().context("the layout has no wires")?;
        let flows = u32::try_from(plan.flows.len())?;
        let routers = plan.routers.len();
        let mut ebpf = load(plan, layout, flows)?;
        let mut ends: Array<&mut MapData, u64> =
            ebpf.map_mut("ends").context("no map of ends")?.try_into()?;
        let mut inner = vec![];
        for (link, wire) in layout.wires.iter().enumerate() {
            let [a, b] = [0, 1].map(|end| Layout::middle_index(link, end));
            let towards = |space: usize| if space < routers { space as u64 + 1 } else { 0 };
            ends.set(a, u64::from(b) | towards(wire[1].space) << 32, 0)?;
            ends.set(b, u64::from(a) | towards(wire[0].space) << 32, 0)?;
            inner.extend([a, b]);
        }
        let mut links = vec![];
        let wire = program(&mut ebpf, "wire")?;
        within(&middle.path(), || {
            for index in inner {
                links.push(xdp_link(wire.as_fd(), index, NATIVE).context("cannot lay a wire")?);
            }
            Ok(())
        })?;
        let pass = program(&mut ebpf, "pass")?;
        for host in 0..plan.hosts.len() {
            let space = layout.host(host);
            links.push(within(&space.path(), || {
                let index = interface_index(&space.ports[0].name)?.cast_unsigned();
                Ok(xdp_link(pass.as_fd(), index, NATIVE)?)
            })?);
        }
        Ok(Self { _links: links, ebpf, flows, routers })
    }

    /// Packets that went to routers since the wires were laid, by router and flow; under the number
    /// of flows, those of flows that the plan does not have.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(crate) fn counts(&self) -> Result<BTreeMap<(usize, u32), u64>> {
        let map = self.ebpf.map("passed").context("no map of counts")?;
        let passed: PerCpuArray<&MapData, u64> = map.try_into()?;
        let mut counts = BTreeMap::new();
        for router in 0..self.routers {
            for flow in 0..=self.flows {
                let cell = u32::try_from(router)? * (self.flows + 1) + flow;
                counts.insert((router, flow), passed.get(&cell, 0)?.iter().sum());
            }
        }
        Ok(counts)
    }
}

fn load(plan: &Plan, layout: &Layout, flows: u32) -> Result<Ebpf> {
    let magic = u32::from_ne_bytes(MAGIC);
    let [payload4, payload6] = [false, true].map(|v6| super::taps::offset(plan, v6));
    EbpfLoader::new()
        .override_global("setting", &[flows, payload4, payload6, magic], true)
        .map_max_entries("passed", u32::try_from(plan.routers.len())? * (flows + 1))
        .map_max_entries("ends", u32::try_from(2 * layout.wires.len() + 2)?)
        .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/wire.o")))
        .context("cannot load the wires' program")
}

fn program(ebpf: &mut Ebpf, name: &str) -> Result<aya::programs::ProgramFd> {
    let program: &mut Xdp = ebpf.program_mut(name).context("no such program")?.try_into()?;
    program.load().with_context(|| format!("the kernel does not take the program {name}"))?;
    Ok(program.fd()?.try_clone()?)
}
