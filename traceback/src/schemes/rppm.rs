//! RPPM: rectified marking, which says when it is sure.
//!
//! Idea: a victim who sees a path of `d` routers cannot know whether there is another one behind it that it
//! has not heard yet. If there were, its name would be complete after so many packets with a
//! probability that can be computed; once it is high enough, the path is whole. Routers mark as in FMS; what
//! is new is that nothing is named before the graph is whole with probability `confidence`.
//!
//! Papers: Wong, Law, Lui, Wong, "A Precise Termination Condition of the Probabilistic Packet Marking
//! Algorithm", IEEE TDSC 5(1), 2008 (wong2008); Barak-Pelleg, Berend, Robinson, Zimmerman, "Algorithms for
//! Reconstructing DDoS Attack Graphs Using PPM", arXiv 2304.05123, 2023 (barak2023), whose stopping time
//! depends on the attacker's actual distance and can be set for any probability of success.
//!
//! ```text
//!  15    13 12       8 7              0     Identification; IPv6: low 16 bits of the flow label
//! | offset | distance | fragment       |
//! ```
//! The rule: with `n` packets in all and a graph `d` routers deep with `l` leaves, stop when each fragment of
//! a router one hop farther, behind any leaf, would have been seen with probability at least
//! `1 - (1 - confidence) / (31 l)`. There are at most 31 depths at which one can stop too early, so by
//! Bonferroni's inequality the graph is whole with probability `confidence`, without knowing `d`, however
//! often one looks.
//!
//! Departs: Wong et al. restart a counter at each new link; merged ledgers know no order, so ours counts
//! packets from the start, which needs fewer. Both assume that leaves send alike. What is written and how it
//! is decoded is FMS's ([`super::fragments`]).
//!
//! Cost: that of FMS.

use crate::case::{Case, Evidence, Gap, Step};
use crate::counts::Counts;
use crate::graph::Finding;
use crate::invariant::Invariant;
use crate::law::{Coupon, Hops, survives};
use crate::scheme::{BadParams, Card, Chance, Hop, Marked, Place, Scheme};
use crate::schemes::fms::{self, Fms};
use crate::schemes::fragments::{CELLS, Check, FAR, Mark, Name, decode};
use crate::stats::real;
use serde::{Deserialize, Serialize};

/// RPPM at work.
#[derive(Debug, Clone, Copy)]
pub struct Rppm {
    params: Params,
    /// What routers do.
    fms: Fms,
}

/// What a scenario may set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Marking probability.
    pub p: f64,
    /// Probability with which a graph that is named is whole: `P*`.
    pub confidence: f64,
}

impl Default for Params {
    /// 1/25, 95 %.
    fn default() -> Self {
        Self { p: 0.04, confidence: 0.95 }
    }
}

impl Scheme for Rppm {
    const CARD: Card = Card {
        id: "rppm",
        title: "Rectified marking: FMS with a stopping rule",
        paper: "Wong, Law, Lui, Wong, IEEE TDSC 5(1), 2008; Barak-Pelleg et al., arXiv 2304.05123",
        ..Fms::CARD
    };
    type Params = Params;
    type Local = Name;
    type Mark = Mark;
    type Ledger = Counts;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let Params { p, confidence } = *params;
        if !(confidence > 0.0 && confidence < 1.0) {
            let got = confidence.to_string();
            return Err(BadParams { key: "confidence", must: "must lie between 0 and 1", got });
        }
        let fms = Fms::new(&fms::Params { p, ..fms::Params::default() })?;
        Ok(Self { params: *params, fms })
    }

    fn local(&self, place: &Place) -> Name {
        self.fms.local(place)
    }

    fn twin(&self, name: &Name) -> Vec<u64> {
        self.fms.twin(name)
    }

    fn chance(&self, hop: &Hop) -> Option<Chance> {
        self.fms.chance(hop)
    }

    #[inline]
    fn mark(&self, name: &Name, hop: &Hop, inv: &Invariant, mark: Mark) -> Marked<Mark> {
        self.fms.mark(name, hop, inv, mark)
    }

    fn observe(&self, hop: &Hop, inv: &Invariant, mark: Mark, records: &[u8], ledger: &mut Counts) {
        self.fms.observe(hop, inv, mark, records, ledger);
    }

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Counts>) -> Result<Step, Gap> {
        let graph = decode::paths(Check::Split, case, evidence, self.params.p)?;
        let deepest = graph.edges.last().map_or(0, |edge| edge.distance);
        let have = evidence.ledgers.values().map(Counts::packets).sum();
        let want = self.packets(deepest + 1, graph.paths.len());
        if have < want {
            return Err(Gap::TooFew { have, want });
        }
        Ok(Step::Done(Finding::Paths(graph)))
    }
}

impl Rppm {
    /// Packets after which a graph of this depth and with so many leaves is taken to be whole.
    pub fn packets(&self, depth: u16, leaves: usize) -> u64 {
        if depth >= FAR.into() {
            return 0; // no farther router could be told
        }
        let leaves = real(leaves.max(1) as u64);
        let q = survives(self.params.p, u32::from(depth) + 1) / leaves;
        let stages = f64::from(FAR) * leaves;
        let sure = 1.0 - (1.0 - self.params.confidence) / stages;
        let law = Coupon::new(Hops::Constant(q), 1, CELLS, CELLS);
        law.map_or(u64::MAX, |law| law.quantile(sure).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::AttackGraph;
    use crate::schemes::trial::{GATEWAY, case, complete, map, paths};

    #[test]
    fn deeper_graphs_and_more_leaves_need_more_packets() {
        let rppm = Rppm::new(&Params::default()).unwrap();
        assert!((1..30).all(|d| rppm.packets(d, 1) < rppm.packets(d + 1, 1)));
        assert!((1..9).all(|l| rppm.packets(5, l) < rppm.packets(5, l + 1)));
        // ln of 8 fragments over 31st of 5 %, at a rate of p (1-p)^5 / 8.
        let about = (8.0 * 31.0 / 0.05_f64).ln() * 8.0 / survives(0.04, 6);
        assert!((real(rppm.packets(5, 1)) / about - 1.0).abs() < 0.01);
    }

    #[test]
    fn nothing_is_named_before_it_is_sure() {
        let rppm = Rppm::new(&Params::default()).unwrap();
        let truth = paths(1, 5);
        let want = rppm.packets(5, 1);
        let mut evidence = complete(&rppm, &truth, 0..8);
        let asked = |evidence: &_| rppm.reconstruct(&case(map(&truth)), evidence);
        assert_eq!(asked(&evidence), Err(Gap::TooFew { have: 40, want }));
        let ledger = evidence.ledgers.get_mut(&GATEWAY).unwrap();
        (40..want).for_each(|_| ledger.add(0x1f00)); // unmarked packets count
        let whole = AttackGraph::from_paths(truth.clone());
        assert_eq!(asked(&evidence), Ok(Step::Done(Finding::Paths(whole))));
    }

    #[test]
    fn nobody_is_ever_quite_sure() {
        for confidence in [0.0, 1.0, f64::NAN] {
            let params = Params { confidence, ..Params::default() };
            assert_eq!(Rppm::new(&params).unwrap_err().key, "confidence");
        }
    }
}
