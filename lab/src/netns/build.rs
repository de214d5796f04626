//! Namespaces, links, addresses and routes, made through netlink.
//!
//! One thread makes all of it: it walks through the new namespaces and leaves a netlink socket in each,
//! so that everything after is messages and no process is started.

use super::layout::{Layout, Port, Route, Space, Tunnel};
use super::space;
use crate::exit::Exit;
use crate::tunnel::Tap;
use anyhow::{Context, Result, bail};
use ashiato_agent::datapath::{ethtool, tap};
use futures_util::future::try_join_all;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::{InfoData, InfoVeth, LinkAttribute};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVxlan, RouteMessageBuilder,
    RouteNextHopBuilder,
};
use std::fs::{self, File};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Frames that may wait at a sealed tunnel.
const WAITING: u32 = 16_384;

/// Makes everything of a layout, and returns the outer ends of its sealed tunnels. What exists when it fails stays,
/// for the journal's owner to remove.
///
/// # Errors
/// Names the object that could not be made.
pub(crate) fn build(layout: &Layout) -> Result<Vec<Tap>> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let handles = spaces(layout, &runtime)?;
            match layout.middle() {
                None => runtime.block_on(connect(layout, &handles))?,
                Some(middle) => runtime.block_on(connect_to(layout, middle, &handles))?,
            }
            runtime.block_on(dig(layout, &handles))?;
            let taps = runtime.block_on(seal(layout, &handles))?;
            runtime.block_on(furnish(layout, &handles))?;
            offloads(layout)?;
            Ok(taps)
        });
        match inside.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn spaces(layout: &Layout, runtime: &Runtime) -> Result<Vec<Handle>> {
    let _context = runtime.enter();
    let make = |space: &Space| {
        if space.own {
            space::enter(&space.path())?;
        } else {
            space::create(&space.name)?;
        }
        if !space.own || !space.ports.is_empty() {
            settings(space)?;
        }
        let (connection, handle, _) = rtnetlink::new_connection()
            .with_context(|| format!("cannot open a netlink socket in {}", space.name))?;
        runtime.spawn(connection);
        Ok(handle)
    };
    layout.spaces.iter().map(make).collect()
}

/// Kernel settings of the namespace that the calling thread is in. "default" is set before any
/// interface exists, so that all of them start with it.
fn settings(space: &Space) -> Result<()> {
    if space.own {
        return own_settings(space.forwards).into_iter().try_for_each(|(k, v)| require(&k, v));
    }
    let mut wanted = vec![("ipv4.ip_forward".to_owned(), flag(space.forwards))];
    for who in ["all", "default"] {
        wanted.extend(everywhere(who));
        wanted.extend([
            (format!("ipv4.conf.{who}.accept_redirects"), "0"),
            (format!("ipv6.conf.{who}.forwarding"), flag(space.forwards)),
            (format!("ipv6.conf.{who}.accept_ra"), "0"),
            (format!("ipv6.conf.{who}.accept_redirects"), "0"),
            (format!("ipv6.conf.{who}.accept_dad"), "0"),
            (format!("ipv6.conf.{who}.dad_transmits"), "0"),
            (format!("ipv6.conf.{who}.router_solicitations"), "0"),
        ]);
    }
    if !space.v6() {
        // Interfaces that carry no IPv6 need not chat about it.
        wanted.push(("ipv6.conf.default.disable_ipv6".into(), "1"));
    }
    if space.spreads {
        // By addresses and ports, whatever marks do to the flow label.
        wanted.push(("ipv4.fib_multipath_hash_policy".into(), "1"));
        wanted.push(("ipv6.fib_multipath_hash_policy".into(), "1"));
    }
    for (key, value) in wanted {
        match fs::write(path_of(&key), value) {
            Ok(()) => {}
            // A kernel without IPv6 is fine where none is wanted.
            Err(_) if key.starts_with("ipv6") && !space.v6() => {}
            Err(e) => {
                return Err(e).with_context(|| format!("cannot set net.{key} in {}", space.name));
            }
        }
    }
    Ok(())
}

/// What no node can do without, of either kind.
fn everywhere(who: &str) -> [(String, &'static str); 3] {
    [
        // Spoofed sources must pass: reverse path filtering would drop them.
        (format!("ipv4.conf.{who}.rp_filter"), "0"),
        (format!("ipv4.conf.{who}.send_redirects"), "0"),
        (format!("ipv4.conf.{who}.arp_announce"), "2"),
    ]
}

/// Settings, as keys under "net.", that a host which stands for a node itself must have. (The kernel
/// sets what is missing here by itself where it forwards, and a leaf does not need it.)
pub(crate) fn own_settings(forwards: bool) -> Vec<(String, &'static str)> {
    let mut wanted = vec![("ipv4.ip_forward".to_owned(), flag(forwards))];
    wanted.extend(["all", "default"].into_iter().flat_map(everywhere));
    wanted
}

fn flag(on: bool) -> &'static str {
    if on { "1" } else { "0" }
}

