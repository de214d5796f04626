//! What links become: an interface at each end that stands here, and a wire or a tunnel between them.

use super::{Layout, Port, Socket, Tunnel, position};
use crate::plan::Plan;
use anyhow::bail;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What the two ends of a link do not share.
pub(super) struct Wire {
    pub(super) address: IpAddr,
    pub(super) peer: IpAddr,
    pub(super) len: u8,
    pub(super) mtu: u16,
    pub(super) link: usize,
    pub(super) side: usize,
    /// Whether its interface needs an index that the host's own do not have.
    pub(super) apart: bool,
}

impl Layout {
    pub(super) fn wire(
        &mut self,
        plan: &Plan,
        tunnels: &BTreeMap<usize, Tunnel>,
    ) -> anyhow::Result<()> {
        for (link, wire) in plan.links.iter().enumerate() {
            let mut sockets = vec![];
            for (side, (end, other)) in [(wire.a, wire.b), (wire.b, wire.a)].into_iter().enumerate()
            {
                let nodes = plan.routers.len() + plan.hosts.len();
                let position = position(plan, end.node);
                if position >= nodes {
                    bail!("link {link} of the plan ends at a node that the plan does not have");
                }
                let Some(&space) = self.at.get(&end.node) else { continue };
                let (address, peer) = (end.address, other.address);
                let (len, mtu) = (wire.len, wire.mtu);
                let apart = tunnels.contains_key(&link);
                let port = Wire { address, peer, len, mtu, link, side, apart };
                sockets.push(Socket { space, port: self.add_port(space, position, port) });
            }
            match (&sockets[..], tunnels.get(&link)) {
                ([a, b], _) => self.wires.push([*a, *b]),
                ([end], Some(tunnel)) => self.tunnels.push((*end, *tunnel)),
                ([_], None) => bail!("link {link} leaves this host, and no tunnel is given for it"),
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds a port to a space; `node` is the position of its node among all of the plan, so that no
    /// two hosts give the same link-layer address.
    pub(super) fn add_port(&mut self, space: usize, node: usize, wire: Wire) -> usize {
        let Wire { address, peer, len, mtu, link, side, apart } = wire;
        let own = self.spaces[space].own;
        let ports = &mut self.spaces[space].ports;
        let port = ports.len();
        // The loopback has index 1; a host's own namespace has interfaces of its own. Kernels before 6.15 look
        // there for the index of a tunnel, too, wherever it is made.
        let first = if own || apart { 70_000 } else { 2 };
        let index = u32::try_from(port).unwrap_or(u32::MAX / 2) + first;
        let (name, mac) = (format!("p{port}"), mac(node, port));
        ports.push(Port { name, index, mac, address, len, mtu, link, side, peer });
        port
    }
}

/// Locally administered, "AS" in letters, then node and port.
fn mac(node: usize, port: usize) -> [u8; 6] {
    let [.., s1, s0] = node.to_be_bytes();
    let [.., p1, p0] = port.to_be_bytes();
    [0x02, 0xa5, s1, s0, p1, p0]
}
