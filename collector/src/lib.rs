//! Ashiato's collector: stores what agents report, asks them, and rebuilds attack paths.
//!
//! - [`wire`] is the protocol, [`identity`] who speaks, [`authority`] makes keys.
//! - [`trace`] drives a reconstruction.

pub mod authority;
pub mod identity;
pub mod trace;
pub mod wire;
