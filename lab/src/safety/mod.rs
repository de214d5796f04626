//! What lets an experiment between hosts begin, and what ends it, beyond the ranges that [`crate::scope`]
//! compiles in.
//!
//! ```text
//! manifest (who agreed to what, signed) --+
//! site policy (the local administrator) --+--> admission, on each host for itself --> Permit
//! scenario and plan (as handed over)    --+                                             |
//!                                              kernel gate, leak sentinels, beacon <----+
//! ```
//! Order of trust: compiled ceiling, site policy, manifest, scenario. Each can only narrow what stands above
//! it: [`bounds`] holds the one function that puts them together.

pub mod admission;
pub mod beacon;
pub mod bounds;
pub mod incident;
mod internal;
pub mod manifest;
pub mod records;
pub mod sentinel;
pub mod signature;
pub mod site;
pub(crate) mod witness;

pub use ashiato_collector::{clock, evidence};

pub use admission::{Asked, Permit};
pub use bounds::{Bounds, Caps};
pub use manifest::{Manifest, Party, Terms};
pub use site::Site;
