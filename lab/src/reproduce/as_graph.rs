//! Networks of autonomous systems, and the ways that packets take between them.
//!
//! Routes follow what operators are paid for (Gao, Rexford, ToN 9(6), 2001): a way by a customer before one by a
//! peer before one by a provider, then the shortest; nobody carries between two of its peers or providers.
//! A graph is read from relationships in CAIDA's format, or grown: newcomers buy from those who have
//! many links already (Barabási, Albert, Science 286, 1999).

use super::chance::Chance;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Autonomous systems by position, with the positions of those that they deal with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AsGraph {
    providers: Vec<Vec<usize>>,
    customers: Vec<Vec<usize>>,
    peers: Vec<Vec<usize>>,
}

/// How many systems and links a grown graph has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Systems.
    pub systems: usize,
    /// Links from a provider to a customer, about.
    pub bought: usize,
    /// Links between peers.
    pub peered: usize,
}

/// Systems that all peer with each other, from which a grown graph starts.
const CORE: usize = 5;

impl AsGraph {
    /// Reads lines `a|b|-1` (a sells to b) and `a|b|0` (they peer); lines with `#` are remarks.
    ///
    /// # Errors
    /// Where a line is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let mut positions = BTreeMap::new();
        let mut links = BTreeMap::new();
        for line in text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()) {
            let fields: Vec<i64> = line.trim().split('|').map_while(|f| f.parse().ok()).collect();
            let [a, b, kind @ (-1 | 0)] = fields[..] else {
                anyhow::bail!("\"{line}\" is no relationship such as 2497|4713|0 or 2497|4713|-1")
            };
            ensure!(a != b, "\"{line}\" joins a system to itself");
            let mut at = |asn| {
                let next = positions.len();
                *positions.entry(asn).or_insert(next)
            };
            links.insert((at(a), at(b)), kind);
        }
        let mut graph = Self::of(positions.len());
        for ((a, b), kind) in links {
            if kind == 0 { graph.peer(a, b) } else { graph.sell(a, b) }
        }
        Ok(graph)
    }

    /// The graph in a file.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("read relationships from {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// A graph that grew.
    pub fn grown(size: Size, chance: &mut Chance) -> Self {
        let mut graph = Self::of(size.systems);
        (0..CORE).for_each(|a| (0..a).for_each(|b| graph.peer(a, b)));
        // Every system once, and once more for each link: who is drawn has many.
        let mut known: Vec<usize> = (0..CORE).collect();
        let newcomers = size.systems.saturating_sub(CORE);
        for new in CORE..size.systems {
            let mut wanted = size.bought / newcomers;
            let rest = (size.bought % newcomers) as f64 / newcomers as f64;
            wanted += usize::from(chance.happens(rest));
            let sellers: BTreeSet<usize> =
                (0..wanted.max(1)).map(|_| known[chance.below(known.len())]).collect();
            known.extend(sellers.iter().flat_map(|s| [*s, new]));
            sellers.into_iter().for_each(|seller| graph.sell(seller, new));
        }
        for _ in 0..size.peered {
            let (a, b) = (known[chance.below(known.len())], known[chance.below(known.len())]);
            let strangers = !graph.peers[a].contains(&b)
                && !graph.providers[a].contains(&b)
                && !graph.customers[a].contains(&b);
            if a != b && strangers {
                graph.peer(a, b);
            }
        }
        graph
    }

    fn of(systems: usize) -> Self {
        let none = vec![vec![]; systems];
        Self { providers: none.clone(), customers: none.clone(), peers: none }
    }

    fn sell(&mut self, provider: usize, customer: usize) {
        self.customers[provider].push(customer);
        self.providers[customer].push(provider);
    }

    fn peer(&mut self, a: usize, b: usize) {
        self.peers[a].push(b);
        self.peers[b].push(a);
    }

    /// Number of systems.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Links of a system.
    pub fn degree(&self, system: usize) -> usize {
        self.peers[system].len() + self.providers[system].len() + self.customers[system].len()
    }

    /// Whether others pay it to carry their packets.
    pub fn carries(&self, system: usize) -> bool {
        !self.customers[system].is_empty()
    }

    /// Who has a way to `to`, nearest first for each kind of way, with the next system on it; that of `to` is itself. Each
    /// comes after its next.
    pub fn ways(&self, to: usize) -> Vec<(usize, usize)> {
        let mut hops = vec![usize::MAX; self.len()];
        let mut ways = vec![(to, to)];
        hops[to] = 0;
        // Up from customers to providers, then once sideways, then down.
        let mut at = 0;
        while let Some(&(system, _)) = ways.get(at) {
            for provider in &self.providers[system] {
                if hops[*provider] == usize::MAX {
                    hops[*provider] = hops[system] + 1;
                    ways.push((*provider, system));
                }
            }
            at += 1;
        }
        let mut sideways: Vec<(usize, usize)> = vec![];
        for system in (0..self.len()).filter(|s| hops[*s] == usize::MAX) {
            let known = self.peers[system].iter().filter(|p| hops[**p] < usize::MAX);
            sideways.extend(known.min_by_key(|p| (hops[**p], **p)).map(|peer| (system, *peer)));
        }
        for (system, peer) in &sideways {
            hops[*system] = hops[*peer] + 1;
        }
        ways.extend(sideways);
        self.down(&mut hops, &mut ways);
        ways
    }

    /// From all who know a way to their customers who know none, the shortest first.
    fn down(&self, hops: &mut [usize], ways: &mut Vec<(usize, usize)>) {
        let mut sellers: Vec<usize> = ways.iter().map(|(system, _)| *system).collect();
        sellers.sort_by_key(|s| hops[*s]);
        let mut first: VecDeque<usize> = sellers.into();
        let mut later = VecDeque::new();
        // Two queues in rising order: those who sell a way of their own, and those who bought theirs.
        loop {
            let hops_of = |queue: &VecDeque<usize>| queue.front().map_or(usize::MAX, |s| hops[*s]);
            let queue = if hops_of(&first) <= hops_of(&later) { &mut first } else { &mut later };
            let Some(seller) = queue.pop_front() else { return };
            for customer in &self.customers[seller] {
                if hops[*customer] == usize::MAX {
                    hops[*customer] = hops[seller] + 1;
                    ways.push((*customer, seller));
                    later.push_back(*customer);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(graph: &AsGraph, from: usize, to: usize) -> Vec<usize> {
        let next: BTreeMap<usize, usize> = graph.ways(to).into_iter().collect();
        let mut path = vec![from];
        while let Some(last) = path.last().filter(|last| **last != to) {
            path.push(next[last]);
        }
        path
    }

    #[test]
    fn ways_go_up_once_sideways_and_down() {
        // 10 and 20 peer; 10 sells to 1, 20 to 2; 3 buys from 1 and peers with 2.
        let text = "# remark\n10|20|0\n10|1|-1\n20|2|-1\n1|3|-1\n3|2|0\n";
        let graph = AsGraph::parse(text).unwrap();
        // Positions in the order of appearance: 10 20 1 2 3.
        assert_eq!(path(&graph, 3, 4), [3, 4], "a peer is the way to its neighbour");
        assert_eq!(path(&graph, 3, 2), [3, 1, 0, 2], "a peer does not carry to its provider");
        assert_eq!(path(&graph, 1, 4), [1, 0, 2, 4]);
        for bad in ["1|2", "1|1|0", "1|2|7", "a|b|0"] {
            assert!(AsGraph::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everybody_in_a_grown_graph_reaches_everybody_and_each_comes_after_its_next() {
        let size = Size { systems: 300, bought: 550, peered: 100 };
        let graph = AsGraph::grown(size, &mut Chance(3));
        for to in [0, 150, 299] {
            let ways = graph.ways(to);
            assert_eq!(ways.len(), 300);
            let mut known = BTreeSet::from([to]);
            assert!(ways.iter().skip(1).all(|(s, next)| known.contains(next) && known.insert(*s)));
        }
    }
}
