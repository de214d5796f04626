//! Few who take part: the share of pairs of autonomous systems between which packets can be traced, by who
//! takes part and in which order they joined.
//!
//! A pair counts as traceable where some system on the way from one to the other takes part, as it knows from which
//! neighbour a packet came. Sources: IEICE IA technical report of July 2008 (the five largest Japanese systems: over 70 %
//! of pairs; thirteen small and medium carriers: over 50 %), and Moreira, Laufer, Fernandes, Duarte (8 % of all systems, the
//! core: over 90 % of attacks). Their graphs are not ours, so their numbers stand beside ours as a reference, and the gate is that
//! the order by links does at least as well as chance. `--as-graph` takes another graph.

use super::Job;
use super::as_graph::{AsGraph, Size};
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Said};
use crate::report::chart::{Chart, Curve, Look, Point};
use std::cmp::Reverse;
use std::sync::Arc;
use traceback::stats::Statistic;

/// As many systems and links as Japan had in CAIDA's relationships of January 2008.
const JAPAN: Size = Size { systems: 457, bought: 849, peered: 178 };
/// Three times as many for the other paper, whose graph is that of the world.
const WORLD: Size = Size { systems: 1_371, bought: 2_547, peered: 534 };
/// Destinations of a run; every other system is a source.
const DESTINATIONS: usize = 60;
/// How many of the largest are not among the small and medium ones.
const LARGEST: usize = 5;
/// Those who take part in the papers.
const MEDIUM: usize = 13;
/// Per cent of all systems.
const CORE: usize = 8;

const TOP5: &str = "deployment-top5";
const TRANSIT13: &str = "deployment-transit13";
const CORE8: &str = "deployment-core8";

/// In which order systems join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Those with most links first.
    Degree,
    /// Carriers with most links first, but for the [`LARGEST`].
    Medium,
    /// As chance has it.
    Random,
}

