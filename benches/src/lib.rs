//! What the benchmarks share. Each program of `bin/` is one benchmark; the README says what it measures.
//!
//! - [`agents`]: the agent that is measured.
//! - [`host`]: commands, processors and processor time; [`report`]: medians, raw numbers, JSON.
//! - [`traffic`]: frames, their source and their sink, both in the kernel.
//! - [`lanes`]: one router each, between the same source and sink; [`queue`]: the one on NFQUEUE.
//! - [`tunnels`]: a link between two hosts; [`stage`]: links that delay; [`joining`]: a host that is new.
//! - [`held`]: what an agent holds in memory.
//! - [`steps`]: single programs by test runs; [`rates`]: whole paths; [`verdicts`]: what the goals are.

pub mod agents;
pub mod held;
pub mod host;
pub mod joining;
pub mod lanes;
pub mod queue;
pub mod rates;
pub mod report;
pub mod stage;
pub mod steps;
pub mod traffic;
pub mod tunnels;
pub mod verdicts;
