//! How much of the truth a finding found, at every level.
//!
//! Truth and finding are compared as sets: routers at their distance from the gateway, directed links
//! at their distance, AS numbers, nations, and the routers where attack traffic entered. A finding
//! that names no paths is scored at the levels it speaks about.

mod shown;
#[cfg(test)]
mod whole;

pub use shown::{Sight, score_shown};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One level's comparison.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Level {
    /// Things that are true.
    pub truth: u64,
    /// True things found.
    pub found: u64,
    /// Things found that are not true.
    pub wrong: u64,
    /// `found / (found + wrong)`; `None` where nothing was found.
    pub precision: Option<f64>,
    /// `found / truth`; `None` where nothing is true.
    pub recall: Option<f64>,
    /// Harmonic mean of the two, 0 where nothing true was found; `None` where neither exists.
    pub f1: Option<f64>,
    /// Why a ratio is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Why>,
}

/// Why a ratio does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// No precision without findings.
    #[serde(rename = "nothing was found")]
    NothingFound,
    /// No recall without truth.
    #[serde(rename = "nothing is true")]
    NothingTrue,
}

impl Level {
    fn counted(truth: usize, found: usize, wrong: usize) -> Self {
        let [truth, found, wrong] = [truth, found, wrong].map(|n| n as u64);
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        Self {
            truth,
            found,
            wrong,
            precision: ratio(found, found + wrong),
            recall: ratio(found, truth),
            f1: ratio(2 * found, truth + found + wrong),
            why: match (truth, found + wrong) {
                (0, _) => Some(Why::NothingTrue),
                (_, 0) => Some(Why::NothingFound),
                _ => None,
            },
        }
    }
}

/// The comparison at all levels.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Levels {
    /// Routers at their distance.
    pub router: Level,
    /// Directed links at their distance.
    pub edge: Level,
    /// Autonomous systems.
    pub r#as: Level,
    /// Nations.
    pub nation: Level,
    /// Routers where attack traffic entered.
    pub source: Level,
}

/// Whole paths: of routers, or of autonomous systems where the finding names those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Paths {
    /// Paths that are true.
    pub truth: u64,
    /// True paths found, exactly.
    pub exact: u64,
    /// Paths found that are not true.
    pub wrong: u64,
}

/// A finding's score.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// By level.
    pub levels: Levels,
    /// By whole path.
    pub paths: Paths,
}

/// Shares of packets that a filter by fingerprints lets in.
///
/// Source: yaar2003 section 5, which calls the difference the acceptance ratio gap.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Honest packets let in.
    pub honest: f64,
    /// Attack packets let in.
    pub attack: f64,
    /// The first less the second: 1 is a perfect filter, 0 none at all.
    pub gap: f64,
}

/// Judges a filter that drops every packet of a class in `dropped`, over packets by class. `None` where
/// there are no honest or no attack packets.
pub fn acceptance(
    dropped: &BTreeMap<u32, u64>,
    honest: &BTreeMap<u32, u64>,
    attack: &BTreeMap<u32, u64>,
) -> Option<Acceptance> {
    let share = |packets: &BTreeMap<u32, u64>| {
        let all: u64 = packets.values().sum();
        let passed = packets.iter().filter(|(class, _)| !dropped.contains_key(class));
        let passed: u64 = passed.map(|(_, n)| n).sum();
        (all > 0).then(|| passed as f64 / all as f64)
    };
    let (honest, attack) = (share(honest)?, share(attack)?);
    Some(Acceptance { honest, attack, gap: honest - attack })
}

#[cfg(test)]
mod tests {
    use super::whole::score;
    use super::*;
    use crate::graph::{AttackGraph, Finding};
    use crate::map::{Map, MapRouter};
    use crate::scheme::RouterId;
    use std::collections::BTreeSet;

    fn map() -> Map {
        let router = |i: u32| MapRouter {
            id: RouterId(i),
            name: format!("r{i}"),
            asn: 64_512 + i / 2,
            nation: if i < 4 { "XA".into() } else { "XB".into() },
            aliases: vec![],
        };
        Map::new((0..8).map(router).collect(), vec![]).unwrap()
    }

    fn path(ids: &[u32]) -> Vec<RouterId> {
        ids.iter().copied().map(RouterId).collect()
    }

    #[test]
    fn the_truth_scores_one_everywhere() {
        let truth = BTreeSet::from([path(&[5, 3, 1]), path(&[6, 3, 1])]);
        let said = Finding::Paths(AttackGraph::from_paths(truth.clone()));
        let score = score(&truth, Some(&said), &map());
        let l = score.levels;
        for level in [l.router, l.edge, l.r#as, l.nation, l.source] {
            assert_eq!((level.f1, level.wrong), (Some(1.0), 0));
        }
        assert_eq!(score.paths, Paths { truth: 2, exact: 2, wrong: 0 });
    }

    #[test]
    fn a_filter_is_judged_by_what_packets_were() {
        let of = |packets: &[(u32, u64)]| packets.iter().copied().collect();
        let (dropped, honest) = (of(&[(7, 100)]), of(&[(7, 1), (8, 3)]));
        let got = acceptance(&dropped, &honest, &of(&[(7, 8), (9, 2)])).unwrap();
        assert!((got.honest - 0.75).abs() < 1e-12 && (got.attack - 0.2).abs() < 1e-12);
        assert!((got.gap - 0.55).abs() < 1e-12);
        assert_eq!(acceptance(&dropped, &of(&[]), &honest), None);
    }

    #[test]
    fn half_a_path_and_a_wrong_router_are_seen() {
        let truth = BTreeSet::from([path(&[5, 3, 1])]);
        let said = Finding::Paths(AttackGraph::from_paths([path(&[7, 3, 1])]));
        let score = score(&truth, Some(&said), &map());
        assert_eq!((score.levels.router.found, score.levels.router.wrong), (2, 1));
        assert_eq!((score.levels.source.found, score.levels.source.wrong), (0, 1));
        assert_eq!(score.levels.nation.recall, Some(1.0));
        assert_eq!((score.paths.exact, score.paths.wrong), (0, 1));
    }

    #[test]
    fn paths_of_systems_are_compared_with_those_of_the_truth() {
        // Routers 2 and 3 are one system.
        let truth = BTreeSet::from([path(&[5, 3, 2, 1])]);
        let said = |asns: &[u32]| Finding::AsPaths { paths: [asns.to_vec()].into() };
        let right = score(&truth, Some(&said(&[64_514, 64_513, 64_512])), &map());
        assert_eq!(right.paths, Paths { truth: 1, exact: 1, wrong: 0 });
        assert_eq!((right.levels.r#as.f1, right.levels.nation.f1), (Some(1.0), Some(1.0)));
        assert_eq!(right.levels.router.recall, Some(0.0));
        let wrong = score(&truth, Some(&said(&[64_515, 64_512])), &map());
        assert_eq!((wrong.paths.exact, wrong.paths.wrong, wrong.levels.r#as.wrong), (0, 1, 1));
    }

    #[test]
    fn a_gap_finds_nothing_and_has_no_precision() {
        let score = score(&BTreeSet::from([path(&[1])]), None, &map());
        assert_eq!((score.levels.router.recall, score.levels.router.precision), (Some(0.0), None));
        assert_eq!(score.levels.router.f1, Some(0.0));
    }
}
