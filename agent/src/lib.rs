//! Ashiato's agent.

pub mod uplink;
