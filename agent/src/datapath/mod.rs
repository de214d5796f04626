//! Where packets come in and go out: raw sockets and the userspace router over them.
//!
//! - [`socket`] is a safe AF_PACKET socket: for taps, traffic actors and observers.
//!
//! Nothing here knows a scheme: the router is [`traceback::router::Router`].

pub mod socket;
