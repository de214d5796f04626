//! Follows the kernel's tables by netlink, and asks the kernel to look for neighbours.
//!
//! Any change in links, addresses, routes, rules or neighbours leads to a fresh dump of all: tables of a
//! testbed's router are small, and state that is read anew cannot drift. Changes that come together
//! are read together. The sockets are made in the router's namespace; the tasks run anywhere.

use super::desk::{Bell, Neighbour, Request};
use super::tables::{Dump, Tables};
use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{NeighbourFlags, NeighbourState};
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::{Handle, IpVersion, MulticastGroup, new_multicast_connection};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;
use tokio::sync::mpsc;

/// Pause after a dump, in which further changes gather.
const REST: Duration = Duration::from_millis(2);
/// How often neighbours that the kernel holds for stale are asked again.
const REFRESH: Duration = Duration::from_secs(10);
/// Port that nobody listens at ("discard").
const NOBODY: u16 = 9;

/// A connection to the kernel's tables of one namespace.
#[derive(Debug)]
pub struct Watcher {
    handle: Handle,
    changes: mpsc::Receiver<()>,
    ports: Vec<u32>,
    /// Of both versions of IP.
    callers: Vec<UdpSocket>,
}

impl Watcher {
    /// Connects from the calling thread's network namespace; the tasks run on the runtime that the
    /// thread has entered. Ports are interface indices.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn connect(ports: Vec<u32>) -> anyhow::Result<Self> {
        let groups = [
            MulticastGroup::Link,
            MulticastGroup::Neigh,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ];
        let (connection, handle, mut messages) =
            new_multicast_connection(&groups).context("listen to the kernel's tables")?;
        tokio::spawn(connection);
        // One note is enough for any number of changes, so that a storm of them takes no memory.
        let (note, changes) = mpsc::channel(1);
        tokio::spawn(async move {
            while messages.next().await.is_some() {
                if matches!(note.try_send(()), Err(mpsc::error::TrySendError::Closed(()))) {
                    return;
                }
            }
        });
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()];
        let callers = any.iter().filter_map(|any| UdpSocket::bind((*any, 0)).ok()).collect();
        Ok(Self { handle, changes, ports, callers })
    }

    /// The tables now.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn tables(&self) -> anyhow::Result<Tables> {
        let links = self.handle.link().get().execute().try_collect().await.context("dump links")?;
        let addresses =
            self.handle.address().get().execute().try_collect().await.context("dump addresses")?;
        let mut routes = vec![];
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut all = RouteMessage::default();
            all.header.address_family = family;
            let part: Vec<_> = self
                .handle
                .route()
                .get(all)
                .execute()
                .try_collect()
                .await
                .context("dump routes")?;
            routes.extend(part);
        }
        let neighbours = self.handle.neighbours().get().execute();
        let neighbours = neighbours.try_collect().await.context("dump neighbours")?;
        let rules = self.rules().await;
        Ok(Tables::of(&Dump { links, addresses, routes, neighbours, rules }, &self.ports))
    }

    /// The rules by which the kernel chooses tables; `None` where it does not say.
    async fn rules(&self) -> Option<Vec<RuleMessage>> {
        let mut rules = vec![];
        for version in [IpVersion::V4, IpVersion::V6] {
            let part = self.handle.rule().get(version).execute().try_collect::<Vec<_>>().await;
            match part {
                Ok(part) => rules.extend(part),
                // A kernel without rules, or without this version of IP.
                Err(rtnetlink::Error::NetlinkError(e)) if e.raw_code() == -libc::EAFNOSUPPORT => {}
                Err(e) => {
                    tracing::warn!("cannot read the kernel's rules: {e}");
                    return None;
                }
            }
        }
        Some(rules)
    }

    /// Sends the tables to a datapath whenever they change, until it is gone; `wanted` are neighbours
    /// that packets wait for.
    pub async fn follow(
        mut self,
        mut last: Tables,
        bell: Bell,
        mut wanted: mpsc::Receiver<Neighbour>,
    ) {
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            tokio::select! {
                Some(()) = self.changes.recv() => {
                    match self.tables().await {
                        Ok(tables) if tables == last => {}
                        Ok(tables) => {
                            last = tables.clone();
                            if !bell.ask(Request::Tables(Box::new(tables))) {
                                return;
                            }
                        }
                        Err(e) => tracing::warn!("cannot read the kernel's tables: {e:#}"),
                    }
                    tokio::time::sleep(REST).await;
                }
                Some((port, address)) = wanted.recv() => self.resolve(port, address).await,
                _ = refresh.tick() => {
                    for (port, address) in last.stale.clone() {
                        self.resolve(port, address).await;
                    }
                }
                else => return,
            }
        }
    }

    /// Makes the kernel ask who has an address.
    async fn resolve(&self, port: u16, address: IpAddr) {
        let Some(index) = self.ports.get(usize::from(port)) else { return };
        let request = self.handle.neighbours().add(*index, address).replace();
        let request = request.state(NeighbourState::None).flags(NeighbourFlags::Use);
        // Without CAP_NET_ADMIN the kernel refuses; it has to look when it is given something to send.
        if let Err(e) = request.execute().await
            && !self.callers.iter().any(|caller| call(caller, *index, address).is_ok())
        {
            tracing::debug!("the kernel does not look for neighbour {address}: {e}");
        }
    }
}

/// Sends an empty datagram to a neighbour.
fn call(caller: &UdpSocket, interface: u32, address: IpAddr) -> std::io::Result<usize> {
    let to: SocketAddr = match address {
        IpAddr::V4(address) => (address, NOBODY).into(),
        IpAddr::V6(address) => SocketAddrV6::new(address, NOBODY, 0, interface).into(),
    };
    caller.send_to(&[], to)
}
