//! The published schemes, one file each, and their registry.
//!
//! The registry erases types: an [`AnyScheme`] is a scheme with its parameters that speaks bytes, so
//! datapaths, collector, CLI and documents need not know any scheme by name. A new scheme is a new
//! file and one line in [`SCHEMES`]. What several schemes share has a module of its own:
//! [`fragments`] of names, [`segments`] under a digest, [`pages`] of a hash log, numbers of [`digits`],
//! paths of [`ases`], and the [`walk`] over a map.
//! [`fragments`] of names, [`segments`] under a digest, [`pages`] of a hash log, what packets say [`verbatim`],
//! numbers of [`digits`], the [`inquiry`] from router to router, and the [`walk`] over a map.

pub mod algebraic;
pub mod ams1;
pub mod ams2;
pub mod amswide;
pub mod asem;
pub mod ases;
pub mod authms;
pub mod dex;
mod digits;
pub mod dpm;
pub mod dppm;
pub mod edge;
pub mod fast;
pub mod fdpm;
pub mod fit;
pub mod fms;
pub mod fms6;
pub mod fragments;
pub mod hdpm;
pub mod hit;
pub mod huffman;
mod inquiry;
pub mod ioam;
pub mod itrace;
pub mod mrt;
pub mod node;
pub mod none;
pub mod npc;
pub mod pages;
pub mod pi;
pub mod pint;
pub mod recorder;
#[cfg(test)]
mod rig;
pub mod riht;
pub mod rnl;
pub mod rppm;
pub mod segments;
pub mod spie;
pub mod stackpi;
pub mod tabu;
pub mod tpm;
#[cfg(test)]
mod trial;
pub mod verbatim;
pub mod walk;

use crate::arrivals::{Arrivals, Arrived};
use crate::case::{Answer, Case, Evidence, Gap, Query, Step};
use crate::handed::Handed;
use crate::invariant::Invariant;
use crate::ledger::{BadBytes, Ledger};
use crate::scheme::{
    BadParams, Card, Field, Hop, LogShape, Marked, Place, Reliance, RouterId, Scheme,
};
use crate::vantage::{At, Setting, Vantage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

/// Every scheme, in the order in which documents list them.
pub static SCHEMES: &[&dyn Entry] = &[
    &Of::<none::NoScheme>::NEW,
    &Of::<recorder::Recorder>::NEW,
    &Of::<ioam::Ioam>::NEW,
    &Of::<dex::Dex>::NEW,
    &Of::<node::Node>::NEW,
    &Of::<edge::Edge>::NEW,
    &Of::<fms::Fms>::NEW,
    &Of::<fms6::Fms6>::NEW,
    &Of::<ams1::Ams1>::NEW,
    &Of::<ams2::Ams2>::NEW,
    &Of::<amswide::AmsWide>::NEW,
    &Of::<authms::AuthMs>::NEW,
    &Of::<dppm::Dppm>::NEW,
    &Of::<tpm::Tpm>::NEW,
    &Of::<tabu::Tabu>::NEW,
    &Of::<npc::Npc>::NEW,
    &Of::<rppm::Rppm>::NEW,
    &Of::<rnl::Rnl>::NEW,
    &Of::<algebraic::Algebraic>::NEW,
    &Of::<itrace::ITrace>::NEW,
    &Of::<spie::Spie>::NEW,
    &Of::<hit::Hit>::NEW,
    &Of::<riht::Riht>::NEW,
    &Of::<mrt::Mrt>::NEW,
    &Of::<huffman::Huffman>::NEW,
    &Of::<pint::Pint>::NEW,
    &Of::<fit::Fit>::NEW,
    &Of::<dpm::Dpm>::NEW,
    &Of::<hdpm::Hdpm>::NEW,
    &Of::<fdpm::Fdpm>::NEW,
    &Of::<pi::Pi>::NEW,
    &Of::<stackpi::StackPi>::NEW,
    &Of::<fast::Fast>::NEW,
    &Of::<asem::Asem>::NEW,
];

/// The registry's entry under an id.
pub fn find(id: &str) -> Option<&'static dyn Entry> {
    SCHEMES.iter().copied().find(|e| e.card().id == id)
}

