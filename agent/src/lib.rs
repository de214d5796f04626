//! Ashiato's agent: marks or logs the packets that a host forwards, and reports to a collector.
//!
//! The steps of a scheme are pure and live in `traceback`; here are sockets, threads and files.
//! - [`config`] says what to serve, [`run`] serves it: a [`station`] puts one vantage to work, its
//!   [`reporter`] hands what it saw to the [`uplink`], [`latency`] times the marking step.
//! - [`enrol`] gets this machine its certificate, by a token and with a key of its own.
//! - [`journal`] remembers what was changed on interfaces, for when an agent is killed.
//! - [`selftest`] proves which datapaths a host can run.
//! - [`datapath`] moves packets and is the only module with unsafe code.
//! - [`capture`] does the same work on capture files, without any privilege.
#![deny(unsafe_code)]

pub mod capture;
pub mod config;
#[allow(unsafe_code, reason = "system calls that no safe crate offers; each says why it is sound")]
pub mod datapath;
pub mod enrol;
pub mod journal;
pub mod latency;
pub mod privilege;
pub mod reporter;
pub mod run;
pub mod selftest;
pub mod station;

pub mod uplink;
