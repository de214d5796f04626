//! The space in the middle, through which all links of a host run where datapath or plan need it: links between its
//! nodes, and those that leave it, whose tunnels end there.

use super::{Layout, Socket, Space};
use crate::plan::Plan;

impl Layout {
    /// Adds the space.
    pub(super) fn push_middle(&mut self, name: String) {
        self.middle = Some(self.spaces.len());
        self.push(name, None, false);
    }

    /// The space through which all links run, where datapath or plan need one.
    pub fn middle(&self) -> Option<&Space> {
        self.middle.map(|at| &self.spaces[at])
    }

    /// Whether a space's interfaces are to poll before any program sits there: agents start later.
    pub fn polls(&self, space: usize) -> bool {
        self.datapath.is_xdp() && self.middle.is_some() && space < self.routers
    }

    /// Whether a way of a link, from its first end (side 0) or its second, begins at a node that stands here.
    pub fn begins(&self, plan: &Plan, link: usize, side: usize) -> bool {
        let spec = &plan.links[link];
        self.holds([spec.a, spec.b][side].node)
    }

    /// Interfaces in the middle, by link and side: the other ends of all ports, and of links that leave this host
    /// the tunnels', each on the side of the node that stands elsewhere.
    pub fn middle_ends(&self) -> Vec<(usize, usize)> {
        let near = self.spaces.iter().flat_map(|s| &s.ports).map(|p| (p.link, p.side));
        let far = self.tunnels.iter().map(|(end, _)| self.far_end(*end));
        near.chain(far).filter(|_| self.middle.is_some()).collect()
    }

    /// Link and side of the node at the other end of a tunnel.
    fn far_end(&self, end: Socket) -> (usize, usize) {
        let port = &self.spaces[end.space].ports[end.port];
        (port.link, 1 - port.side)
    }

    /// Where the interface of a tunnel is, as position of its space, name and index: in the middle, where links run
    /// through one, and else it is the node's own.
    pub fn mouth(&self, end: Socket) -> (usize, String, u32) {
        if let Some(middle) = self.middle {
            let (name, index) = Self::middle_end(self.far_end(end));
            return (middle, name, index);
        }
        let port = &self.spaces[end.space].ports[end.port];
        (end.space, port.name.clone(), port.index)
    }

    /// Name and index of an interface in the middle.
    pub fn middle_end((link, side): (usize, usize)) -> (String, u32) {
        // The loopback has index 1.
        let index = u32::try_from(2 * link + side).unwrap_or(u32::MAX / 2) + 2;
        (format!("w{link}-{side}"), index)
    }
}
