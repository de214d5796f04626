//! How many packets a path took: the victim's tape is replayed up to the packet where it stands.
//!
//! All packets of the case count, from the attack's start, whoever sent them. A path stands where the
//! finding holds exactly that path, and all is complete where the finding equals the truth; by bisection over the tape, so at most a few dozen
//! reconstructions a turn.

use crate::plan::Plan;
use crate::resolve::ways::Walker;
use crate::summary::PacketsToPath;
use crate::tape::Tape;
use crate::traffic::{self, Tag};
use crate::world::{Followed, Traffic};
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::case::{Case, Step};
use traceback::disclose::Cut;
use traceback::graph::Finding;
use traceback::map::Map;
use traceback::packet::Packet;
use traceback::scheme::{Keeper, Names};
use traceback::schemes::{Answers, AnyScheme};
use traceback::stats;
use traceback::vantage::{Draws, Setting};

type Path = Vec<RouterId>;

/// Packets needed for every true path, and for the whole truth.
pub fn packets_to_path(
    plan: &Plan,
    scheme: &dyn AnyScheme,
    case: &Case,
    traffic: &Traffic,
    (paths, cut): (&BTreeSet<Path>, &Cut),
    finding: Option<&Finding>,
) -> PacketsToPath {
    // What is shown of true paths is all that can be found of them.
    let shown = |path: &Path| cut.project(path).into_iter().map(|(_, name)| name).collect();
    let truth: &BTreeSet<Path> = &paths.iter().map(shown).collect();
    let found = finding.map_or_else(Said::default, Said::of);
    let right = |path: &&Path| found.holds(path, &case.map);
    let mut replay = Replay::new(plan, scheme, case, &traffic.tape);
    let each: Vec<Option<u64>> = match scheme.card().keeper {
        Keeper::Routers => truth.iter().map(|p| right(&p).then_some(1)).collect(),
        Keeper::Victim | Keeper::None => {
            let needed =
                |path| right(&path).then(|| replay.until(|said| said.holds(path, &case.map)));
            truth.iter().map(needed).collect()
        }
    };
    let is_all = |said: &Said| said.is_all(scheme.card().names, truth, &case.map);
    let complete = is_all(&found).then(|| match scheme.card().keeper {
        Keeper::Routers => heard_of_all(plan, &replay, traffic.followed.as_ref(), paths),
        Keeper::Victim | Keeper::None => replay.until(is_all),
    });
    let needed: Vec<f64> = each.iter().flatten().map(|n| *n as f64).collect();
    let at = |q| stats::quantile(&needed, q);
    let n = needed.len() as u64;
    PacketsToPath {
        n,
        censored: truth.len() as u64 - n,
        mean: stats::mean(&needed),
        p50: at(0.5),
        p95: at(0.95),
        each,
        complete,
        why: (n == 0).then(|| "no true path was found".into()),
    }
}

/// Packets until one of every true path had come: what routers' logs are asked about must come first.
fn heard_of_all(
    plan: &Plan,
    replay: &Replay<'_>,
    followed: Option<&Followed>,
    truth: &BTreeSet<Path>,
) -> u64 {
    let (mut silent, walker) = (truth.clone(), Walker::new(plan));
    let named = |path: &[usize]| -> Path { path.iter().map(|r| plan.routers[*r].id).collect() };
    let way = |Tag { flow, seq }| match followed {
        Some(followed) => followed.way(flow, seq).cloned(),
        None => {
            let flow = &plan.flows[flow as usize];
            let path = if flow.ways.is_empty() { None } else { walker.path(flow, seq) };
            Some(named(path.as_ref().unwrap_or(&flow.path)))
        }
    };
    let (mut packets, mut player) = (0, replay.tape.play());
    while let Some((_, bytes)) = player.next() {
        let Some(packet) = replay.matching(bytes) else { continue };
        packets += 1;
        if let Some(way) = traffic::tag(plan.key.0, &packet).and_then(way) {
            silent.remove(&way);
        }
        if silent.is_empty() {
            break;
        }
    }
    packets
}

