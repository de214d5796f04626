//! Ashiato's library: everything about IP traceback that is not input or output.
//!
//! No clock, socket, file, thread, global or `unsafe` here: time, chance and place are arguments.
//! The module list is a map of the code; read it top to bottom.
//!
//! - Bytes: [`packet`] parses once, [`slot`], [`room`] and [`ioam`] say where marks live, [`checksum`] repairs,
//!   [`invariant`] hashes what nobody changes, [`icmp`] builds a router's error messages.
//! - Schemes: [`scheme`] is the trait, [`schemes`] the published ones, one file each, [`vantage`]
//!   a scheme at work at one place behind one erased interface.
//! - Routers: [`fib`] looks up, [`router`] forwards and marks, [`scope`] says where their own messages may go.
//! - Evidence: [`ledger`], [`counts`], [`marks`], [`table`] and [`report`] travel, [`case`] asks, [`map`] places, [`graph`] answers.
//!   [`shelf`] keeps millions of small entries.
//! - Borders: [`disclose`] says what a domain lets out.
//! - Many packets at once: [`arrivals`] draws what comes out at the end of a path.
//! - Judgement: [`score`] compares with the truth, [`law`] and [`stats`] say what to expect.
#![forbid(unsafe_code)]

pub mod arrivals;
pub mod blank;
pub mod case;
pub mod checksum;
pub mod counts;
pub mod disclose;
pub mod fib;
pub mod graph;
pub mod handed;
pub mod icmp;
pub mod invariant;
pub mod ioam;
pub mod law;
pub mod ledger;
pub mod map;
pub mod marks;
pub mod packet;
pub mod report;
pub mod room;
pub mod router;
pub mod scheme;
pub mod schemes;
pub mod scope;
pub mod score;
pub mod shelf;
pub mod slot;
pub mod stats;
pub mod table;
pub mod vantage;

pub use ledger::Ledger;
pub use scheme::{Nanos, Place, RouterId, Scheme};

/// The example scheme of `CONTRIBUTING.md`, which must compile.
#[cfg(doctest)]
#[doc = include_str!("../../CONTRIBUTING.md")]
struct Contributing;
