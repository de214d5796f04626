//! Ashiato's collector: stores what agents report, asks them, and rebuilds attack paths.
//!
//! - [`wire`] is the protocol, [`identity`] who speaks, [`authority`] makes keys, [`enrol`] gives new machines theirs.
//! - [`store`] keeps, [`commit`] writes in groups, [`hub`] knows who is connected.
//! - [`agents`] and [`operator`] are the two services, [`server`] runs them, [`client`] calls one.
//! - [`contact`] is whom to reach in other domains, [`signer`] signs.
//! - [`trace`] drives a reconstruction, [`exchange`] asks other domains, [`evidence`] is its log, with times of [`clock`].
//! - [`files`] are written once.
//! - [`rid`] are the messages between domains, [`iodef`] the documents in them, [`stix`] the same for others,
//!   [`dossier`] all that is known of a question, [`xml`] how XML is read.
//!
//! No generator of traffic here, and nothing that knows an experiment's truth.
#![forbid(unsafe_code)]

pub mod agents;
pub mod authority;
pub mod client;
pub mod clock;
pub mod commit;
pub mod contact;
pub mod dossier;
pub mod enrol;
pub mod evidence;
pub mod exchange;
pub mod files;
pub mod hub;
pub mod identity;
pub mod iodef;
pub mod operator;
pub mod rid;
pub mod server;
pub mod signer;
pub mod stix;
pub mod store;
pub mod trace;
pub mod wire;
pub mod xml;
