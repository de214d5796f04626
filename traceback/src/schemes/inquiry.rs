//! Asking router after router about packets, from the victim's gateway outwards.
//!
//! For schemes whose routers remember what they forwarded: every router that says yes has its neighbours
//! asked next, until nobody further has seen the packet. All packets are followed at once, as sets: a
//! router's answer and its neighbours are looked up once for all of them, so the work grows with routers
//! first and no faster than linearly with packets.

use crate::case::{Answer, Case, Gap, Query, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::scheme::RouterId;
use crate::schemes::Answers;
use std::collections::{BTreeMap, BTreeSet};

/// Paths listed at most for one packet; with sound logs there is one.
const MAX_PATHS: usize = 1_000;

/// What to ask next about the packets that routers know under these keys, or the paths.
///
/// # Errors
/// [`Gap::Nothing`] where there is no key, or the gateway saw none of the packets.
pub(super) fn next(case: &Case, answers: &Answers, keys: Vec<u64>) -> Result<Step, Gap> {
    if keys.is_empty() {
        return Err(Gap::Nothing { what: "a sampled packet to ask about".into() });
    }
    let query = Query { keys, from: case.window.from, to: case.window.to };
    let ours = answers.iter().filter(|((_, asked), _)| *asked == query);
    let said = ours.map(|((router, _), answer)| (*router, answer.as_ref())).collect();
    let walk = Walk::new(case, &said, query.keys.len());
    if !walk.ask.is_empty() {
        return Ok(Step::Ask(walk.ask.into_iter().map(|r| (r, query.clone())).collect()));
    }
    let graph = walk.graph(query.keys.len());
    if graph.edges.is_empty() {
        return Err(Gap::Nothing { what: "a gateway that saw a sampled packet".into() });
    }
    Ok(Step::Done(Finding::Paths(graph)))
}

/// How far answers lead: which links packets took, and whom to ask next.
#[derive(Default)]
struct Walk {
    edges: Vec<(Edge, Packets)>,
    ask: BTreeSet<RouterId>,
}

impl Walk {
    /// Follows so many packets from the gateway outwards.
    ///
    /// Routes of fewest hops have no shortcuts, so a router that saw a packet lies exactly as far out
    /// as the walk reaches it.
    fn new(case: &Case, said: &BTreeMap<RouterId, Option<&Answer>>, packets: usize) -> Self {
        let mut walk = Self::default();
        let mut placed = BTreeMap::<RouterId, Packets>::new();
        let mut front = BTreeMap::from([((case.gateway, None), Packets::first(packets))]);
        for distance in 0..case.budget.hops {
            for ((router, _), packets) in &front {
                placed.entry(*router).or_default().add(packets);
            }
            let mut next = BTreeMap::<(RouterId, Option<RouterId>), Packets>::new();
            for ((from, to), mut packets) in front {
                let Some(answer) = said.get(&from) else {
                    walk.ask.insert(from);
                    continue;
                };
                packets.keep(|packet| saw(*answer, packet));
                if packets.is_empty() {
                    continue;
                }
                for near in case.map.neighbours(from).filter(|n| !case.beyond.contains(n)) {
                    let fresh = packets.without(placed.get(&near));
                    if !fresh.is_empty() {
                        next.entry((near, Some(from))).or_default().add(&fresh);
                    }
                }
                walk.edges.push((Edge { distance, from, to }, packets));
            }
            front = next;
        }
        walk
    }

    /// The ways of all packets: paths are those that one packet took.
    fn graph(self, packets: usize) -> AttackGraph {
        let mut each = vec![BTreeSet::new(); packets];
        for (edge, packets) in self.edges {
            packets.iter().for_each(|packet| _ = each[packet].insert(edge));
        }
        let mut graph = AttackGraph::default();
        for edges in each {
            graph.join(AttackGraph::from_edges(edges, MAX_PATHS));
        }
        graph
    }
}

/// Whether a router says that it forwarded a packet; silence says nothing.
fn saw(answer: Option<&Answer>, packet: usize) -> bool {
    answer.is_some_and(|a| a.values.get(packet).is_some_and(Option::is_some))
}

/// Some of the packets asked about, by their number: one bit each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Packets(Vec<u64>);

impl Packets {
    /// Packets 0 to `count - 1`.
    fn first(count: usize) -> Self {
        let mut all = Self(vec![u64::MAX; count.div_ceil(64)]);
        all.keep(|packet| packet < count);
        all
    }

    fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(at, word)| {
            let rest = std::iter::successors(Some(*word), |word| Some(word & word.wrapping_sub(1)));
            rest.take_while(|word| *word > 0).map(move |w| 64 * at + w.trailing_zeros() as usize)
        })
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn add(&mut self, other: &Self) {
        self.0.resize(self.0.len().max(other.0.len()), 0);
        self.0.iter_mut().zip(&other.0).for_each(|(word, other)| *word |= other);
    }

    fn without(&self, other: Option<&Self>) -> Self {
        let other = other.map_or(&[][..], |other| &other.0);
        let others = other.iter().chain(std::iter::repeat(&0));
        Self(self.0.iter().zip(others).map(|(word, other)| word & !other).collect())
    }

    fn keep(&mut self, wanted: impl Fn(usize) -> bool) {
        for packet in self.clone().iter().filter(|packet| !wanted(*packet)) {
            self.0[packet / 64] &= !(1 << (packet % 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::mix2;
    use crate::schemes::rig;

    /// What routers say about packets, some of it silence: the same for the same seed.
    fn says(seed: u64, router: RouterId, keys: &[u64]) -> Option<Answer> {
        let chance = |key: u64| mix2(mix2(seed, key), router.0.into());
        let value = |key: &u64| (chance(*key) % 4 > 0).then_some(1);
        (chance(0) % 8 > 0).then(|| Answer { values: keys.iter().map(value).collect() })
    }

    fn graph_of(case: &Case, seed: u64, keys: &[u64]) -> Option<AttackGraph> {
        let mut answers = Answers::default();
        for _ in 0..case.budget.rounds {
            match next(case, &answers, keys.to_vec()) {
                Ok(Step::Ask(asked)) => answers.extend(asked.into_iter().map(|question| {
                    let answer = says(seed, question.0, &question.1.keys);
                    (question, answer)
                })),
                Ok(Step::Done(Finding::Paths(graph))) => return Some(graph),
                Ok(Step::Done(_)) | Err(_) => return None,
            }
        }
        None
    }

    #[test]
    fn packets_followed_together_go_where_each_goes_alone() {
        let ids: Vec<u32> = (1..=40).collect();
        for seed in 0..40 {
            let any = |n: u64| u32::try_from(mix2(seed, n) % 40).unwrap();
            let links: Vec<_> = (0..80).map(|n| (any(2 * n), any(2 * n + 1))).collect();
            let links: Vec<_> = links.into_iter().filter(|(a, b)| a != b).collect();
            let case = rig::case(rig::map(&ids, &links), vec![]);
            // More than one word of packets.
            let keys: Vec<u64> = (1..=70).collect();
            let mut alone = AttackGraph::default();
            let each = keys.iter().filter_map(|key| graph_of(&case, seed, &[*key]));
            each.for_each(|graph| alone.join(graph));
            assert_eq!(graph_of(&case, seed, &keys).unwrap_or_default(), alone, "seed {seed}");
        }
    }

    #[test]
    fn sets_of_packets_hold_what_was_put_in() {
        let all = Packets::first(130);
        assert_eq!(all.iter().collect::<Vec<_>>(), (0..130).collect::<Vec<_>>());
        let mut even = all.clone();
        even.keep(|packet| packet % 2 == 0);
        let mut odd = all.without(Some(&even));
        assert!(odd.iter().eq((0..130).filter(|packet| packet % 2 == 1)));
        assert_eq!(all.without(None), all);
        // A set that is longer than the other.
        let mut few = Packets::first(3);
        assert_eq!(Packets::first(130).without(Some(&few)).iter().count(), 127);
        few.add(&odd);
        assert_eq!(few.iter().count(), 65 + 2);
        odd.keep(|_| false);
        assert!(odd.is_empty() && !few.is_empty() && Packets::default().is_empty());
    }
}
