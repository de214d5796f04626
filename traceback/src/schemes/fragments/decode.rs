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

use super::{CELLS, Check, Code, FAR, Mark};
use crate::case::{Case, Evidence, Gap};
use crate::counts::Counts;
use crate::graph::{AttackGraph, Edge};
use crate::law::harmonic;
use crate::scheme::{Field, RouterId};
use crate::schemes::walk::MAX_PATHS;
use crate::stats::{real, whole};
use std::collections::BTreeSet;

/// Combinations of halves of the fragments that are held at most, both together.
const MOST_HALVES: f64 = 4_194_304.0;

/// One mark, and how many packets brought it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Hops since it was written.
    pub distance: u8,
    /// Which fragment.
    pub offset: u8,
    /// The fragment.
    pub fragment: u16,
    /// Packets.
    pub packets: u64,
}

/// Distinct fragments by distance and offset.
#[derive(Debug)]
struct Cells {
    at: Vec<Vec<Vec<u16>>>,
    packets: [u64; FAR as usize],
}

impl Cells {
    /// Every mark is listed once.
    fn of(fragments: usize, marks: impl Iterator<Item = Seen>) -> Self {
        let at = vec![vec![vec![]; fragments]; FAR.into()];
        let mut cells = Self { at, packets: [0; FAR as usize] };
        for mark in marks {
            let distance = usize::from(mark.distance);
            let cell =
                cells.at.get_mut(distance).and_then(|at| at.get_mut(usize::from(mark.offset)));
            if let Some(cell) = cell {
                cell.push(mark.fragment);
                cells.packets[distance] = cells.packets[distance].saturating_add(mark.packets);
            }
        }
        cells
    }

    /// Whether the marks at a distance are as many different ones as random bits of this width would be.
    fn looks_random(&self, distance: usize, width: u32) -> bool {
        let marks = f64::from(width).exp2() * self.at[distance].len() as f64;
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
    let mut all = Counts::default();
    evidence.ledgers.values().for_each(|ledger| crate::ledger::Ledger::merge(&mut all, ledger));
    let seen = |(bits, packets): (u16, u32)| {
        let Mark { offset, distance, fragment } = Mark::unpack(bits.into());
        Seen { distance, offset, fragment: fragment.into(), packets: packets.into() }
    };
    let graph = unravelled(check, case, all.iter().map(seen))?;
    if graph.edges.is_empty() {
        return Err(too_few(all.packets(), q));
    }
    Ok(graph)
}

/// Too few packets for the gateway's name; wanted is the exact mean for that, eight equal coupons.
pub fn too_few(have: u64, q: f64) -> Gap {
    too_few_of(CELLS, have, q)
}

/// The same for names of so many fragments.
pub fn too_few_of(cells: u32, have: u64, q: f64) -> Gap {
    Gap::TooFew { have, want: whole((f64::from(cells) * harmonic(cells) / q).ceil()) }
}

/// What marks tell, each of which is listed once; no edges where the gateway's name is not complete.
///
/// # Errors
/// [`Gap::Budget`] as for [`paths`].
pub fn unravelled<C: Code>(
    code: C,
    case: &Case,
    marks: impl Iterator<Item = Seen>,
) -> Result<AttackGraph, Gap> {
    unravel(&Cells::of(code.fragments() as usize, marks), case, code)
}

fn unravel<C: Code>(cells: &Cells, case: &Case, code: C) -> Result<AttackGraph, Gap> {
    let mut edges = BTreeSet::new();
    let mut reached: Vec<Option<RouterId>> = vec![None];
    let mut left = case.budget.candidates;
    let mut set_aside = 0;
    for distance in 0..case.budget.hops.min(u16::from(FAR)) {
        let fragments = &cells.at[usize::from(distance)];
        if fragments.iter().any(Vec::is_empty) {
            break;
        }
        let Some(found) = names(fragments, &reached, code, &mut left) else {
            let each = fragments.iter().map(|f| f.len() as u64).fold(1, u64::saturating_mul);
            let census = each.saturating_mul(reached.len() as u64);
            if distance == 0 || !cells.looks_random(distance.into(), code.width()) {
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
fn names<C: Code>(
    fragments: &[Vec<u16>],
    below: &[Option<RouterId>],
    code: C,
    left: &mut u64,
) -> Option<Vec<(RouterId, Option<RouterId>)>> {
    let combinations: f64 = fragments.iter().map(|f| f.len() as f64).product();
    // Where nothing can be joined, every combination is a pair.
    let (bits, linear) = code.hash_bits();
    let pairs = combinations / f64::from(linear).exp2() * below.len() as f64;
    // Among more than this, the check lets one wrong name pass on average.
    if combinations > f64::from(bits).exp2() || pairs > real(*left) {
        return None;
    }
    let halves = halves(fragments);
    let held = |half: &Vec<usize>| half.iter().map(|o| fragments[*o].len() as f64).product::<f64>();
    if halves.iter().map(held).sum::<f64>() > MOST_HALVES.min(real(*left)) {
        return None;
    }
    let [one, other] = halves.map(|offsets| products(fragments, &offsets, code));
    let under: Vec<(Option<RouterId>, C::Name)> = below
        .iter()
        .map(|to| (*to, to.map_or_else(C::Name::default, |to| code.name(to))))
        .collect();
    let mut found = vec![];
    join(&one, &other, &mut |a, b| {
        *left = left.checked_sub((a.len() * b.len() * under.len()) as u64)?;
        for (_, a) in a {
            for (_, b) in b {
                let hit = |(to, under): &(Option<RouterId>, C::Name)| {
                    Some((code.router(*a ^ *b ^ *under)?, *to))
                };
                found.extend(under.iter().filter_map(hit));
            }
        }
        Some(())
    })?;
    Some(found)
}

/// The offsets in two halves whose products are about as large.
fn halves(fragments: &[Vec<u16>]) -> [Vec<usize>; 2] {
    let mut offsets: Vec<usize> = (0..fragments.len()).collect();
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
fn products<C: Code>(fragments: &[Vec<u16>], offsets: &[usize], code: C) -> Vec<(u128, C::Name)> {
    let mut parts = vec![C::Name::default()];
    for o in offsets {
        let each: Vec<C::Name> = fragments[*o].iter().map(|f| code.part(*o, *f)).collect();
        parts = parts.iter().flat_map(|part| each.iter().map(|more| *part ^ *more)).collect();
    }
    let mut parts: Vec<(u128, C::Name)> = parts.into_iter().map(|p| (code.failing(p), p)).collect();
    parts.sort_unstable();
    parts
}

/// Calls `pair` with the runs of both sorted lists whose first members are equal.
fn join<N>(
    mut one: &[(u128, N)],
    mut other: &[(u128, N)],
    pair: &mut impl FnMut(&[(u128, N)], &[(u128, N)]) -> Option<()>,
) -> Option<()> {
    while let (Some((a, _)), Some((b, _))) = (one.first(), other.first()) {
        let key = a.max(b);
        let run = |list: &[(u128, N)]| {
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
