//! What reconstruction costs where there is much of everything: attackers, routers of a map, packets asked
//! about, sources; and how it grows. Needs no root. See benches/README.md.

use anyhow::{Context, ensure};
use ashiato::reproduce::ams::{MANY, ROUTERS, complete2, scheme as ams2};
use ashiato::reproduce::chance::Chance;
use ashiato::reproduce::layers::{Layers, complete};
use ashiato::reproduce::packets::{case, udp4};
use ashiato::reproduce::pint;
use ashiato_benches::report::{keep, median, most_held_mib, rounded, slope};
use ashiato_collector::trace::{Question, trace};
use serde_json::{Map as Json, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;
use traceback::case::{Answer, Case, Evidence, Gap, Sample, Step};
use traceback::graph::{AttackGraph, Edge, Finding};
use traceback::invariant::{Invariant, Key};
use traceback::packet::Packet;
use traceback::scheme::{Field, Hop};
use traceback::schemes::fms::{self, Fms};
use traceback::schemes::{amswide, dpm, entry, fragments};
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Nanos, RouterId, Scheme};

const ROUNDS: usize = 7;
/// Routers of the map that a packet is looked for on, and its layers.
const ASKED: (u32, u32) = (1_000, 20);
/// Packets in each router's log beside those that are looked for.
const LOGGED: u32 = 200;
/// Packets that are looked for at once, at most.
const MOST_ASKED: u32 = 256;
const SOURCES: u32 = 100_000;

/// What was measured, and every number behind it.
#[derive(Default)]
struct Bench {
    summary: Json<String, Value>,
    raw: String,
}

fn main() -> anyhow::Result<()> {
    let out = std::env::args().nth(1).map(PathBuf::from);
    let mut bench = Bench { raw: "what,round,seconds\n".into(), ..Bench::default() };
    let chance = &mut Chance(20_000_828);
    bench.advanced(chance)?;
    bench.fragments(chance)?;
    bench.inquiry(chance)?;
    bench.pint(chance)?;
    bench.sources(chance)?;
    bench.growth(chance)?;
    let memory = most_held_mib()?;
    bench.add("memory", memory, "MiB, the most that all of this took", "<= 2048", memory <= 2048.0);
    let summary = Value::from(bench.summary);
    if let Some(out) = out {
        keep(&out, &[("raw.csv", bench.raw)], &summary)?;
    }
    println!("{summary}");
    Ok(())
}

