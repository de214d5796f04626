//! One path of routers that mark, and how many packets it takes until the victim knows it.
//!
//! Shared by the oracles of schemes that mark: [`super::fms`], [`super::ams`], [`super::ppm`],
//! [`super::sampling`] and [`super::words`]. "Known" means that every router of the path was seen in as many of its cells (fragments,
//! hash functions) as the scheme needs, and that the path rebuilt from the ledger is exactly the true one.

use super::chance::{Chance, Sampling};
use super::packets::{self, CLEAN_ID};
use super::row::{Gate, Measured, Row, Said};
use std::collections::BTreeSet;
use traceback::case::{Case, Evidence, Step};
use traceback::graph::Finding;
use traceback::invariant::{Invariant, mix};
use traceback::law::{Coupon, Hops};
use traceback::map::{Map, MapRouter};
use traceback::scheme::{Field, Hop, Place};
use traceback::stats::Statistic;
use traceback::{RouterId, Scheme};

/// Initial TTL of honest senders.
pub const TTL: u8 = 64;
/// A run that takes longer than this many packets has failed.
const MOST_PACKETS: u32 = 1_000_000;

/// A path of routers at work.
pub struct Line<S: Scheme> {
    /// The router nearest the sender first.
    routers: Vec<(RouterId, S::Local)>,
    /// The next packet's; for schemes that read no packets, nobody's.
    pub inv: Invariant,
}

impl<S: Scheme> Line<S> {
    /// `d` random routers.
    pub fn new(scheme: &S, d: u8, chance: &mut Chance) -> Self {
        let mut ids = BTreeSet::new();
        while ids.len() < usize::from(d) {
            // No router has an address in 0.0.0.0/8.
            ids.extend(Some(chance.draw()).filter(|id| id >> 24 > 0));
        }
        // Sorted addresses would be a pattern that no path has; their mixed order is as good as any.
        let mut ids: Vec<RouterId> = ids.into_iter().map(RouterId).collect();
        ids.sort_by_key(|id| mix(id.0.into()));
        let place = |(index, id)| {
            let asn = asn_of(index);
            (id, scheme.local(&Place { id, index, degree: 2, asn }))
        };
        let routers = (0..).zip(ids).map(place).collect();
        Self { routers, inv: Invariant::NONE }
    }

    /// What one packet of a clean run carries at the victim.
    pub fn send(&self, scheme: &S, chance: &mut Chance) -> S::Mark {
        self.send_from(scheme, TTL, S::Mark::unpack(CLEAN_ID.into()), chance)
    }

    /// The same where the sender chose TTL and mark.
    pub fn send_from(&self, scheme: &S, ttl: u8, mark: S::Mark, chance: &mut Chance) -> S::Mark {
        let mut hop = Hop { ttl, edge: 1, ..Hop::default() };
        self.routers.iter().fold(mark, |mark, (me, local)| {
            (hop.me, hop.draw) = (*me, chance.draw());
            let after = scheme.mark(local, &hop, &self.inv, mark).mark;
            (hop.ttl, hop.edge, hop.border) = (hop.ttl.saturating_sub(1), 0, 1);
            after
        })
    }

    /// The victim's step on a mark that an honest sender's packet brought.
    pub fn observe(&self, scheme: &S, mark: S::Mark, ledger: &mut S::Ledger) {
        let passed = u8::try_from(self.routers.len()).unwrap_or(u8::MAX);
        let hop = Hop { ttl: TTL.saturating_sub(passed), ..Hop::default() };
        scheme.observe(&hop, &self.inv, mark, &[], ledger);
    }

    /// The routers, the one nearest the sender first.
    pub fn ids(&self) -> Vec<RouterId> {
        self.routers.iter().map(|(id, _)| *id).collect()
    }

    /// A case whose map, where the scheme needs one, shows this path.
    fn case(&self, gateway: RouterId) -> Case {
        let map = if S::CARD.needs_map { path_map(&self.ids()) } else { Map::default() };
        Case { map, ..packets::case(gateway) }
    }

