//! What a run makes in the host's own namespace: where a node of the plan stands in place, tunnels and an
//! address of the loopback; on older kernels, sentinels' filters. Everything else goes with the namespaces that
//! were made.

use super::filter;
use super::layout::{Layout, Space};
use super::netlink::{connect, runtime};
use super::space;
use crate::exit::Exit;
use crate::journal::Entry;
use anyhow::{Context, Result};
use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{InfoData, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage};
use rtnetlink::packet_route::route::{RouteMessage, RouteType};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Index of the loopback interface.
const LOOPBACK: u32 = 1;

/// One thing in a host's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// A link to another host. Its name alone proves nothing: its identifier must be right, too.
    Tunnel {
        /// Name of the interface.
        name: String,
        /// VXLAN network identifier.
        vni: u32,
    },
    /// An address of the loopback interface.
    Address(IpAddr),
    /// Filters of clsact at an interface of the owner's, on both its sides.
    Sentinel {
        /// Name of the interface, for people.
        interface: String,
        /// The kernel's number for it.
        index: u32,
        /// The kernel's number for the program, by which the filters are known.
        program: u32,
        /// Whether the clsact is made with it, and may go with it.
        clsact: bool,
    },
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tunnel { name, vni } => write!(f, "tunnel {name} ({vni})"),
            Self::Address(address) => write!(f, "address {address} of lo"),
            Self::Sentinel { interface, .. } => write!(f, "sentinel at {interface}"),
        }
    }
}

/// What is to be written down before a space in place is furnished.
///
/// # Errors
/// Where an address is there already: it would be taken for ours.
pub(super) fn entries(layout: &Layout, space: &Space) -> Result<Vec<Entry>> {
    let inode = space::inode_at(&space.path()).context("cannot read own namespace")?;
    let mut things: Vec<Thing> = space.loopback.map(Thing::Address).into_iter().collect();
    if let [Thing::Address(address), ..] = standing(&on(inode, &things))?[..] {
        let why = format!("{address} is on lo already: an earlier run left it, or it is not ours");
        return Err(Exit::HostNotReady.refuse(format!("{why}; `ip addr del {address} dev lo`")));
    }
    let here = |at: usize| layout.spaces.get(at) == Some(space);
    things.extend(layout.tunnels.iter().filter(|(end, _)| here(end.space)).map(|(end, tunnel)| {
        Thing::Tunnel { name: space.ports[end.port].name.clone(), vni: tunnel.vni }
    }));
    Ok(things.into_iter().map(|thing| Entry::Own { inode, thing }).collect())
}

fn on(inode: u64, things: &[Thing]) -> Vec<(u64, Thing)> {
    things.iter().map(|t| (inode, t.clone())).collect()
}

/// Which of them exist. What was made in another namespace than the caller's went with it.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn standing(things: &[(u64, Thing)]) -> Result<Vec<Thing>> {
    walk(things, false)
}

/// Removes those that exist.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn remove(things: &[(u64, Thing)]) -> Result<()> {
    walk(things, true).map(drop)
}

/// Takes the default routes of the caller's namespace away, for good.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn cut_off() -> Result<()> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    runtime.block_on(async {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut all = RouteMessage::default();
            all.header.address_family = family;
            let routes: Vec<RouteMessage> = handle.route().get(all).execute().try_collect().await?;
            let leads_out = |r: &&RouteMessage| {
                r.header.destination_prefix_length == 0 && r.header.kind == RouteType::Unicast
            };
            for route in routes.iter().filter(leads_out) {
                let gone = handle.route().del(route.clone()).execute().await;
                gone.context("cannot remove a default route (needs CAP_NET_ADMIN)")?;
            }
        }
        Ok(())
    })
}

fn walk(things: &[(u64, Thing)], remove: bool) -> Result<Vec<Thing>> {
    let mine = space::inode_of_process("thread-self").context("cannot read own namespace")?;
    let here: Vec<&Thing> = things.iter().filter(|(i, _)| *i == mine).map(|(_, t)| t).collect();
    if here.is_empty() {
        return Ok(vec![]);
    }
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    runtime.block_on(async {
        let mut found = vec![];
        for thing in here {
            if one(&handle, thing, remove).await.with_context(|| format!("{thing}"))? {
                found.push(thing.clone());
            }
        }
        Ok(found)
    })
}

/// Whether it exists; removes it where that is wanted.
async fn one(handle: &Handle, thing: &Thing, remove: bool) -> Result<bool> {
    match thing {
        Thing::Tunnel { name, vni } => {
            let links: Vec<LinkMessage> = handle.link().get().execute().try_collect().await?;
            let link = links.iter().find(|l| is_tunnel(l, name, *vni));
            if let (Some(link), true) = (link, remove) {
                handle.link().del(link.header.index).execute().await?;
            }
            Ok(link.is_some())
        }
        Thing::Address(address) => {
            let get = handle.address().get().set_link_index_filter(LOOPBACK);
            let known: Vec<AddressMessage> = get.execute().try_collect().await?;
            let is = |m: &&AddressMessage| {
                m.attributes.contains(&AddressAttribute::Address(*address))
                    && m.header.index == LOOPBACK
            };
            let Some(message) = known.iter().find(is) else { return Ok(false) };
            if remove {
                handle.address().del(message.clone()).execute().await?;
            }
            Ok(true)
        }
        Thing::Sentinel { index, program, clsact, .. } => {
            filter::one(handle, (*index, *program, *clsact), remove).await
        }
    }
}

fn is_tunnel(link: &LinkMessage, name: &str, vni: u32) -> bool {
    let named = link.attributes.contains(&LinkAttribute::IfName(name.into()));
    let ours = |info: &LinkInfo| match info {
        LinkInfo::Data(InfoData::Vxlan(data)) => data.contains(&InfoVxlan::Id(vni)),
        _ => false,
    };
    let info = |a: &LinkAttribute| match a {
        LinkAttribute::LinkInfo(infos) => infos.iter().any(ours),
        _ => false,
    };
    named && link.attributes.iter().any(info)
}