/// All oracles, over grown graphs or the one that is given.
pub fn jobs(given: Option<&Arc<AsGraph>>) -> Vec<Job> {
    let rows: [(&'static str, Order, Size, Count, f64); 3] = [
        (TOP5, Order::Degree, JAPAN, |_| LARGEST, 0.7),
        (TRANSIT13, Order::Medium, JAPAN, |_| MEDIUM, 0.5),
        (CORE8, Order::Degree, WORLD, |systems| part(CORE, systems), 0.9),
    ];
    let job = |(id, order, size, count, paper): (&'static str, Order, Size, Count, f64)| {
        let given = given.cloned();
        Job::new(vec![id.to_owned()], move |sampling| {
            let share =
                |order| share(id, &runs(given.as_deref(), size, order, sampling), count, sampling);
            let least = share(Order::Random).ours.unwrap_or(f64::INFINITY);
            let said = Said { paper: Some(paper), law: None };
            vec![share(order).row(id, said, Gate::AtLeast(least), sampling)]
        })
    };
    rows.map(job).into_iter().collect()
}

/// How many take part, of so many.
type Count = fn(usize) -> usize;

fn part(per_cent: usize, of: usize) -> usize {
    (per_cent * of + 50) / 100
}

/// What [`seen_by`] says in each run.
fn runs(given: Option<&AsGraph>, size: Size, order: Order, sampling: &Sampling) -> Vec<Vec<f64>> {
    // One name, so that orders are compared over the same graphs.
    sampling.sample("deployment", sampling.runs(100, 10), |chance| match given {
        Some(graph) => seen_by(graph, order, chance),
        None => seen_by(&AsGraph::grown(size, chance), order, chance),
    })
}

/// The mean share over runs.
fn share(
    name: &str,
    runs: &[Vec<f64>],
    count: impl Fn(usize) -> usize,
    sampling: &Sampling,
) -> Measured {
    let one = |run: &Vec<f64>| run.get(count(run.len() - 1)).or(run.last()).copied();
    let shares: Vec<_> = runs.iter().map(one).collect();
    Measured::of(&shares, Statistic::Mean, sampling.stream(name))
}

/// By number of systems that take part, from none to all: the share of pairs that some of them see.
fn seen_by(graph: &AsGraph, order: Order, chance: &mut Chance) -> Vec<f64> {
    let never = graph.len();
    let mut ranks = vec![never; never];
    for (rank, system) in in_order(graph, order, chance).into_iter().enumerate() {
        ranks[system] = rank;
    }
    // Pairs by the rank of the first to join of those on their way.
    let mut pairs = vec![0_u64; never + 1];
    let mut first = vec![never; never];
    for _ in 0..DESTINATIONS {
        for (system, next) in graph.ways(chance.below(never.max(1))) {
            let rest = if system == next { never } else { first[next] };
            first[system] = rest.min(ranks[system]);
            pairs[first[system]] += u64::from(system != next);
        }
    }
    let all: u64 = pairs.iter().sum();
    let mut sum = 0;
    let mut shares = vec![0.0];
    for count in &pairs[..never] {
        sum += count;
        shares.push(sum as f64 / all.max(1) as f64);
    }
    shares
}

fn in_order(graph: &AsGraph, order: Order, chance: &mut Chance) -> Vec<usize> {
    let mut systems: Vec<usize> = (0..graph.len()).collect();
    if order == Order::Random {
        (1..systems.len()).for_each(|i| systems.swap(i, chance.below(i + 1)));
        return systems;
    }
    systems.sort_by_key(|s| Reverse(graph.degree(*s)));
    if order == Order::Medium {
        systems.drain(..LARGEST.min(systems.len()));
        systems.retain(|s| graph.carries(*s));
    }
    systems
}

/// Curves of what is seen by how many, by order, with the papers' points.
pub fn charts(given: Option<&AsGraph>, sampling: &Sampling) -> Vec<(String, Chart)> {
    let named = [
        ("by links", Order::Degree),
        ("carriers after the first 5", Order::Medium),
        ("at random", Order::Random),
    ];
    let curve = |(name, order): (&str, Order), size, counts: &[u32], shares: bool| {
        let runs = runs(given, size, order, sampling);
        let point = |n: &u32| {
            let count = |all| if shares { part(*n as usize, all) } else { *n as usize };
            let measured = share(name, &runs, count, sampling);
            let range = measured.interval.map(|i| (i.low, i.high));
            Some(Point { x: (*n).into(), y: measured.ours.ok()?, range })
        };
        let points = counts.iter().filter_map(point).collect();
        Curve { name: name.into(), points, look: Look::Joined }
    };
    let paper = |name: &str, colour, x, y| {
        let points = vec![Point { x, y, range: None }];
        Curve { name: name.to_owned(), points, look: Look::Crosses(colour) }
    };
    let chart = |name: &str, across: &str, curves: Vec<Curve>| {
        let title = "share of pairs of autonomous systems with a participant on the way".to_owned();
        let across = across.to_owned();
        (name.to_owned(), Chart { title, across, reach: vec![0.0], share: true, curves })
    };
    let counts = [1, 2, 3, 5, 8, 13, 20, 30, 40, 50];
    let mut japan: Vec<Curve> = named.map(|of| curve(of, JAPAN, &counts, false)).into();
    japan.push(paper("IA 2008: 5 largest", 0, 5.0, 0.7));
    japan.push(paper("IA 2008: 13 others", 1, 13.0, 0.5));
    let counts = [1, 2, 4, 8, 12, 16, 24, 32];
    let mut world: Vec<Curve> =
        [named[0], named[2]].map(|of| curve(of, WORLD, &counts, true)).into();
    world.push(paper("Moreira et al.", 0, 8.0, 0.9));
    vec![
        chart("deployment-count", "systems that take part", japan),
        chart("deployment-share", "per cent of systems that take part", world),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_see_everything_and_none_see_nothing() {
        let graph = AsGraph::grown(JAPAN, &mut Chance(1));
        for order in [Order::Degree, Order::Medium, Order::Random] {
            let seen = seen_by(&graph, order, &mut Chance(2));
            assert!(seen[0].abs() < 1e-12 && seen.is_sorted());
            let all = seen[graph.len()];
            assert!(if order == Order::Medium { all < 1.0 } else { (all - 1.0).abs() < 1e-12 });
        }
    }

    #[test]
    fn one_carrier_between_two_sees_all_that_it_carries() {
        let graph = AsGraph::parse("1|2|-1\n1|3|-1\n").unwrap();
        let seen = seen_by(&graph, Order::Degree, &mut Chance(1));
        assert!((seen[1] - 1.0).abs() < 1e-12);
    }
}
