//! What contenders know beforehand and what they take: an order of unequal contenders says so.

use super::{By, Contender, Group};
use crate::plan::Plan;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::IpAddr;
use traceback::scheme::{Card, Keeper};

/// Runs with different packets that an order must rest on: with fewer, intervals of resampled
/// differences cover less often than they say.
pub const BLOCKS_TO_RANK: usize = 20;
/// Runs that a mean should rest on.
pub const RUNS_FOR_A_MEAN: usize = 2_000;
/// Runs that a 99th percentile must rest on.
pub const RUNS_FOR_P99: usize = 10_000;

/// Facts of one contender, from its scheme's fact sheet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Facts {
    /// Scheme id.
    pub scheme: &'static str,
    /// Parameters, all keys spelled out.
    pub params: Value,
    /// Header bits of a packet that it takes.
    pub bits: u32,
    /// What must be known, or given, before the attack.
    pub prior: Vec<&'static str>,
    /// State at a router.
    pub state: &'static str,
    /// What it does to packets.
    pub harms: &'static str,
}

impl Facts {
    /// Those of a scheme in a plan.
    pub(super) fn of(card: &Card, plan: &Plan, params: &Value) -> Self {
        let v6 = plan.hosts.iter().any(|h| matches!(h.address, IpAddr::V6(_)));
        let slot = card.slot(v6);
        let room = plan.room.filter(|_| card.records).map_or(0, |r| 32 + 16 * r.records);
        let prior = [
            (card.needs_map, "map"),
            (card.records, "room that senders reserve"),
            (card.groups_by_flow, "packets grouped by flow"),
            (card.keeper == Keeper::Routers, "routers that answer"),
        ];
        Self {
            scheme: card.id,
            params: params.clone(),
            bits: slot.bits() + u32::try_from(room).unwrap_or(u32::MAX),
            prior: prior.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect(),
            state: card.state,
            harms: card.harms,
        }
    }

    /// Prior knowledge in words.
    pub fn knows(&self) -> String {
        if self.prior.is_empty() { "nothing".into() } else { self.prior.join(", ") }
    }
}

/// What a reader must know before believing an order.
pub(super) fn caveats(groups: &[Group], by: By, blocks: usize) -> Vec<String> {
    let mut caveats = vec![];
    if blocks < BLOCKS_TO_RANK {
        caveats.push(format!(
            "nothing is ranked: an order asks for {BLOCKS_TO_RANK} runs with different seeds, and there \
             are {blocks} (`ashiato run --repeat N --out DIR`, then `ashiato compare DIR`)"
        ));
    }
    if blocks < RUNS_FOR_A_MEAN {
        caveats.push(format!(
            "means rest on {blocks} runs of the {RUNS_FOR_A_MEAN} that a published mean asks for: read \
             the intervals"
        ));
    }
    if by == By::Scheme {
        let kind = |c: &Contender| (c.facts.knows(), c.facts.bits);
        let kinds = |g: &Group| g.contenders.iter().map(kind).collect::<BTreeSet<_>>().len();
        if groups.iter().any(|g| kinds(g) > 1) {
            caveats.push("contenders know different things and take different bits (below)".into());
        }
    }
    caveats
}
