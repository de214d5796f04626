//! From fragments back to paths, without a map: from the gateway outwards, one distance at a time.
//!
//! Source: savage2000 figure 8. Departs: combinations are joined by the linear half of their check (see
//! [`Check`]) instead of being tried one by one. The work at a distance with `m` links is `m^4` for each
//! half, and `m^8 / 2^16` pairs for each router below.
//!
//! Where the check can no longer tell (more than `2^32` combinations: over one wrong name passes for each
//! router below), nothing is guessed. Such a distance is either full of routers, which is a
//! [`Gap::Budget`], or full of what senders chose: beyond the true first router, packets that nobody
//! marked carry whatever their sender put there (savage2000 section 5.1). Routers' fragments come back
//! again and again, senders' bits look random. In the second case what lies nearer stands, and the rest
//! is counted as set aside.

use super::{CELLS, Check, FAR, FRAGMENTS, Mark, Name};
use crate::case::{Case, Evidence, Gap};
use crate::counts::Counts;
use crate::graph::{AttackGraph, Edge};
use crate::law::harmonic;
use crate::scheme::{Field, RouterId};
use crate::schemes::walk::MAX_PATHS;
use crate::stats::{real, whole};
use std::collections::BTreeSet;

/// Combinations among which the 32 bits of check let one wrong name pass on average.
const DISTINGUISHABLE: f64 = 4_294_967_296.0;

/// Distinct fragments by distance and offset.
#[derive(Debug, Default)]
struct Cells {
    at: [[Vec<u8>; FRAGMENTS]; FAR as usize],
    packets: [u64; FAR as usize],
}

impl Cells {
    fn add(&mut self, mark: Mark, packets: u32) {
        let distance = usize::from(mark.distance);
        if let Some(at) = self.at.get_mut(distance) {
            // Counts lists every mark once.
            at[usize::from(mark.offset)].push(mark.fragment);
            self.packets[distance] += u64::from(packets);
        }
    }

    /// Whether the marks at a distance are as many different ones as random bits would be.
    fn looks_random(&self, distance: usize) -> bool {
        let marks = (256 * FRAGMENTS) as f64;
        let distinct: usize = self.at[distance].iter().map(Vec::len).sum();
        let random = -marks * (-real(self.packets[distance]) / marks).exp_m1();
        distinct as f64 >= 0.9 * random
    }
}

/// The paths that counted marks tell. `q` is the probability with which the gateway's own mark arrives.
///
/// # Errors
/// [`Gap::TooFew`] where not even the gateway's name is complete; [`Gap::Budget`] where there are more
/// routers at one distance than the check can tell apart, or the case's budget is spent.
pub fn paths(
    check: Check,
    case: &Case,
    evidence: &Evidence<Counts>,
    q: f64,
) -> Result<AttackGraph, Gap> {
    let mut cells = Cells::default();
    let mut all = Counts::default();
    evidence.ledgers.values().for_each(|ledger| crate::ledger::Ledger::merge(&mut all, ledger));
    all.iter().for_each(|(mark, packets)| cells.add(Mark::unpack(mark.into()), packets));
    let graph = unravel(&cells, case, check)?;
    if graph.edges.is_empty() {
        return Err(too_few(all.packets(), q));
    }
    Ok(graph)
}

/// Too few packets for the gateway's name; wanted is the exact mean for that, eight equal coupons.
pub fn too_few(have: u64, q: f64) -> Gap {
    Gap::TooFew { have, want: whole((f64::from(CELLS) * harmonic(CELLS) / q).ceil()) }
}

fn unravel(cells: &Cells, case: &Case, check: Check) -> Result<AttackGraph, Gap> {
    let mut edges = BTreeSet::new();
    let mut reached: Vec<Option<RouterId>> = vec![None];
    let mut left = case.budget.candidates;
    let mut set_aside = 0;
    for distance in 0..case.budget.hops.min(u16::from(FAR)) {
        let fragments = &cells.at[usize::from(distance)];
        if fragments.iter().any(Vec::is_empty) {
            break;
        }
        let Some(found) = names(fragments, &reached, check, &mut left) else {
            let each = fragments.iter().map(|f| f.len() as u64).fold(1, u64::saturating_mul);
            let census = each.saturating_mul(reached.len() as u64);
            if distance == 0 || !cells.looks_random(distance.into()) {
                return Err(Gap::Budget { budget: case.budget.candidates, distance, census });
            }
            set_aside = census;
            break;
        };
        if found.is_empty() {
            break;
        }
        reached = found
            .iter()
            .map(|(from, _)| Some(*from))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        edges.extend(found.into_iter().map(|(from, to)| Edge { distance, from, to }));
    }
    let graph = AttackGraph::from_edges(edges, MAX_PATHS);
    Ok(AttackGraph { set_aside, ..graph })
}