fn path_of(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys/net").join(key.replace('.', "/"))
}

/// A host's own settings are its owner's: they are looked at, never changed.
fn require(key: &str, value: &str) -> Result<()> {
    let path = path_of(key);
    let is =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    if is.trim() == value {
        return Ok(());
    }
    Err(Exit::HostNotReady.refuse(format!(
        "this host stands for a node of the plan, which needs net.{key} = {value}, and it is {}: \
         set it (in a container under `sysctls`), or set in_place = false",
        is.trim()
    )))
}

/// Bare tunnels to other hosts. They are made from the host's own namespace, where their UDP stays, right
/// inside the node's, so that what they carry is never seen outside of it.
async fn dig(layout: &Layout, handles: &[Handle]) -> Result<()> {
    let (Some(outside), false) = (handles.last(), layout.tunnels.is_empty()) else { return Ok(()) };
    for (end, tunnel) in layout.tunnels.iter().filter(|(_, tunnel)| !tunnel.sealed) {
        let space = &layout.spaces[end.space];
        let port = &space.ports[end.port];
        let what = || {
            let Tunnel { vni, near, far, .. } = tunnel;
            format!("cannot make tunnel {vni} from {near} to {far} for {}", space.shown())
        };
        let vxlan = LinkVxlan::new(&port.name, tunnel.vni).port(tunnel.port).learning(false);
        let vxlan = match (tunnel.near, tunnel.far) {
            (IpAddr::V4(near), IpAddr::V4(far)) => vxlan.local(near).remote(far),
            (IpAddr::V6(near), IpAddr::V6(far)) => vxlan.local6(near).remote6(far),
            _ => bail!("{}: one address is IPv4 and the other IPv6", what()),
        };
        let file = File::open(space.path()).with_context(what)?;
        let message = port_message(vxlan, port).setns_by_fd(file.as_raw_fd());
        outside.link().add(message.build()).execute().await.with_context(what)?;
    }
    Ok(())
}

/// The inner ends of sealed tunnels, whose outer ends are files: interfaces of the nodes, or of the middle.
async fn seal(layout: &Layout, handles: &[Handle]) -> Result<Vec<Tap>> {
    let mut taps = vec![];
    for (end, tunnel) in layout.tunnels.iter().filter(|(_, tunnel)| tunnel.sealed) {
        let port = &layout.spaces[end.space].ports[end.port];
        let (at, name, index) = layout.mouth(*end);
        let space = &layout.spaces[at];
        let what =
            || format!("cannot make the tunnel to {} at {name} of {}", tunnel.far, space.shown());
        space::enter(&space.path())?;
        let file = tap::open(&name, index).with_context(what)?;
        let queue = LinkAttribute::TxQueueLen(WAITING);
        let message = LinkMessageBuilder::<LinkUnspec>::default().append_extra_attribute(queue);
        let message = match layout.middle() {
            Some(_) => message.index(index).mtu(port.mtu.into()).up(),
            None => port_message(message, port),
        };
        handles[at].link().set(message.build()).execute().await.with_context(what)?;
        taps.push(Tap { link: tunnel.vni, far: tunnel.far, file });
    }
    Ok(taps)
}

async fn connect(layout: &Layout, handles: &[Handle]) -> Result<()> {
    for (wire, link) in layout.wires.iter().zip(0..) {
        let [a, b] = wire.map(|end| (end, &layout.spaces[end.space].ports[end.port]));
        let far = &layout.spaces[b.0.space];
        let file = File::open(far.path()).with_context(|| format!("cannot open {}", far.name))?;
        let peer = port_message::<LinkUnspec>(LinkMessageBuilder::default(), b.1)
            .setns_by_fd(file.as_raw_fd());
        let pair = port_message(LinkVeth::new(&a.1.name, &b.1.name), a.1)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
        handles[a.0.space].link().add(pair.build()).execute().await.with_context(|| {
            format!(
                "cannot make link {link} between {} and {}",
                layout.spaces[a.0.space].name, far.name
            )
        })?;
    }
    Ok(())
}

/// A veth pair for each port, whose other end is in the middle.
async fn connect_to(layout: &Layout, middle: &Space, handles: &[Handle]) -> Result<()> {
    let file = File::open(middle.path()).with_context(|| format!("cannot open {}", middle.name))?;
    let at = layout.spaces.iter().position(|s| s == middle).context("no middle")?;
    for (space, handle) in layout.spaces.iter().zip(handles) {
        for port in &space.ports {
            let (name, index) = Layout::middle_end((port.link, port.side));
            let peer = LinkMessageBuilder::<LinkUnspec>::default()
                .name(name.clone())
                .index(index)
                .mtu(u32::from(port.mtu))
                .setns_by_fd(file.as_raw_fd());
            let pair = port_message(LinkVeth::new(&port.name, &name), port)
                .set_info_data(InfoData::Veth(InfoVeth::Peer(peer.build())));
            let what = || format!("cannot make {name} in {}", middle.name);
            handle.link().add(pair.build()).execute().await.with_context(what)?;
            let up = LinkUnspec::new_with_index(index).up().build();
            handles[at].link().set(up).execute().await.with_context(what)?;
        }
    }
    Ok(())
}

