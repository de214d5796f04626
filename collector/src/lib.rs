//! Ashiato's collector: stores what agents report, asks them, and rebuilds attack paths.
//!
//! - [`wire`] is the protocol, [`identity`] who speaks, [`authority`] makes keys, [`enrol`] gives new machines theirs.
//! - [`store`] keeps, [`commit`] writes in groups, [`hub`] knows who is connected.
//! - [`agents`] and [`operator`] are the two services, [`server`] runs them, [`client`] calls one.
//! - [`trace`] drives a reconstruction, [`exchange`] asks other domains, [`evidence`] is its log, with times of [`clock`].
//!
//! No generator of traffic here, and nothing that knows an experiment's truth.
#![forbid(unsafe_code)]

pub mod agents;
pub mod authority;
pub mod client;
pub mod clock;
pub mod commit;
pub mod enrol;
pub mod evidence;
pub mod exchange;
pub mod hub;
pub mod identity;
pub mod operator;
pub mod server;
pub mod store;
pub mod trace;
pub mod wire;
