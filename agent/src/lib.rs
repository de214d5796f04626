//! Ashiato's agent: marks or logs the packets that a host forwards, and reports to a collector.
//!
//! The steps of a scheme are pure and live in `traceback`; here are sockets, threads and files.
//! [`datapath`] moves packets and is the only module with unsafe code; [`latency`] times it.
#![deny(unsafe_code)]

#[allow(unsafe_code, reason = "system calls that no safe crate offers; each says why it is sound")]
pub mod datapath;
pub mod latency;
