//! What arrives: the exact distribution of marks at the victim, and packets drawn from it.
//!
//! Walking every packet past every router costs a step for each of them. For schemes whose step asks
//! chance one simple question ([`crate::scheme::Chance`]) the distribution of what comes out at the end
//! of a path can be computed instead, from the scheme's own step, and packets drawn from it at the cost
//! of one look-up each, however long the path is. Loss-free paths only; senders whose first mark varies are
//! one distribution for each mark.
//!
//! Drawing is by Walker's alias method (Vose, IEEE TSE 17(9), 1991).

use crate::invariant::Invariant;
use crate::scheme::{Chance, Field, Hop, Place, Scheme};
use crate::stats::whole;
use crate::vantage::field_mask;
use std::collections::BTreeMap;

/// Different marks that are told apart at most.
const MOST: usize = 1 << 16;

/// What one packet carries when it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arrived {
    /// The slot's bits.
    pub mark: u32,
    /// The TTL.
    pub ttl: u8,
}

/// The distribution of arrivals over one path.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrivals {
    /// What may arrive, with its probability.
    chances: Vec<(Arrived, f64)>,
    /// By position: below which value of 2^32 it stands for itself, and for which else it stands.
    alias: Vec<(u32, u32)>,
}

impl Arrivals {
    /// The distribution for packets that start with the slot at `sent` and this TTL and pass the routers of
    /// `route`, each with what it knows of the packet's way. `None` where the scheme's step depends on
    /// more than one question to chance, on the packet itself or on a table.
    pub fn of<S: Scheme>(scheme: &S, route: &[(Place, Hop)], sent: Arrived) -> Option<Self> {
        let mut states = BTreeMap::from([(sent, 1.0)]);
        for (place, hop) in route {
            let local = scheme.local(place);
            let mut next: BTreeMap<Arrived, f64> = BTreeMap::new();
            for (before, weight) in states {
                let hop = Hop { ttl: before.ttl, ..*hop };
                for (draw, chance) in draws(scheme.chance(&hop)?) {
                    let after = step(scheme, &local, &Hop { draw, ..hop }, before)?;
                    *next.entry(after).or_default() += weight * chance;
                }
            }
            if next.len() > MOST {
                return None;
            }
            states = next;
        }
        Some(Self::drawn_from(states.into_iter().filter(|(_, p)| *p > 0.0).collect()))
    }

    fn drawn_from(chances: Vec<(Arrived, f64)>) -> Self {
        let n = chances.len() as f64;
        let mut left: Vec<f64> = chances.iter().map(|(_, p)| p * n).collect();
        let mut alias: Vec<(u32, u32)> = (0..).zip(&left).map(|(i, _)| (u32::MAX, i)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|i| left[*i] < 1.0);
        while let (Some(little), Some(&much)) = (small.pop(), large.last()) {
            // Rounded down: what is lost is below 2^-32 of a chance.
            let keep = u32::try_from(whole(left[little] * f64::from(u32::MAX))).unwrap_or(u32::MAX);
            alias[little] = (keep, u32::try_from(much).unwrap_or(u32::MAX));
            left[much] -= 1.0 - left[little];
            if left[much] < 1.0 {
                large.pop();
                small.push(much);
            }
        }
        Self { chances, alias }
    }

    /// What may arrive, with its probability, in rising order.
    pub fn chances(&self) -> &[(Arrived, f64)] {
        &self.chances
    }

    /// The packet that 64 random bits choose.
    pub fn pick(&self, random: u64) -> Arrived {
        let at = (((random >> 32) * self.alias.len() as u64) >> 32) as usize;
        let (keep, other) = self.alias[at];
        let low = (random & 0xffff_ffff) as u32;
        self.chances[if low < keep { at } else { other as usize }].0
    }
}

/// Draws that stand for all: one for each answer that chance can give.
fn draws(Chance { p, bits }: Chance) -> impl Iterator<Item = (u32, f64)> {
    let cells = 1_u32 << bits;
    (0..cells).flat_map(move |low| {
        let each = f64::from(cells).recip();
        [(low, p * each), (u32::MAX - (cells - 1) + low, (1.0 - p) * each)]
    })
}

/// A router's step and its lowering of the TTL, as [`crate::vantage::At`] and the router do it.
fn step<S: Scheme>(scheme: &S, local: &S::Local, hop: &Hop, before: Arrived) -> Option<Arrived> {
    let after = scheme.mark(local, hop, &Invariant::NONE, S::Mark::unpack(before.mark));
    if after.need.is_some() {
        return None;
    }
    let ttl = after.other_ttl(hop.ttl).unwrap_or(hop.ttl).checked_sub(1)?;
    let mark = before.mark & !field_mask::<S::Mark>() | after.mark.pack();
    Some(Arrived { mark, ttl })
}
