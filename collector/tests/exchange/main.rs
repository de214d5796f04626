//! Domains that ask each other: real TLS, real logs, real documents.
#![allow(clippy::unwrap_used, reason = "a test stops where something is not as expected")]

mod contacts;
mod exhibits;
mod hostile;
mod independent;
mod load;
mod paths;
mod people;
mod queries;
mod realm;
#[path = "../rig/mod.rs"]
mod rig;
mod rights;
