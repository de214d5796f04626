//! Authenticated tunnels between hosts: WireGuard in user space, one session for each pair of hosts.
//!
//! ```text
//! node's namespace           host's own namespace                       the other host
//! p0 (TAP) --frame--> Carrier: IP + GRE [frame] --WireGuard--> UDP ====> the same, backwards
//! ```
//! Nothing of the experiment stands in the host's own namespace, not even wrapped: frames go from the file of a
//! TAP interface, which is inside the node's, into the cipher. [`half`] is how hosts come to know each other's
//! keys, which live as long as a run; [`carrier`] moves packets; [`frame`] is what is inside the cipher; [`losses`]
//! counts what found no room.
//! The protocol and its cryptography are the library's (boringtun).

pub mod carrier;
pub mod frame;
pub mod half;
pub mod losses;

pub use carrier::{Carrier, Peer, Tally, Tap};
pub use half::Half;
