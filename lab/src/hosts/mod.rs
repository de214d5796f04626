//! The world `hosts`: a plan over several machines or containers, each of which stands for some nodes.
//!
//! ```text
//! director: placement -> HostsWorld -- orders, beats --> host: Part (a netns::site of its nodes)
//!           collector <----------------- reports ------- its agents
//!           node on host A ==== sealed, in UDP ===== node on host B
//! ```
//! Hosts call the director, by TLS with keys on both sides, and take nothing from anybody else. On each
//! of them stands what the world `netns` would make of its nodes; only links between hosts differ.

mod daemon;
mod director;
mod home;
mod keys;
mod links;
mod office;
mod part;
pub mod placement;
mod seen;
mod takes;
pub mod wire;
mod world;

pub use daemon::{Config, check, serve};
pub use world::{HostsWorld, Papers};
