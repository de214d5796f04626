//! The world `compose`: the world `hosts` in containers on one machine, one container for each node.
//!
//! ```text
//! keys       makes everybody's keys and configurations into a volume, and ends
//! director   ashiato run --world hosts: waits for the others, directs, scores, writes the run folder
//! NODE ...   ashiato host, in place: the container's namespace is the node's
//! ```
//! All are on one internal network, over which hosts' tunnels run: what an experiment sends is inside of
//! UDP there, so neither bridges nor firewalls of the engine see its addresses.

pub mod engine;
mod file;
mod prepare;
mod project;

pub use file::Options;
pub use project::{Asked, run};

use crate::exit::Exit;
use crate::netns::layout::datapath_at;
use crate::plan::{Node, Plan};
use crate::scenario::spec::Datapath;
use anyhow::Result;
use ashiato_collector::identity::Identity;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The containers' network, where no other is asked for.
pub const SUBNET: &str = "10.255.0.0/16";
/// Where the director listens, and next to it the collector.
const PORT: u16 = 7401;
/// Names of services that are no nodes.
const KEYS: &str = "keys";
const DIRECTOR: &str = "director";

/// Who is in which container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compose {
    /// The network.
    pub subnet: Ipv4Net,
    /// The director's address.
    pub director: Ipv4Addr,
    /// One container for each node.
    pub containers: Vec<Container>,
    /// How agents meet packets.
    pub datapath: Datapath,
}

/// A container that stands for a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The node's word.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether its kernel is to forward.
    pub forwards: bool,
}

impl Compose {
    /// The containers of a plan.
    ///
    /// # Errors
    /// [`Exit::Usage`] where a node's word is no container's name, or the network is too small.
    pub fn of(plan: &Plan, datapath: Datapath, subnet: Ipv4Net) -> Result<Self> {
        // The first address is the engine's.
        let mut addresses = subnet.hosts().skip(1);
        let small = || Exit::Usage.refuse(format!("{subnet} has too few addresses for this plan"));
        let director = addresses.next().ok_or_else(small)?;
        let routers = (0..plan.routers.len()).map(Node::Router);
        let mut taken: BTreeSet<&str> = [KEYS, DIRECTOR].into();
        let mut containers = vec![];
        for node in routers.chain((0..plan.hosts.len()).map(Node::Host)) {
            let name = plan.node_name(node);
            if Identity::parse(&format!("host/{name}")).is_none() || !taken.insert(name) {
                return Err(Exit::Usage.refuse(format!(
                    "node {name:?} cannot be a container's name: use letters, digits and dashes, \
                     32 at most, and neither {KEYS:?} nor {DIRECTOR:?}"
                )));
            }
            let forwards = match node {
                Node::Router(i) => {
                    datapath_at(plan, i, datapath).is_none_or(Datapath::kernel_forwards)
                }
                Node::Host(_) => false,
            };
            let address = addresses.next().ok_or_else(small)?;
            containers.push(Container { name: name.into(), address, forwards });
        }
        Ok(Self { subnet, director, containers, datapath })
    }
}
