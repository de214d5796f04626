//! Ashiato's lab: scenario -> plan -> world -> run -> score -> report.

pub mod cli;
pub mod exit;
pub mod journal;
pub mod netns;
pub mod plan;
pub mod process;
pub mod reap;
pub mod scope;
pub mod traffic;
pub mod world;