/// What a finding says, as far as it can be right or wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    paths: BTreeSet<Path>,
    systems: BTreeSet<Vec<u32>>,
    sources: BTreeSet<RouterId>,
}

impl Said {
    fn of(finding: &Finding) -> Self {
        match finding {
            Finding::Paths(graph) => Self { paths: graph.paths.clone(), ..Self::default() },
            Finding::AsPaths { paths } => Self { systems: paths.clone(), ..Self::default() },
            Finding::Ingress { routers } => Self { sources: routers.clone(), ..Self::default() },
            Finding::Classes { .. } => Self::default(),
        }
    }

    /// Whether it names this path, or the systems that it leads through.
    fn holds(&self, path: &Path, map: &Map) -> bool {
        self.paths.contains(path) || self.systems.contains(&map.as_path(path))
    }

    /// Whether it is the whole truth and nothing besides, as far as a scheme of this kind can say it.
    fn is_all(&self, names: Names, truth: &BTreeSet<Path>, map: &Map) -> bool {
        match names {
            Names::Paths => self.paths == *truth,
            Names::AsPaths => self.systems == truth.iter().map(|p| map.as_path(p)).collect(),
            Names::Ingress => {
                let sources = truth.iter().filter_map(|p| p.first().copied());
                self.sources == sources.collect()
            }
            Names::Classes | Names::Nothing => false,
        }
    }
}

struct Replay<'a> {
    scheme: &'a dyn AnyScheme,
    case: &'a Case,
    setting: Setting,
    /// All that arrived: routers' messages match no filter, and tell.
    tape: &'a Tape,
    /// How many packets the case is about.
    packets: u64,
    known: BTreeMap<u64, Said>,
}

impl<'a> Replay<'a> {
    fn new(plan: &Plan, scheme: &'a dyn AnyScheme, case: &'a Case, tape: &'a Tape) -> Self {
        let place = case.map.place(case.gateway).unwrap_or(traceback::Place {
            id: case.gateway,
            index: 0,
            degree: 0,
            asn: 0,
        });
        let filter = Some(case.filter);
        let setting = Setting { place, key: plan.key, draws: Draws::Keyed, filter };
        let mut replay = Self { scheme, case, setting, tape, packets: 0, known: BTreeMap::new() };
        let mut player = tape.play();
        while let Some((_, bytes)) = player.next() {
            replay.packets += u64::from(replay.matching(bytes).is_some());
        }
        replay
    }

    /// A packet that the case is about.
    fn matching<'p>(&self, bytes: &'p [u8]) -> Option<Packet<&'p [u8]>> {
        Packet::parse(bytes).ok().filter(|packet| self.case.filter.matches(packet))
    }

    /// The fewest packets after which a condition holds, which holds after all of them.
    fn until(&mut self, holds: impl Fn(&Said) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.packets);
        while low + 1 < high {
            let middle = low.midpoint(high);
            if holds(self.said(middle)) { high = middle } else { low = middle }
        }
        high
    }

    /// What the scheme says after so many packets.
    fn said(&mut self, packets: u64) -> &Said {
        if !self.known.contains_key(&packets) {
            let ledger = self.ledger(packets);
            let evidence = [(self.case.gateway, &ledger[..])];
            let said = match self.scheme.reconstruct(self.case, &evidence, &Answers::new()) {
                Ok(Step::Done(finding)) => Said::of(&finding),
                _ => Said::default(),
            };
            self.known.insert(packets, said);
        }
        &self.known[&packets]
    }

    /// The victim's ledger before the packet behind so many.
    fn ledger(&self, packets: u64) -> Vec<u8> {
        let mut observer = self.scheme.vantage(self.setting);
        let (mut heard, mut player) = (0, self.tape.play());
        while let Some((at, bytes)) = player.next() {
            let Ok(packet) = Packet::parse(bytes) else { continue };
            let ours = self.case.filter.matches(&packet);
            if ours && heard == packets {
                break;
            }
            heard += u64::from(ours);
            observer.see(at, &packet);
        }
        observer.cut().unwrap_or_default()
    }
}
