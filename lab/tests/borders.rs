//! Domains that do not show their routers: what is found is what is shown, and nothing else can be learned from
//! what their routers write.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::{Ceiling, Plan};
use ashiato::resolve;
use ashiato::run;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::summary::SchemeRow;
use ashiato::world::World;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use traceback::RouterId;
use traceback::case::Step;
use traceback::graph::Finding;
use traceback::schemes::{Answers, SCHEMES};
use traceback::vantage::{Draws, Setting};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"))
}

fn plan(name: &str, set: &[&str], scheme: &str) -> Result<Plan, String> {
    let mut set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    // Messages are rare: at most one for a thousand packets.
    let more = if scheme == "itrace" { ", p = 0.001, intention = true" } else { "" };
    set.push(format!("scheme=[{{ id = \"{scheme}\"{more} }}]"));
    let loaded = scenario::load(&file(name), &Overrides { set, ..Overrides::default() });
    loaded.and_then(|s| resolve::plan(&s)).map_err(|report| report.to_string())
}

fn simulate(plan: Plan) -> SchemeRow {
    let plan = Arc::new(plan);
    let mut measured = run::measure(&plan, &mut Sim::new(plan.clone())).unwrap();
    assert!(measured.void.is_empty(), "{:?}", measured.void);
    measured.rows.remove(0)
}