/// Every combination of one fragment for each offset that is a name once that of a router in `below` is
/// taken out, with that router. `None` where there are too many to tell or to try.
fn names(
    fragments: &[Vec<u8>; FRAGMENTS],
    below: &[Option<RouterId>],
    check: Check,
    left: &mut u64,
) -> Option<Vec<(RouterId, Option<RouterId>)>> {
    let combinations: f64 = fragments.iter().map(|f| f.len() as f64).product();
    // Where nothing can be joined, every combination is a pair.
    let joined = 2_f64.powf(f64::from(check.linear_bits().count_ones()));
    let pairs = combinations / joined * below.len() as f64;
    if combinations > DISTINGUISHABLE || pairs > real(*left) {
        return None;
    }
    let [one, other] = halves(fragments).map(|offsets| products(fragments, &offsets, check));
    let under: Vec<(Option<RouterId>, u64)> = below
        .iter()
        .map(|to| (*to, to.map_or(0, |to| u64::from_be_bytes(check.name(to)))))
        .collect();
    let mut found = vec![];
    join(&one, &other, &mut |a, b| {
        *left = left.checked_sub((a.len() * b.len() * under.len()) as u64)?;
        for (_, a) in a {
            for (_, b) in b {
                let hit = |(to, under): &(Option<RouterId>, u64)| {
                    let name: Name = (a ^ b ^ under).to_be_bytes();
                    Some((check.router(name)?, *to))
                };
                found.extend(under.iter().filter_map(hit));
            }
        }
        Some(())
    })?;
    Some(found)
}

/// The offsets in two halves whose products are about as large.
fn halves(fragments: &[Vec<u8>; FRAGMENTS]) -> [Vec<usize>; 2] {
    let mut offsets: Vec<usize> = (0..FRAGMENTS).collect();
    offsets.sort_by_key(|o| std::cmp::Reverse(fragments[*o].len()));
    let (mut halves, mut sizes) = ([vec![], vec![]], [1_u64; 2]);
    for o in offsets {
        let smaller = usize::from(sizes[1] < sizes[0]);
        sizes[smaller] = sizes[smaller].saturating_mul(fragments[o].len() as u64);
        halves[smaller].push(o);
    }
    halves
}

/// All combinations over some offsets: the bits in which they fail, and the part of a name that they
/// are; sorted.
fn products(fragments: &[Vec<u8>; FRAGMENTS], offsets: &[usize], check: Check) -> Vec<(u32, u64)> {
    let mut parts = vec![0_u64];
    for o in offsets {
        let shifted = |f: &u8| u64::from(*f) << (56 - 8 * o);
        let longer =
            |part: &u64| fragments[*o].iter().map(shifted).map(move |f| part | f).collect();
        parts = parts.iter().flat_map(|part| -> Vec<u64> { longer(part) }).collect();
    }
    let mut parts: Vec<(u32, u64)> = parts.into_iter().map(|p| (check.failing(p), p)).collect();
    parts.sort_unstable();
    parts
}

/// Calls `pair` with the runs of both sorted lists whose first members are equal.
fn join(
    mut one: &[(u32, u64)],
    mut other: &[(u32, u64)],
    pair: &mut impl FnMut(&[(u32, u64)], &[(u32, u64)]) -> Option<()>,
) -> Option<()> {
    while let (Some((a, _)), Some((b, _))) = (one.first(), other.first()) {
        let key = a.max(b);
        let run = |list: &[(u32, u64)]| {
            let start = list.partition_point(|(k, _)| k < key);
            (start, start + list[start..].partition_point(|(k, _)| k == key))
        };
        let ((s, e), (t, f)) = (run(one), run(other));
        if s < e && t < f {
            pair(&one[s..e], &other[t..f])?;
        }
        (one, other) = (&one[e..], &other[f..]);
    }
    Some(())
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