/// The same, or which schemes there are.
///
/// # Errors
/// [`BadChoice::Unknown`].
pub fn entry(id: &str) -> Result<&'static dyn Entry, BadChoice> {
    let known = || SCHEMES.iter().map(|e| e.card().id).collect::<Vec<_>>().join(", ");
    find(id).ok_or_else(|| BadChoice::Unknown { id: id.into(), known: known() })
}

/// A scheme that is ready to be given parameters.
pub trait Entry: Sync {
    /// Its fact sheet.
    fn card(&self) -> Card;
    /// Its paper's parameters, as a JSON object.
    fn defaults(&self) -> Value;
    /// The scheme with parameters; keys left out take the paper's values.
    ///
    /// # Errors
    /// [`BadChoice`] where a key is unknown, or a value of the wrong type or out of range.
    fn build(&self, params: &Value) -> Result<Arc<dyn AnyScheme>, BadChoice>;
}

/// Why parameters do not make a scheme.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadChoice {
    /// No scheme has this id.
    #[error("no scheme {id:?}: there are {known}")]
    Unknown {
        /// What was asked for.
        id: String,
        /// What there is.
        known: String,
    },
    /// Out of range.
    #[error(transparent)]
    Params(#[from] BadParams),
    /// Unknown key or wrong type, in serde's words.
    #[error("{0}")]
    Shape(String),
}

/// Answers by router and question; `None` where a router was silent or refused.
pub type Answers = BTreeMap<(RouterId, Query), Option<Answer>>;

/// A scheme with its parameters.
pub trait AnyScheme: Send + Sync {
    /// Its fact sheet.
    fn card(&self) -> Card;
    /// Its parameters, all keys spelled out.
    fn params(&self) -> Value;
    /// Puts it to work at one place.
    fn vantage(&self, setting: Setting) -> Box<dyn Vantage>;
    /// [`Scheme::twin`] at one place.
    fn twin(&self, place: &Place) -> Vec<u64>;
    /// [`Scheme::outsider`].
    fn outsider(&self) -> Option<Arc<dyn AnyScheme>>;
    /// [`Scheme::log`].
    fn log(&self) -> Option<LogShape>;
    /// [`Scheme::userspace_only`].
    fn userspace_only(&self) -> Option<&'static str>;
    /// [`Scheme::entries`].
    fn entries(&self) -> Option<u32>;
    /// [`Scheme::SPEAKS`].
    fn speaks(&self) -> bool;
    /// [`Scheme::RELIES_ON`].
    fn relies_on(&self) -> Reliance;
    /// [`Scheme::log_key`], on bits.
    fn log_key(&self, hop: &Hop, inv: &Invariant, mark: u32) -> Option<u64>;
    /// [`Scheme::cells`].
    fn cells(&self, salt: u64, key: u64) -> Vec<u64>;
    /// [`Scheme::mark`] at one place, on bits: what kernel twins are compared with.
    fn mark(&self, place: &Place, hop: &Hop, inv: &Invariant, before: u32) -> Marked<u32>;
    /// What arrives of packets sent like this over a route: [`Arrivals::of`].
    fn arrivals(&self, route: &[(Place, Hop)], sent: Arrived) -> Option<Arrivals>;
    /// Merges two encoded ledgers.
    ///
    /// # Errors
    /// [`BadBytes`] where one does not decode.
    fn merge(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>, BadBytes>;
    /// [`Scheme::reconstruct`] over encoded ledgers; several of one router are merged.
    ///
    /// # Errors
    /// As there; [`Gap::Malformed`] where a ledger does not decode.
    fn reconstruct(
        &self,
        case: &Case,
        ledgers: &[(RouterId, &[u8])],
        answers: &Answers,
    ) -> Result<Step, Gap>;
    /// [`Scheme::handed`].
    fn handed(&self, case: &Case, answers: &Answers) -> Vec<Handed>;
}

struct Of<S>(PhantomData<fn() -> S>);

impl<S: Scheme> Of<S> {
    const NEW: Self = Self(PhantomData);
}

impl<S: Scheme> Entry for Of<S> {
    fn card(&self) -> Card {
        S::CARD
    }