/// Every level of every stage: as much as the ceiling says, and nothing wrong.
fn is_exact(row: &SchemeRow, what: &str) {
    for stage in &row.stages {
        let (l, c) = (stage.levels, stage.ceiling);
        for (level, best, name) in
            [(l.router, c.router, "router"), (l.r#as, c.r#as, "as"), (l.nation, c.nation, "nation")]
        {
            let id = format!(
                "{what} {} {} {name}: {level:?} {best} {:?}",
                row.scheme, stage.stage, row.gap
            );
            assert!((level.recall.unwrap() - best).abs() < 1e-12, "{id}");
            assert_eq!(level.wrong, 0, "{id}");
        }
        assert_eq!((l.edge.wrong, l.source.wrong), (0, 0), "{what} {}", row.scheme);
    }
}

/// Schemes that a plan with hidden routers takes, by scenario; the rest is refused with a reason.
fn fitting(name: &str, set: &[&str]) -> (Vec<(&'static str, Plan)>, Vec<String>) {
    let (mut fit, mut unfit) = (vec![], vec![]);
    for entry in SCHEMES {
        let id = entry.card().id;
        let own: &[&str] = match id {
            "ioam" | "dex" | "fms6" => &["ip=v6", "traffic.flood.packets=9000"],
            "itrace" => &["traffic.flood.packets=20000"],
            // It tells one path, and no two that join.
            "node" => continue,
            _ => &[],
        };
        match plan(name, &[set, own].concat(), id) {
            Ok(plan) => fit.push((id, plan)),
            Err(why) => unfit.push(format!("{id}: {why}")),
        }
    }
    (fit, unfit)
}

/// Schemes that no scenario with silent routers can use: they number hops by the TTL, need the first router,
/// or look up in logs what marks say.
const UNFIT: [&str; 7] = ["algebraic", "hit", "riht", "mrt", "huffman", "pint", "fit"];

#[test]
fn every_scheme_finds_all_that_is_shown_and_nothing_else() {
    for (name, set) in [
        ("borders", &[][..]),
        ("refusal", &[]),
        ("borders", &["domain.xb.marks=hash"]),
        ("refusal", &["domain.xb.marks=nation"]),
    ] {
        let (fit, unfit) = fitting(name, set);
        let named: Vec<&str> = unfit.iter().filter_map(|why| why.split(':').next()).collect();
        // Systems and nations have a first router; who shows its border only has none for some packets.
        let opens = name == "borders" && !set.is_empty();
        let known: Vec<&str> =
            UNFIT.into_iter().filter(|id| !opens || *id != "algebraic").collect();
        assert!(
            named.iter().all(|id| known.contains(id)) && named.len() == known.len(),
            "{unfit:?}"
        );
        assert!(unfit.iter().all(|why| why.contains("cannot be used where")), "{unfit:?}");
        for (_, plan) in fit {
            is_exact(&simulate(plan), &format!("{name} {set:?}"));
        }
    }
}

#[test]
fn answers_add_what_domains_tell() {
    let best = |router, r#as, nation| Ceiling { router, r#as, nation };
    let ceilings = |name, set: &[&str]| {
        let plan = plan(name, set, "spie").unwrap();
        let scheme = &plan.schemes[0];
        let marks = scheme.marks_ceiling.unwrap();
        assert_eq!(marks, best(0.0, 0.0, 0.0));
        scheme.ceiling
    };
    // XA's three routers and two of XB at its border; its access system stays hidden.
    assert_eq!(ceilings("borders", &[]), best(5.0 / 11.0, 5.0 / 6.0, 1.0));
    let open = ["domain.xb.answers=router", "domain.xc.answers=router"];
    assert_eq!(ceilings("borders", &open), best(1.0, 1.0, 1.0));
    // XD tells nothing; XC, asked beyond it, tells of its one router at the border.
    assert_eq!(ceilings("refusal", &[]), best(6.0 / 13.0, 4.0 / 7.0, 3.0 / 4.0));
    let hash = plan("borders", &["domain.xb.marks=hash"], "ams2").unwrap();
    let (scheme, marks) = (&hash.schemes[0], hash.schemes[0].marks_ceiling.unwrap());
    assert!(marks.router < scheme.ceiling.router && marks.nation < scheme.ceiling.nation);
}

/// Schemes that mark and log by turns: every domain shows the one before it the packet as that one handed it over.
#[test]
fn packets_that_change_are_followed_from_domain_to_domain() {
    let schemes = ["spie", "hit", "riht", "mrt", "huffman"];
    for set in [&[][..], &["domain.xc.answers=router"], &["domain.xb.answers=none"]] {
        for id in schemes {
            let plan = plan("handed-over", set, id).unwrap();
            let beyond = plan.schemes[0].ceiling.nation;
            // Only SPIE's packets are what they were, so that XC can be asked past XB, which says nothing.
            let past = if id == "spie" { 2.0 / 3.0 } else { 1.0 / 3.0 };
            let refused = set.iter().any(|key| key.ends_with("none"));
            assert!((beyond - if refused { past } else { 1.0 }).abs() < 1e-12, "{set:?} {id}");
            is_exact(&simulate(plan), &format!("handed-over {set:?}"));
        }
    }
    let star = plan("handed-over", &["exchange.mode=star"], "riht").unwrap_err();
    assert!(star.contains("its packets change on their way"), "{star}");
    assert!(plan("handed-over", &["exchange.mode=star"], "spie").is_ok());
}

/// The same in a real kernel, under every datapath.
#[test]
fn kernels_write_no_more_than_is_shown() {
    if !support::root() {
        return;
    }
    for (datapath, schemes) in [
        (Datapath::Afpacket, &["recorder", "ams2", "pi", "spie"][..]),
        (Datapath::Tc, &["recorder", "edge", "asem", "dpm"]),
        (Datapath::Xdp, &["recorder", "fms"]),
    ] {
        let set = ["traffic.flood.rate=4 kpkt/s"];
        let mut whole = plan("borders", &set, "none").unwrap();
        let turns = schemes.iter().map(|id| plan("borders", &set, id).unwrap());
        let turns: Vec<Plan> = turns.collect();
        whole.room = turns.iter().find_map(|plan| plan.room);
        for (flow, like) in whole.flows.iter_mut().zip(&turns[0].flows) {
            flow.size = like.size;
        }
        whole.schemes = turns.iter().flat_map(|plan| plan.schemes.clone()).collect();
        alike(&whole, datapath);
    }
}

/// Both worlds mark every packet alike and find the same.
fn alike(plan: &Plan, datapath: Datapath) {
    let id = support::run_id();
    let dir = support::state(&id);
    let paths = RunPaths { id, dir: dir.clone(), datapath };
    let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
    let mut sim = Sim::new(Arc::new(plan.clone()));
    for turn in 0..plan.schemes.len() {
        let name = &plan.schemes[turn].id;
        let (ours, theirs) = (netns.traffic(turn).unwrap(), sim.traffic(turn).unwrap());
        let [mine, other] = [&ours, &theirs].map(|traffic| {
            let mut frames: Vec<Vec<u8>> = traffic.tape.iter().map(|a| a.bytes).collect();
            frames.retain(|bytes| {
                let packet = traceback::packet::Packet::parse(&bytes[..]).ok();
                packet.and_then(|p| ashiato::traffic::tag(plan.key.0, &p)).is_some()
            });
            frames.sort();
            frames
        });
        assert!(mine == other, "{datapath:?} {name}: frames differ");
        let [ours, theirs] = [ours, theirs].map(|t| run::case::build(plan, turn, &t.tape).unwrap());
        let ours = netns.reconstruct(turn, &ours).unwrap();
        let theirs = sim.reconstruct(turn, &theirs).unwrap();
        assert_eq!(ours.finding, theirs.finding, "{datapath:?} {name}");
    }
    assert_eq!(netns.remove().unwrap(), 0);
    std::fs::remove_dir_all(dir).unwrap();
}

/// A policy in a file of its own, beside the scenario.
#[test]
fn policies_are_read_from_beside_the_scenario() {
    let text = std::fs::read_to_string(file("refusal")).unwrap();
    let plan = |key: &str| {
        let text = text.replace("marks = \"as\"\nanswers = \"border\"\n", key);
        let name = file("x").display().to_string();
        let planned = scenario::parse(&name, &text, &Overrides::default())
            .and_then(|scenario| resolve::plan(&scenario));
        planned.map_err(|report| report.to_string())
    };
    let read = plan("policy = \"policies/xc.policy.toml\"").unwrap();
    let short = plan("marks = \"as\"\nanswers = \"border\"").unwrap();
    assert_eq!(read.policy(2).rules[0].id, "xa-traceback");
    let ceilings = |plan: &Plan| -> Vec<_> {
        plan.schemes.iter().map(|s| (s.ceiling, s.marks_ceiling)).collect()
    };
    assert_eq!(ceilings(&read), ceilings(&short));
    let said = |key: &str| plan(key).unwrap_err();
    assert!(said("policy = \"policies/none.toml\"").contains("No such file"));
    assert!(said("policy = \"../Cargo.toml\"").contains("a policy lies beside the scenario"));
    let twice = "policy = \"policies/xc.policy.toml\"\nmarks = \"as\"";
    assert!(said(twice).contains("\"marks\" and \"policy\" say the same thing twice"));
    assert!(said("refuses = true\nanswers = \"as\"").contains("a domain that refuses"));
    assert!(said("disclose = { time = \"7w\" }").contains("is no span of time"));
    assert!(said("marks = \"boarder\"").contains("did you mean \"border\"?"));
}

/// What arrives at the victim in the turn of a plan's only scheme.
fn arriving(plan: &Plan) -> Vec<Vec<u8>> {
    let mut sim = Sim::new(Arc::new(plan.clone()));
    sim.traffic(0).unwrap().tape.iter().map(|arrival| arrival.bytes).collect()
}

/// The same plan, where every router that its domain does not show has another name, and where it shows no
/// systems either, another system.
fn renamed(plan: &Plan) -> Plan {
    let mut other = plan.clone();
    let cut = plan.acting(&*run::scheme(plan, 0).unwrap()).unwrap();
    for router in &mut other.routers {
        let own = cut.shown().index(router.id).is_some();
        if !own {
            router.id = RouterId(router.id.0 ^ 0x0055_5500);
        }
    }
    other
}

/// A name that nobody writes cannot change what arrives: with other names for all routers that are not shown,
/// every frame is the same to the last bit. Where routers are shown, the same names change frames.
#[test]
fn frames_do_not_depend_on_names_that_are_not_shown() {
    let open: &[&str] = &["domain.xb.marks=router", "domain.xc.disclose.granularity=router"];
    let mut told_apart = 0;
    for (id, hidden) in fitting("borders", &[]).0 {
        let frames = arriving(&hidden);
        assert!(!frames.is_empty() && frames == arriving(&renamed(&hidden)), "{id}");
        // The control: the names of the same routers, which now are shown.
        let other = renamed(&hidden);
        let mut shown = plan("borders", open, id).unwrap();
        if hidden.room.is_some_and(|room| room.trace_nodes > 0) {
            continue; // It writes positions in the map, which stay.
        }
        let frames = arriving(&shown);
        shown.routers.iter_mut().zip(&other.routers).for_each(|(r, o)| r.id = o.id);
        told_apart += usize::from(frames != arriving(&shown));
    }
    assert!(told_apart >= 15, "only {told_apart} schemes write names of routers");
}

/// Who has the whole map, and decodes the marks as they arrive, names nobody who is not shown.
#[test]
fn the_whole_map_tells_nobody_more_than_what_is_shown() {
    let open: &[&str] = &["domain.xb.marks=router", "domain.xc.disclose.granularity=router"];
    for id in ["fms", "ams1", "ams2", "amswide", "edge", "node", "rnl", "recorder", "dpm"] {
        let hidden = plan("borders", &[], id).unwrap();
        let cut = hidden.acting(&*run::scheme(&hidden, 0).unwrap()).unwrap();
        let secret = |r: &RouterId| cut.shown().index(*r).is_none();
        let learned: Vec<RouterId> = decoded(&hidden).into_iter().filter(secret).collect();
        // Positions in another map mean others.
        if !matches!(id, "recorder" | "edge") {
            assert_eq!(learned, [], "{id}");
        }
        let shown = plan("borders", open, id).unwrap();
        assert!(decoded(&shown).iter().any(secret), "{id}: the control learns nothing");
    }
}

/// Routers that a decoder with the whole map reads in frames, from the gateway and from each router shown:
/// gaps in what is shown end a walk over the whole map.
fn decoded(plan: &Plan) -> Vec<RouterId> {
    let scheme = run::scheme(plan, 0).unwrap();
    let traffic = Sim::new(Arc::new(plan.clone())).traffic(0).unwrap();
    let mut case = run::case::build(plan, 0, &traffic.tape).unwrap();
    (case.map, case.gateway) = (plan.map().unwrap(), plan.gateway());
    let place = case.map.place(case.gateway).unwrap();
    let filter = Some(case.filter);
    let mut observer =
        scheme.vantage(Setting { place, key: plan.key, draws: Draws::Keyed, filter });
    for arrival in traffic.tape.iter() {
        let packet = traceback::packet::Packet::parse(&arrival.bytes[..]).unwrap();
        observer.see(arrival.at, &packet);
    }
    let ledger = observer.cut().unwrap();
    let found = scheme.reconstruct(&case, &[(case.gateway, &ledger)], &Answers::new());
    match found {
        Ok(Step::Done(Finding::Paths(graph))) => graph.routers().into_iter().map(|r| r.0).collect(),
        Ok(Step::Done(Finding::Ingress { routers })) => routers.into_iter().collect(),
        _ => vec![],
    }
}
