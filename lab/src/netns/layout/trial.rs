//! Layouts of no plan, to try out a host.

use super::links::Wire;
use super::{Layout, Socket, Tunnel};
use crate::netns::names::{PREFIX, short};
use crate::scenario::spec::Datapath;
use std::net::IpAddr;

/// UDP port of tunnels that are only tried out: not that of real ones.
const TRIAL_PORT: u16 = 47_890;

impl Layout {
    /// Two spaces and one wire, to try out a host.
    pub fn trial(run: &str) -> Self {
        let mut layout = Self::empty(Datapath::Afpacket);
        let [a, b] = ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().expect("invariant: a literal"));
        for (at, (address, peer)) in [(a, b), (b, a)].into_iter().enumerate() {
            layout.push(format!("{PREFIX}{}-trial{at}", short(run)), None, false);
            layout.add_port(
                at,
                at,
                Wire { address, peer, len: 30, mtu: 1500, link: 0, side: at, apart: false },
            );
        }
        layout.wires.push([0, 1].map(|space| Socket { space, port: 0 }));
        layout
    }

    /// A space with a tunnel that leads nowhere, to try out a host.
    pub fn trial_tunnel(run: &str) -> Self {
        let mut layout = Self::empty(Datapath::Afpacket);
        let [address, peer] =
            ["198.18.0.1", "198.18.0.2"].map(|a| a.parse().expect("invariant: a literal"));
        layout.push(format!("{PREFIX}{}-trial", short(run)), None, false);
        let wire = Wire { address, peer, len: 30, mtu: 1500, link: 0, side: 0, apart: true };
        layout.add_port(0, 0, wire);
        let local = IpAddr::from([127, 0, 0, 1]);
        let (vni, port, sealed) = (0xff_ffff, TRIAL_PORT, true);
        let tunnel = Tunnel { vni, port, near: local, far: local, sealed };
        layout.tunnels.push((Socket { space: 0, port: 0 }, tunnel));
        layout.push(String::new(), None, false);
        layout
    }
}
