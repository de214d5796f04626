//! Ashiato's collector: stores what agents report, asks them, and rebuilds attack paths.

pub mod trace;