impl Bench {
    /// Median seconds of some rounds.
    fn time(
        &mut self,
        name: &str,
        mut work: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<f64> {
        let mut times = vec![];
        for round in 0..ROUNDS {
            let start = Instant::now();
            work().with_context(|| name.to_owned())?;
            times.push(start.elapsed().as_secs_f64());
            writeln!(self.raw, "{name},{round},{:.9}", times[round])?;
        }
        Ok(median(times))
    }

    fn add(&mut self, name: &str, median: f64, unit: &str, goal: &str, met: bool) {
        let value = json!({
            "median": rounded(median, 4), "unit": unit, "peer": null, "ratio": null,
            "goal": goal, "met": met,
        });
        self.summary.insert(name.into(), value);
    }

    fn seconds(&mut self, name: &str, seconds: f64, unit: &str, most: f64) {
        self.add(name, seconds, &format!("s, {unit}"), &format!("<= {most} s"), seconds <= most);
    }

    /// Advanced marking on a map of 200,000 routers: what saturates says so, what is wide enough is told apart.
    fn advanced(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let map = Layers::new(5, ROUTERS / 5, chance);
        let truth = edges(map.paths(MANY, chance));
        let ams = ams2(8, 0.5);
        let ledger = complete2(&ams, &truth);
        let took = self.time("ams2.saturated", || {
            let found = map.reconstruct(&ams, ledger.clone());
            ensure!(matches!(found, Err(Gap::Saturated { .. })), "not saturated: {found:?}");
            Ok(())
        })?;
        self.seconds("ams2.saturated", took, "10,000 attackers, map of 200,000 routers", 5.0);
        let wide = amswide::AmsWide::new(&amswide::Params::default())?;
        let ledger = complete(&wide, &truth, 1, |m, distance| amswide::Mark { distance, ..m });
        let took = self.time("amswide", || {
            let Ok(Finding::Paths(graph)) = map.reconstruct(&wide, ledger.clone()) else {
                anyhow::bail!("no paths")
            };
            ensure!(graph.edges.is_superset(&truth), "a true link is missing");
            Ok(())
        })?;
        self.seconds("amswide", took, "the same attackers and map, told apart by 27 bits", 5.0);
        let truth = map.links(500, chance);
        let took = self.attack(&map, &truth, "ams2.500")?;
        self.seconds("ams2.500", took, "500 links at each of 5 distances, map of 200,000", 5.0);
        Ok(())
    }

    /// Seconds in which AMS II finds these links among others.
    fn attack(&mut self, map: &Layers, truth: &BTreeSet<Edge>, name: &str) -> anyhow::Result<f64> {
        let ams = ams2(8, 1.0);
        let ledger = complete2(&ams, truth);
        self.time(name, || {
            let Ok(Finding::Paths(graph)) = map.reconstruct(&ams, ledger.clone()) else {
                anyhow::bail!("no paths")
            };
            ensure!(graph.edges.is_superset(truth), "a true link is missing");
            Ok(())
        })
    }

    /// FMS without and with a map.
    fn fragments(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let fms = Fms::new(&fms::Params::default())?;
        let gateway = RouterId(chance.draw());
        let path = |_| (0..9).map(|_| RouterId(chance.draw())).chain([gateway]).collect();
        let truth = edges((0..12).map(path).collect::<Vec<_>>());
        let case = case(gateway);
        let evidence = evidence(&fms, gateway, &truth);
        let took = self.time("fms.blind", || {
            let Ok(Step::Done(Finding::Paths(graph))) = fms.reconstruct(&case, &evidence) else {
                anyhow::bail!("no paths")
            };
            ensure!(graph.edges.is_superset(&truth), "a true link is missing");
            Ok(())
        })?;
        self.seconds("fms.blind", took, "10 hops, 12 links at each distance, no map", 10.0);
        let map = Layers::new(9, ROUTERS / 9, chance);
        let truth = edges(map.paths(25, chance));
        let fms = Fms::new(&fms::Params { map: true, ..fms::Params::default() })?;
        let ledger = complete(&fms, &truth, 8, |m, distance| fragments::Mark { distance, ..m });
        let took = self.time("fms.map", || {
            let Ok(Finding::Paths(graph)) = map.reconstruct(&fms, ledger.clone()) else {
                anyhow::bail!("no paths")
            };
            ensure!(graph.edges.is_superset(&truth), "a true link is missing");
            Ok(())
        })?;
        self.seconds("fms.map", took, "10 hops, 25 attackers, map of 200,000 routers", 10.0);
        Ok(())
    }

    /// SPIE's question and answer, for each packet and router on its way; the collector's own work and the look-ups
    /// in the routers' logs, without a network between.
    fn inquiry(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let net = Logged::new(chance)?;
        let mut points = vec![];
        for packets in [1_u32, 4, 16, 64, MOST_ASKED] {
            let case = net.case(packets)?;
            let name = format!("spie.{packets}");
            let took = self.time(&name, || net.search(&case))?;
            points.push((f64::from(packets).ln(), took.ln()));
            if packets == 16 {
                let each = took * 1e6 / f64::from(packets) / f64::from(ASKED.1 + 1);
                let unit = "us for each packet and hop, 16 packets, map of 1,000 routers";
                self.add("spie", each, unit, "<= 100 us", each <= 100.0);
            }
        }
        self.slope("packets", &points, 1.02, "SPIE's packets asked about at once");
        Ok(())
    }

    /// PINT's decoder from first packet to path, 25 hops, 753 candidates each.
    fn pint(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let paths: Vec<_> = (0..200).map(|_| pint::Trial::new(25, chance)).collect();
        let took = self.time("pint.25", || {
            let wrong = paths.iter().filter(|trial| !black_box(trial.decodes())).count();
            ensure!(wrong == 0, "{wrong} paths wrong");
            Ok(())
        })?;
        let each = took * 1e6 / paths.len() as f64;
        self.add(
            "pint",
            each,
            "us for a path of 25 hops, from its packets",
            "<= 100 us",
            each <= 100.0,
        );
        Ok(())
    }

    /// DPM with many sources: both halves of each, every source a flow.
    fn sources(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let dpm = dpm::Dpm::new(&dpm::Params { capacity: SOURCES as usize })?;
        let mut evidence = Evidence::<dpm::Flows>::default();
        let ledger = evidence.ledgers.entry(RouterId(1)).or_default();
        let truth: BTreeSet<RouterId> = (0..SOURCES).map(|_| RouterId(chance.draw())).collect();
        for me in &truth {
            let inv = Invariant { digest: 0, flow: chance.word() };
            for draw in 0..2 {
                let hop = Hop { draw, edge: 1, ..Hop::default() };
                let mark = dpm.mark(me, &hop, &inv, dpm::Mark::unpack(0)).mark;
                dpm.observe(&hop, &inv, mark, &[], ledger);
            }
        }
        let case = case(RouterId(1));
        let took = self.time("dpm", || {
            let Ok(Step::Done(Finding::Ingress { routers })) = dpm.reconstruct(&case, &evidence)
            else {
                anyhow::bail!("no ingress")
            };
            ensure!(routers == truth, "not the sources");
            Ok(())
        })?;
        self.seconds("dpm", took, "100,000 sources, one flow each", 1.0);
        Ok(())
    }

    /// Time against attackers, and against routers of the map with as many attackers.
    fn growth(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let mut points = vec![];
        for routers in [25_000_u32, 50_000, 100_000, 200_000] {
            let map = Layers::new(10, routers / 10, chance);
            let truth = map.links(100, chance);
            let took = self.attack(&map, &truth, &format!("routers.{routers}"))?;
            points.push((f64::from(routers).ln(), took.ln()));
        }
        self.slope("routers", &points, 1.1, "AMS II, 100 links a distance, routers of the map");
        let map = Layers::new(10, ROUTERS / 10, chance);
        let mut points = vec![];
        for links in [25_u32, 50, 100, 200] {
            let truth = map.links(links, chance);
            let took = self.attack(&map, &truth, &format!("attackers.{links}"))?;
            points.push((f64::from(links).ln(), took.ln()));
        }
        self.slope("attackers", &points, 1.1, "AMS II, links at each distance");
        Ok(())
    }

    fn slope(&mut self, name: &str, points: &[(f64, f64)], goal: f64, what: &str) {
        let slope = slope(points);
        let unit = format!("log-log slope of time against {what}");
        self.add(&format!("slope.{name}"), slope, &unit, &format!("<= {goal}"), slope <= goal);
    }
}

fn edges(paths: impl IntoIterator<Item = Vec<RouterId>>) -> BTreeSet<Edge> {
    AttackGraph::from_paths(paths).edges
}

fn evidence(
    fms: &Fms,
    gateway: RouterId,
    truth: &BTreeSet<Edge>,
) -> Evidence<<Fms as Scheme>::Ledger> {
    let ledger = complete(fms, truth, 8, |mark, distance| fragments::Mark { distance, ..mark });
    Evidence { ledgers: BTreeMap::from([(gateway, ledger)]), ..Evidence::default() }
}

/// Routers that logged packets, of which the first came over paths of their own.
struct Logged {
    map: Layers,
    key: Key,
    scheme: std::sync::Arc<dyn traceback::schemes::AnyScheme>,
    routers: BTreeMap<RouterId, Box<dyn Vantage>>,
    sent: Vec<Vec<u8>>,
}

impl Logged {
    fn new(chance: &mut Chance) -> anyhow::Result<Self> {
        let map = Layers::new(ASKED.1, ASKED.0 / ASKED.1, chance);
        let (key, scheme) = (Key(chance.word(), chance.word()), entry("spie")?.build(&json!({}))?);
        let mut routers = BTreeMap::new();
        for router in map.case.map.routers() {
            let place = map.case.map.place(router.id).context("a router of the map")?;
            let setting = Setting { place, key, draws: Draws::Keyed, filter: None };
            let mut vantage = scheme.vantage(setting);
            for _ in 0..LOGGED {
                pass(&mut *vantage, router.id, &mut udp4(chance))?;
            }
            routers.insert(router.id, vantage);
        }
        let mut sent = vec![];
        for path in map.paths(MOST_ASKED, chance) {
            let packet = udp4(chance);
            for id in path {
                let vantage = routers.get_mut(&id).context("a router of the map")?;
                pass(&mut **vantage, id, &mut packet.clone())?;
            }
            sent.push(packet);
        }
        Ok(Self { map, key, scheme, routers, sent })
    }

