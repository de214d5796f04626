//! The world `netns`: a plan on real kernel network stacks, all on one host.
//!
//! Every router and host is a network namespace, every link a veth pair. What of a plan stands on one
//! host is a [`site`], which the world `hosts` shares. [`layout`] says what a plan
//! becomes, the build makes it, and what is made is written into a [`crate::journal`] first, so that
//! [`crate::reap`] can remove it after any accident.

pub mod actor;
pub(crate) mod agents;
mod answers;
mod build;
mod changes;
mod crew;
pub mod crooked;
mod delays;
pub mod disk;
pub(crate) mod faults;
pub(crate) mod filter;
pub(crate) mod followed;
pub mod guard;
pub(crate) mod headquarters;
mod heart;
mod holder;
pub(crate) mod home;
pub(crate) mod inquiry;
pub mod layout;
pub mod lease;
mod line;
pub mod names;
mod neighbour;
mod netlink;
pub mod own;
mod people;
pub(crate) mod place;
mod sinks;
pub(crate) mod site;
mod solo;
pub(crate) mod space;
mod stage;
mod stops;
pub(crate) mod straits;
mod taps;
mod wires;
pub(crate) mod workers;
mod world;

pub(crate) use build::own_settings;
pub use heart::Heart;
pub(crate) use neighbour::{links as links_here, networks as addresses_here};
pub(crate) use space::inode_of_process;
pub use space::within;
pub use stage::{Removed, Stage};
pub use world::{NetnsWorld, RunPaths};