    /// Whether reconstruction gives this path and nothing else.
    pub fn rebuilds(&self, scheme: &S, ledger: S::Ledger) -> bool {
        let ids = self.ids();
        let Some(gateway) = ids.last() else { return false };
        let mut evidence = Evidence::default();
        evidence.ledgers.insert(*gateway, ledger);
        match scheme.reconstruct(&self.case(*gateway), &evidence) {
            Ok(Step::Done(Finding::Paths(graph))) => graph.paths == BTreeSet::from([ids]),
            Ok(Step::Done(Finding::AsPaths { paths })) => {
                paths == BTreeSet::from([(0..).zip(&ids).map(|(i, _)| asn_of(i)).collect()])
            }
            Ok(_) | Err(_) => false,
        }
    }
}

/// Every router of a path is an autonomous system of its own.
fn asn_of(index: u16) -> u32 {
    64_512 + u32::from(index)
}

/// A map that shows one path.
pub fn path_map(ids: &[RouterId]) -> Map {
    let router = |(index, id): (u16, &RouterId)| MapRouter {
        id: *id,
        name: id.to_string(),
        asn: asn_of(index),
        nation: "XA".into(),
        aliases: vec![],
    };
    let links = (1..).zip(1..ids.len()).map(|(i, _)| (i - 1, i)).collect();
    Map::new((0..).zip(ids).map(router).collect(), links)
        .expect("invariant: ids are distinct and few, and links join those side by side")
}

/// How long a scheme takes to know one path.
pub struct Convergence<S: Scheme> {
    /// The scheme.
    pub scheme: S,
    /// Whose mark it can be, one bit for each router from the victim on, and which of its cells it is.
    pub cell: fn(&Line<S>, S::Mark) -> (u64, u8),
    /// Cells of a router, at most 32.
    pub cells: u32,
    /// Cells of a router that must be seen.
    pub need: u32,
    /// How likely each router's marks are.
    pub hops: Hops,
    /// Whether the path is rebuilt and compared; not where the question is only who was heard.
    pub rebuild: bool,
}

impl<S: Scheme> Convergence<S> {
    /// The exact law for `d` routers.
    pub fn law(&self, d: u8) -> Coupon {
        Coupon::new(self.hops, d.into(), self.cells, self.need)
            .expect("invariant: the papers' parameters have a law for any length that has rows")
    }

    /// Packets that each of many runs took, as many as it takes to judge their mean to within `share`.
    pub fn samples(
        &self,
        id: &str,
        d: u8,
        runs: u64,
        share: f64,
        sampling: &Sampling,
    ) -> Vec<Option<f64>> {
        sampling.sample_mean(id, runs, share, |chance| self.packets_to_path(d, chance))
    }

    /// The mean beside the law's and the paper's.
    pub fn mean(
        &self,
        id: &str,
        d: u8,
        paper: Option<f64>,
        share: f64,
        sampling: &Sampling,
    ) -> Row {
        let samples = self.samples(id, d, sampling.runs(2_000, 300), share, sampling);
        let said = Said { paper, law: Some(self.law(d).mean()) };
        let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
        measured.row(id, said, Gate::Law(share), sampling)
    }

    /// `None` where the path rebuilt is not exactly the true one.
    fn packets_to_path(&self, d: u8, chance: &mut Chance) -> Option<f64> {
        let mut line = Line::new(&self.scheme, d, chance);
        let mut ledger = S::Ledger::default();
        let mut seen = vec![0_u32; d.into()];
        let mut open = d;
        for packet in 1..=MOST_PACKETS {
            if S::CARD.hashes {
                line.inv.digest = chance.word();
            }
            let mark = line.send(&self.scheme, chance);
            line.observe(&self.scheme, mark, &mut ledger);
            let (whose, cell) = (self.cell)(&line, mark);
            for (_, cells) in seen.iter_mut().enumerate().filter(|(i, _)| whose >> i & 1 == 1) {
                let before = cells.count_ones();
                *cells |= 1 << cell;
                open -= u8::from(cells.count_ones() > before && cells.count_ones() == self.need);
            }
            if open == 0 {
                let known = !self.rebuild || line.rebuilds(&self.scheme, ledger);
                return known.then_some(packet.into());
            }
        }
        None
    }
}