/// Addresses and routes. A link carries when both its ends are up, and a route needs a link that is up.
async fn furnish(layout: &Layout, handles: &[Handle]) -> Result<()> {
    try_join_all(layout.spaces.iter().zip(handles).map(|(s, h)| addresses(s, h))).await?;
    try_join_all(layout.spaces.iter().zip(handles).map(|(s, h)| routes(s, h))).await?;
    Ok(())
}

fn port_message<T>(message: LinkMessageBuilder<T>, port: &Port) -> LinkMessageBuilder<T> {
    message
        .name(port.name.clone())
        .index(port.index)
        .mtu(u32::from(port.mtu))
        .address(port.mac.to_vec())
}

async fn addresses(space: &Space, handle: &Handle) -> Result<()> {
    let up = |index: u32| handle.link().set(LinkUnspec::new_with_index(index).up().build());
    if !space.own {
        up(1).execute().await.with_context(|| format!("cannot start lo in {}", space.name))?;
    }
    if let Some(address) = space.loopback {
        let len = if address.is_ipv4() { space.loopback_len } else { 128 };
        add_address(handle, 1, address, len)
            .await
            .with_context(|| format!("cannot give {address} to lo in {}", space.name))?;
    }
    for port in &space.ports {
        let what = || {
            format!("cannot give {}/{} to {} in {}", port.address, port.len, port.name, space.name)
        };
        add_address(handle, port.index, port.address, port.len).await.with_context(what)?;
        up(port.index)
            .execute()
            .await
            .with_context(|| format!("cannot start {} in {}", port.name, space.name))?;
    }
    Ok(())
}

async fn add_address(handle: &Handle, index: u32, address: IpAddr, len: u8) -> Result<()> {
    let mut request = handle.address().add(index, address, len);
    if address.is_ipv6() {
        // Nobody else is on the link: do not wait for duplicate address detection.
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    Ok(request.execute().await?)
}

async fn routes(space: &Space, handle: &Handle) -> Result<()> {
    for route in &space.routes {
        let what = || {
            let vias: Vec<String> = route.hops.iter().map(|(_, via)| via.to_string()).collect();
            let (net, len, vias) = (route.net, route.len, vias.join(" and "));
            format!("cannot route {net}/{len} by {vias} in {}", space.shown())
        };
        let message = route_message(route).with_context(what)?;
        handle.route().add(message).execute().await.with_context(what)?;
    }
    Ok(())
}

/// A route as the kernel takes it.
///
/// # Errors
/// When its addresses are of two versions of IP.
pub(super) fn route_message(route: &Route) -> Result<RouteMessage> {
    let message = RouteMessageBuilder::<IpAddr>::new().destination_prefix(route.net, route.len)?;
    let message = match &route.hops[..] {
        [(index, via)] => message.gateway(*via)?.output_interface(*index),
        hops => {
            let hop = |(index, via): &(u32, IpAddr)| {
                let family = if via.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
                Ok(RouteNextHopBuilder::new(family).interface(*index).via(*via)?.build())
            };
            message.multipath(hops.iter().map(hop).collect::<Result<_>>()?)
        }
    };
    Ok(message.build())
}

/// Frames must reach the agents as they were sent: no merging, no splitting, no checksum left for
/// hardware that is not there.
fn offloads(layout: &Layout) -> Result<()> {
    for (at, space) in layout.spaces.iter().enumerate().filter(|(_, s)| !s.ports.is_empty()) {
        space::enter(&space.path())?;
        for port in &space.ports {
            ethtool::offloads_off(&port.name).with_context(|| {
                format!("cannot turn offloads of {} in {} off", port.name, space.name)
            })?;
            if layout.polls(at) {
                // A virtual link takes redirected frames only where its end polls, which this makes
                // it do until an agent's program sits there.
                let what = || format!("cannot make {} in {} poll", port.name, space.name);
                ethtool::merging_on(&port.name).with_context(what)?;
            }
        }
    }
    let Some(middle) = layout.middle() else { return Ok(()) };
    space::enter(&middle.path())?;
    let mut names = layout.middle_ends().into_iter().map(|end| Layout::middle_end(end).0);
    names.try_for_each(|name| ethtool::offloads_off(&name).context("wires"))
}