    fn case(&self, packets: u32) -> anyhow::Result<Case> {
        let sent = self.sent.get(..packets as usize).context("packets were sent")?;
        let samples = sent.iter().map(|p| Sample { bytes: p.clone(), at: Nanos(0) }).collect();
        Ok(Case { samples, key: self.key, ..self.map.case.clone() })
    }

    fn search(&self, case: &Case) -> anyhow::Result<()> {
        let answer = |(router, query): &Question| Some(self.routers.get(router)?.answer(query));
        let mut ask =
            |asked: &[Question]| -> Vec<Option<Answer>> { asked.iter().map(answer).collect() };
        let Ok(Finding::Paths(graph)) = trace(&*self.scheme, case, &[], &mut ask).finding else {
            anyhow::bail!("no paths")
        };
        let far = graph.edges.last().map(|e| u32::from(e.distance));
        ensure!(far == Some(ASKED.1), "the farthest router is at {far:?}");
        Ok(())
    }
}

fn pass(vantage: &mut dyn Vantage, me: RouterId, bytes: &mut [u8]) -> anyhow::Result<()> {
    let mut packet = Packet::parse(bytes).ok().context("udp4 makes lawful packets")?;
    let ttl = packet.ttl();
    vantage.forward(Hop { me, ttl, ..Hop::default() }, &mut packet);
    Ok(())
}
