//! Link-layer addresses of neighbours, asked of the kernel, which asks by ARP or neighbour discovery.

use anyhow::{Context, Result, bail};
use futures_util::TryStreamExt;
use rtnetlink::Handle;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long one neighbour may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resolves neighbours in the calling thread's namespace, all at once. A neighbour is an interface
/// index and an address.
///
/// # Errors
/// Names a neighbour that does not answer.
pub(crate) fn resolve(wanted: &[(u32, IpAddr)]) -> Result<BTreeMap<(u32, IpAddr), [u8; 6]>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().context("open netlink")?;
        tokio::spawn(connection);
        let limit = Instant::now() + PATIENCE;
        loop {
            let known = known(&handle).await?;
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
    })
}

async fn known(handle: &Handle) -> Result<BTreeMap<(u32, IpAddr), [u8; 6]>> {
    let table: Vec<NeighbourMessage> =
        handle.neighbours().get().execute().try_collect().await.context("read neighbours")?;
    Ok(table.into_iter().filter_map(entry).collect())
}

fn entry(message: NeighbourMessage) -> Option<((u32, IpAddr), [u8; 6])> {
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
