//! Ashiato's lab: scenario -> plan -> world -> run -> score -> report.

pub mod effects;
pub mod plan;
pub mod sim;
pub mod summary;
pub mod traffic;
pub mod truth;
pub mod world;
