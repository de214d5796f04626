//! Node and edge sampling: packets until the farthest router, or every link, has been seen.
//!
//! Source: savage2000 sections 4.2 and 4.3. The paper's "75 packets" and "108 packets" for edge sampling over
//! ten hops follow neither from its bound nor from the exact law: they are upper ends here, not gates on the
//! number itself. Its bound lies below the true mean on paths of less than fourteen hops at p = 1/25.

use super::Job;
use super::chance::{Chance, Sampling};
use super::line::{Convergence, Line};
use super::row::{Gate, Measured, Row, Said};
use traceback::Scheme;
use traceback::law::{Hops, survives};
use traceback::schemes::edge::{self, Edge, Mark};
use traceback::schemes::node::{self, Node};
use traceback::stats::Statistic;

/// Edge sampling: hops, marking probability, and what the paper's text says.
const EDGES: [(u8, f64, Option<f64>); 3] =
    [(10, 0.1, Some(75.0)), (10, 0.04, Some(108.0)), (20, 0.04, None)];
/// Node sampling: hops, marking probability, and "more than 42,000".
const FARTHEST: (u8, f64, f64) = (15, 0.51, 42_000.0);

/// All oracles.
pub fn jobs() -> impl Iterator<Item = Job> {
    let node = "node-d15-farthest".to_owned();
    let first = Job::new(vec![node.clone()], move |s| vec![farthest(&node, s)]);
    let edges = EDGES.map(|(d, p, paper)| {
        let id = format!("edge-d{d}-p{:.0}-mean", 1.0 / p);
        Job::new(vec![id.clone()], move |s| vec![links(&id, d, p, paper, s)])
    });
    std::iter::once(first).chain(edges)
}

fn farthest(id: &str, sampling: &Sampling) -> Row {
    let (d, p, paper) = FARTHEST;
    let params = node::Params { p, ..node::Params::default() };
    let node = Node::new(&params).expect("invariant: 0.51 is a probability");
    let samples =
        sampling.sample_mean(id, sampling.runs(10_000, 300), 0.03, |chance: &mut Chance| {
            let line = Line::new(&node, d, chance);
            let far = line.ids()[0].0;
            let packets = (1..2_000_000_u32).find(|_| line.send(&node, chance).0 == far)?;
            Some(f64::from(packets))
        });
    let said = Said { paper: Some(paper), law: Some(survives(p, d.into()).recip()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

fn links(id: &str, d: u8, p: f64, paper: Option<f64>, sampling: &Sampling) -> Row {
    let params = edge::Params { p, ..edge::Params::default() };
    let convergence = Convergence {
        scheme: Edge::new(&params).expect("invariant: the paper's parameters are in range"),
        // Unmarked packets show nobody's name, at distances that the sender chose.
        cell: |_, mark: Mark| (u64::from(mark.start > 0) << mark.distance, 0),
        cells: 1,
        need: 1,
        hops: Hops::Overwriting(p),
        rebuild: true,
    };
    let samples = convergence.samples(id, d, sampling.runs(10_000, 2_000), 0.03, sampling);
    let said = Said { paper, law: Some(convergence.law(d).mean()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}
