//! Ashiato's lab: scenario -> plan -> world -> run -> score -> report.

pub mod archive;
mod asked;
pub mod cli;
mod clock;
pub mod compare;
pub mod compose;
pub(crate) mod conduct;
pub mod csv;
pub mod effects;
pub mod exit;
mod firewall;
pub mod harms;
pub mod hosts;
pub mod imitate;
pub mod interrupt;
pub mod journal;
pub mod netns;
mod office;
pub mod plan;
pub mod policy;
pub mod process;
pub mod programs;
pub mod reap;
pub mod reflect;
pub mod report;
pub mod reproduce;
pub mod resolve;
pub mod run;
pub mod safety;
pub mod scenario;
pub mod scope;
pub mod sim;
pub mod summary;
pub mod sweep;
pub mod tape;
pub mod traffic;
pub mod truth;
pub mod tunnel;
pub mod units;
pub mod verify;
pub mod world;

// Plans for tests are written once, for tests inside and outside of this crate.
#[cfg(test)]
extern crate self as ashiato;
