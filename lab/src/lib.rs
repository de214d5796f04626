//! Ashiato's lab: scenario -> plan -> world -> run -> score -> report.

pub mod cli;
pub mod effects;
pub mod exit;
pub mod journal;
pub mod netns;
pub mod plan;
pub mod process;
pub mod reap;
pub mod report;
pub mod reproduce;
pub mod resolve;
pub mod run;
pub mod scenario;
pub mod scope;
pub mod sim;
pub mod summary;
pub mod traffic;
pub mod truth;
pub mod units;
pub mod world;