    fn defaults(&self) -> Value {
        as_value(&S::Params::default())
    }

    fn build(&self, params: &Value) -> Result<Arc<dyn AnyScheme>, BadChoice> {
        let params: S::Params =
            serde_json::from_value(params.clone()).map_err(|e| BadChoice::Shape(e.to_string()))?;
        Ok(Arc::new(Chosen { scheme: Arc::new(S::new(&params)?), params }))
    }
}

struct Chosen<S: Scheme> {
    scheme: Arc<S>,
    params: S::Params,
}

impl<S: Scheme> AnyScheme for Chosen<S> {
    fn card(&self) -> Card {
        S::CARD
    }

    fn params(&self) -> Value {
        as_value(&self.params)
    }

    fn vantage(&self, setting: Setting) -> Box<dyn Vantage> {
        Box::new(At::new(self.scheme.clone(), setting))
    }

    fn twin(&self, place: &Place) -> Vec<u64> {
        self.scheme.twin(&self.scheme.local(place))
    }

    fn outsider(&self) -> Option<Arc<dyn AnyScheme>> {
        let scheme = Arc::new(self.scheme.outsider()?);
        Some(Arc::new(Self { scheme, params: self.params.clone() }))
    }

    fn log(&self) -> Option<LogShape> {
        self.scheme.log()
    }

    fn userspace_only(&self) -> Option<&'static str> {
        self.scheme.userspace_only()
    }

    fn entries(&self) -> Option<u32> {
        self.scheme.entries()
    }

    fn speaks(&self) -> bool {
        S::SPEAKS
    }

    fn relies_on(&self) -> Reliance {
        S::RELIES_ON
    }

    fn log_key(&self, hop: &Hop, inv: &Invariant, mark: u32) -> Option<u64> {
        self.scheme.log_key(hop, inv, S::Mark::unpack(mark))
    }

    fn cells(&self, salt: u64, key: u64) -> Vec<u64> {
        self.scheme.cells(salt, key)
    }

    #[inline]
    fn mark(&self, place: &Place, hop: &Hop, inv: &Invariant, before: u32) -> Marked<u32> {
        let local = self.scheme.local(place);
        self.scheme.mark(&local, hop, inv, S::Mark::unpack(before)).map(Field::pack)
    }

    fn arrivals(&self, route: &[(Place, Hop)], sent: Arrived) -> Option<Arrivals> {
        Arrivals::of(&*self.scheme, route, sent)
    }

    fn merge(&self, one: &[u8], other: &[u8]) -> Result<Vec<u8>, BadBytes> {
        let mut merged = S::Ledger::decode(one)?;
        merged.merge(&S::Ledger::decode(other)?);
        let mut out = vec![];
        merged.encode(&mut out);
        Ok(out)
    }

    fn reconstruct(
        &self,
        case: &Case,
        ledgers: &[(RouterId, &[u8])],
        answers: &Answers,
    ) -> Result<Step, Gap> {
        let mut evidence =
            Evidence { ledgers: BTreeMap::<_, S::Ledger>::new(), answers: answers.clone() };
        for (router, bytes) in ledgers {
            let ledger = S::Ledger::decode(bytes)
                .map_err(|BadBytes| Gap::Malformed { who: router.to_string() })?;
            evidence.ledgers.entry(*router).or_default().merge(&ledger);
        }
        self.scheme.reconstruct(case, &evidence)
    }

    fn handed(&self, case: &Case, answers: &Answers) -> Vec<Handed> {
        let evidence = Evidence { ledgers: BTreeMap::new(), answers: answers.clone() };
        self.scheme.handed(case, &evidence)
    }
}

fn as_value(params: &impl serde::Serialize) -> Value {
    serde_json::to_value(params).expect("invariant: parameters are plain data")
}
