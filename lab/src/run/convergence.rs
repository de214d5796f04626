//! How many packets a path took: the victim's tape is replayed up to the packet where it stands.
//!
//! All packets of the case count, from the attack's start, whoever sent them. A path stands where the
//! finding holds exactly that path; by bisection over the tape, so at most a few dozen
//! reconstructions a turn.

use crate::plan::Plan;
use crate::summary::PacketsToPath;
use crate::world::Arrival;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::case::{Case, Step};
use traceback::graph::Finding;
use traceback::packet::Packet;
use traceback::scheme::Keeper;
use traceback::schemes::{Answers, AnyScheme};
use traceback::stats;
use traceback::vantage::{Draws, Setting};

type Path = Vec<RouterId>;

/// Packets needed for every true path.
pub fn packets_to_path(
    plan: &Plan,
    scheme: &dyn AnyScheme,
    case: &Case,
    tape: &[Arrival],
    truth: &BTreeSet<Path>,
    found: &BTreeSet<Path>,
) -> PacketsToPath {
    let right: Vec<&Path> = truth.intersection(found).collect();
    let censored = (truth.len() - right.len()) as u64;
    let needed: Vec<f64> = match scheme.card().keeper {
        Keeper::Routers => right.iter().map(|_| 1.0).collect(),
        Keeper::Victim | Keeper::None => {
            let mut replay = Replay::new(plan, scheme, case, tape);
            right.iter().map(|path| replay.needed(path) as f64).collect()
        }
    };
    let at = |q| stats::quantile(&needed, q);
    let n = needed.len() as u64;
    PacketsToPath {
        n,
        censored,
        mean: stats::mean(&needed),
        p50: at(0.5),
        p95: at(0.95),
        why: (n == 0).then(|| "no true path was found".into()),
    }
}

struct Replay<'a> {
    scheme: &'a dyn AnyScheme,
    case: &'a Case,
    setting: Setting,
    tape: Vec<&'a Arrival>,
    known: BTreeMap<usize, BTreeSet<Path>>,
}

impl<'a> Replay<'a> {
    fn new(plan: &Plan, scheme: &'a dyn AnyScheme, case: &'a Case, tape: &'a [Arrival]) -> Self {
        let parse =
            |a: &&Arrival| Packet::parse(&a.bytes[..]).is_ok_and(|p| case.filter.matches(&p));
        let place = case.map.place(case.gateway).unwrap_or(traceback::Place {
            id: case.gateway,
            index: 0,
            degree: 0,
            asn: 0,
        });
        let filter = Some(case.filter);
        let setting = Setting { place, key: plan.key, draws: Draws::Keyed, filter };
        let tape = tape.iter().filter(parse).collect();
        Self { scheme, case, setting, tape, known: BTreeMap::new() }
    }

    /// The shortest tape that holds the path, which the whole tape does.
    fn needed(&mut self, path: &Path) -> usize {
        let (mut low, mut high) = (0, self.tape.len());
        while low + 1 < high {
            let middle = low.midpoint(high);
            if self.paths(middle).contains(path) { high = middle } else { low = middle }
        }
        high
    }

    fn paths(&mut self, packets: usize) -> &BTreeSet<Path> {
        let (scheme, case, tape, setting) = (self.scheme, self.case, &self.tape, self.setting);
        self.known.entry(packets).or_insert_with(|| {
            let mut observer = scheme.vantage(setting);
            for arrival in &tape[..packets] {
                if let Ok(packet) = Packet::parse(&arrival.bytes[..]) {
                    observer.see(arrival.at, &packet);
                }
            }
            let ledger = observer.cut().unwrap_or_default();
            match scheme.reconstruct(case, &[(case.gateway, &ledger)], &Answers::new()) {
                Ok(Step::Done(Finding::Paths(graph))) => graph.paths,
                _ => BTreeSet::new(),
            }
        })
    }
}
