//! The control: a router that neither marks nor logs, so that the cost of nothing is measured.

use crate::case::{Case, Evidence, Gap, Step};
use crate::invariant::Invariant;
use crate::scheme::{BadParams, Card, Hop, Keeper, Marked, Names, Place, Scheme};
use crate::slot::Slot;
use serde::{Deserialize, Serialize};

/// The control.
#[derive(Debug, Clone, Copy)]
pub struct NoScheme;

/// The control has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl Scheme for NoScheme {
    const CARD: Card = Card {
        id: "none",
        title: "No scheme (control)",
        paper: "-",
        v4: Slot::None,
        v6: Slot::None,
        records: false,
        keeper: Keeper::None,
        names: Names::Nothing,
        needs_map: false,
        groups_by_flow: false,
        draws: false,
        hashes: false,
        harms: "none",
        state: "none",
    };
    type Params = Params;
    type Local = ();
    type Mark = ();
    type Ledger = ();

    fn new(_: &Params) -> Result<Self, BadParams> {
        Ok(Self)
    }

    fn local(&self, _: &Place) {}

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![]
    }

    #[inline]
    fn mark(&self, (): &(), _: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        ().into()
    }

    fn observe(&self, _: &Hop, _: &Invariant, (): (), _: &[u8], (): &mut ()) {}

    fn reconstruct(&self, _: &Case, _: &Evidence<()>) -> Result<Step, Gap> {
        Err(Gap::Nothing { what: "the control leaves no evidence".into() })
    }
}
