//! Ashiato's lab: scenario -> plan -> world -> run -> score -> report.

pub mod cli;
pub mod exit;
pub mod plan;
pub mod traffic;
pub mod world;
