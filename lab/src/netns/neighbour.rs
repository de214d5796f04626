//! Link-layer addresses of neighbours, asked of the kernel, which asks by ARP or neighbour discovery.

use super::layout::Layout;
use super::netlink::{connect, runtime};
use super::space;
use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long one neighbour may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A neighbour by interface index and address.
pub(crate) type Neighbour = (u32, IpAddr);

/// Finds a neighbour from the calling thread's namespace.
///
/// # Errors
/// When it does not answer.
pub(crate) fn find(neighbour: Neighbour) -> Result<[u8; 6]> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    let found = runtime.block_on(resolve(&handle, &[neighbour]))?;
    found.get(&neighbour).copied().context("the neighbour is gone again")
}

/// Makes every node of a layout know its neighbours, so that no first packet waits for them.
///
/// # Errors
/// Names a neighbour that does not answer, and where.
pub(crate) fn warm(layout: &Layout) -> Result<()> {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let runtime = runtime()?;
            let mut asked = vec![];
            for space in layout.spaces.iter().filter(|s| !s.ports.is_empty()) {
                space::enter(&space.path())?;
                let wanted: Vec<Neighbour> =
                    space.ports.iter().map(|p| (p.index, p.peer)).collect();
                asked.push((space, connect(&runtime)?, wanted));
            }
            let ask = asked.iter().map(|(space, handle, wanted)| async move {
                resolve(handle, wanted).await.with_context(|| format!("in {}", space.name))
            });
            runtime.block_on(try_join_all(ask)).map(drop)
        });
        match inside.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Names and kinds of the interfaces that are up in the calling thread's namespace; a real interface
/// has the empty kind.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn links() -> Result<Vec<(String, String)>> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    let links: Vec<LinkMessage> = runtime.block_on(handle.link().get().execute().try_collect())?;
    let up = links.into_iter().filter(|l| l.header.flags.contains(LinkFlags::Up));
    Ok(up.map(named).collect())
}

/// Networks that the calling thread's namespace has addresses in.
///
/// # Errors
/// When the kernel does not say.
pub(crate) fn networks() -> Result<Vec<IpNet>> {
    let runtime = runtime()?;
    let handle = connect(&runtime)?;
    let all: Vec<AddressMessage> =
        runtime.block_on(handle.address().get().execute().try_collect())?;
    let network = |message: &AddressMessage| {
        let address = message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })?;
        IpNet::new(address, message.header.prefix_len).ok()
    };
    Ok(all.iter().filter_map(network).collect())
}

fn named(link: LinkMessage) -> (String, String) {
    let (mut name, mut kind) = (String::new(), String::new());
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(is) => name = is,
            LinkAttribute::LinkInfo(infos) => {
                let kinds = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
                kind = kinds.unwrap_or_default();
            }
            _ => {}
        }
    }
    (name, kind)
}

async fn resolve(handle: &Handle, wanted: &[Neighbour]) -> Result<BTreeMap<Neighbour, [u8; 6]>> {
    let limit = Instant::now() + PATIENCE;
    loop {
        let known = known(handle).await?;
        let missing: Vec<_> = wanted.iter().filter(|n| !known.contains_key(n)).collect();
        let Some((index, address)) = missing.first() else { return Ok(known) };
        if Instant::now() > limit {
            bail!("neighbour {address} on interface {index} does not answer");
        }
        for (index, address) in missing {
            let ask = handle.neighbours().add(*index, *address).replace();
            let ask = ask.state(NeighbourState::None).flags(NeighbourFlags::Use);
            ask.execute().await.with_context(|| format!("cannot look for {address}"))?;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn known(handle: &Handle) -> Result<BTreeMap<Neighbour, [u8; 6]>> {
    let table: Vec<NeighbourMessage> = handle
        .neighbours()
        .get()
        .execute()
        .try_collect()
        .await
        .context("cannot read neighbours")?;
    Ok(table.into_iter().filter_map(entry).collect())
}

fn entry(message: NeighbourMessage) -> Option<(Neighbour, [u8; 6])> {
    use NeighbourState::{Delay, Permanent, Probe, Reachable, Stale};
    if !matches!(message.header.state, Reachable | Stale | Delay | Probe | Permanent) {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(a)) => address = Some(a.into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(a)) => address = Some(a.into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = bytes.try_into().ok(),
            _ => {}
        }
    }
    Some(((message.header.ifindex, address?), mac?))
}
