//! Node and edge sampling: packets until the farthest router, or every link, has been seen.
//!
//! Source: savage2000 sections 4.2 and 4.3. The paper's "75 packets" and "108 packets" for edge sampling over
//! ten hops follow neither from its bound nor from the exact law: they are upper ends here, not gates on the
//! number itself. Its bound lies below the true mean on paths of less than fourteen hops at p = 1/25.

use super::Job;
use super::chance::{Chance, Sampling};
use super::row::{Gate, Measured, Row, Said};
use traceback::RouterId;
use traceback::Scheme;
use traceback::invariant::Invariant;
use traceback::law::{Coupon, Hops, survives};
use traceback::scheme::{Field, Hop, Place};
use traceback::schemes::edge::{self, Edge};
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

/// Passes one packet along routers and returns its mark.
fn send<S: Scheme>(scheme: &S, routers: &[(RouterId, S::Local)], chance: &mut Chance) -> S::Mark {
    routers.iter().fold(S::Mark::unpack(0), |mark, (me, local)| {
        let hop = Hop { me: *me, draw: chance.draw(), ..Hop::default() };
        scheme.mark(local, &hop, &Invariant::NONE, mark).mark
    })
}

fn line<S: Scheme>(scheme: &S, d: u8) -> Vec<(RouterId, S::Local)> {
    let router = |index: u8| {
        let id = RouterId(0xc613_0000 | u32::from(index));
        (id, scheme.local(&Place { id, index: index.into(), degree: 2, asn: 0 }))
    };
    (0..d).map(router).collect()
}

fn farthest(id: &str, sampling: &Sampling) -> Row {
    let (d, p, paper) = FARTHEST;
    let params = node::Params { p, ..node::Params::default() };
    let node = Node::new(&params).expect("invariant: 0.51 is a probability");
    let routers = line(&node, d);
    let samples = sampling.sample(id, sampling.runs(10_000, 300), |chance: &mut Chance| {
        let far = routers[0].0.0;
        let packets = (1..2_000_000_u32).find(|_| send(&node, &routers, chance).0 == far)?;
        Some(f64::from(packets))
    });
    let said = Said { paper: Some(paper), law: Some(survives(p, d.into()).recip()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}

fn links(id: &str, d: u8, p: f64, paper: Option<f64>, sampling: &Sampling) -> Row {
    let params = edge::Params { p, ..edge::Params::default() };
    let edge = Edge::new(&params).expect("invariant: the paper's parameters are in range");
    let routers = line(&edge, d);
    let samples = sampling.sample(id, sampling.runs(10_000, 2_000), |chance: &mut Chance| {
        let (mut seen, all) = (0_u64, (1_u64 << d) - 1);
        let mut packets = 0_u32;
        while seen != all {
            packets += 1;
            let mark = send(&edge, &routers, chance);
            // Unmarked packets come with the distance that the sender chose, plus the path's length.
            if mark.start > 0 && mark.distance < d {
                seen |= 1 << mark.distance;
            }
        }
        Some(packets.into())
    });
    let law = Coupon::new(Hops::Overwriting(p), d.into(), 1, 1)
        .expect("invariant: the paper's parameters have a law");
    let said = Said { paper, law: Some(law.mean()) };
    let measured = Measured::of(&samples, Statistic::Mean, sampling.stream(id));
    measured.row(id, said, Gate::Law(0.03), sampling)
}
