//! Ashiato's agent: marks or logs the packets that a host forwards, and reports to a collector.
//!
//! The steps of a scheme are pure and live in `traceback`; here are sockets, threads and files.
//! [`datapath`] moves packets and is the only module with unsafe code.
#![deny(unsafe_code)]

#[allow(
    unsafe_code,
    reason = "socket options that no safe crate offers; every use says why it is sound"
)]
pub mod datapath;
