//! Domains ask each other in the simulator as in namespaces: as a star or on and on, and with people who agree,
//! deny or keep silent after a time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use ashiato::netns::{NetnsWorld, RunPaths};
use ashiato::plan::Plan;
use ashiato::resolve;
use ashiato::run;
use ashiato::scenario::spec::Datapath;
use ashiato::scenario::{self, Overrides};
use ashiato::sim::Sim;
use ashiato::world::World;
use ashiato_collector::exchange::{Asked, Joined, Mode, Status};
use std::path::Path;
use std::sync::Arc;
use traceback::case::Gap;
use traceback::graph::Finding;

fn plan(set: &[&str]) -> Result<Plan, String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/borders.toml");
    let usual = ["scheme=[{ id = \"spie\" }]", "traffic.flood.packets=300"];
    let set = usual.iter().chain(set).map(|s| (*s).to_owned()).collect();
    let loaded = scenario::load(&file, &Overrides { set, ..Overrides::default() });
    loaded.and_then(|s| resolve::plan(&s)).map_err(|report| report.to_string())
}

/// What a world finds, and what was asked.
fn asked(plan: &Plan, world: &mut dyn World) -> (Result<Finding, Gap>, Joined) {
    let traffic = world.traffic(0).unwrap();
    let case = run::case::build(plan, 0, &traffic.tape).unwrap();
    let outcome = world.reconstruct(0, &case).unwrap();
    (outcome.finding, outcome.joined.unwrap())
}

fn simulated(plan: &Plan) -> (Result<Finding, Gap>, Joined) {
    asked(plan, &mut Sim::new(Arc::new(plan.clone())))
}

fn of<'j>(joined: &'j Joined, domain: &str) -> &'j Asked {
    joined.asked.iter().find(|asked| asked.domain == domain).unwrap()
}

/// XB's people are asked, and do so.
fn people(says: &str) -> Vec<String> {
    let keys = ["approval=one-person".into(), format!("decides={says}"), "after=700 ms".into()];
    let path = |key: &String| format!("domain.xb.poc.{key}");
    keys.iter().map(path).chain(["exchange.within=4 s".into()]).collect()
}

#[test]
fn people_are_heard_when_they_have_decided() {
    let joined = |says: &str| {
        let set = people(says);
        simulated(&plan(&set.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()).1
    };
    let agreed = joined("agree");
    let xb = of(&agreed, "xb");
    assert_eq!((xb.acknowledged_ms, xb.answered_ms), (Some(0), Some(700)));
    assert_eq!(xb.status, Status::Answered);
    // XC is asked when XB has named it.
    assert_eq!((of(&agreed, "xc").asked_ms, agreed.ended_ms), (Some(700), 700));
    let denied = joined("deny");
    assert!(matches!(&of(&denied, "xb").status, Status::Refused { why, .. } if why.contains("no")));
    let silent = joined("silent");
    let xb = of(&silent, "xb");
    assert_eq!((xb.status.clone(), xb.answered_ms), (Status::Pending { by_ms: None }, None));
    assert_eq!(of(&silent, "xc").asked_ms, Some(4_000));
    assert!(agreed.ways.len() > denied.ways.len() || agreed.ways != denied.ways);
    for (key, why) in [("decides=deny", "nobody asks"), ("after=1 s", "nobody asks")] {
        assert!(plan(&[&format!("domain.xb.poc.{key}")]).unwrap_err().contains(why), "{key}");
    }
}

/// Where every domain asks the next, the first one hears of all from its neighbour alone.
#[test]
fn simulated_domains_ask_on() {
    let (star, recursive) = (plan(&[]).unwrap(), plan(&["exchange.mode=recursive"]).unwrap());
    let ((found, star), (also, on)) = (simulated(&star), simulated(&recursive));
    assert_eq!((star.mode, on.mode), (Mode::Star, Mode::Recursive));
    assert!(found.is_ok() && found == also);
    let own = |joined: &Joined| joined.asked.iter().filter(|a| a.asked_ms.is_some()).count();
    assert_eq!((own(&star), own(&on)), (2, 1), "{:?}", on.asked);
    assert_eq!((of(&on, "xc").asked_ms, &of(&on, "xc").status), (None, &Status::Answered));
}

#[test]
fn namespaces_ask_as_the_simulator_does() {
    if !support::root() {
        return;
    }
    let cases = ["agree", "deny", "silent"].map(people);
    let on = cases.clone().map(|set| [set, vec!["exchange.mode=recursive".into()]].concat());
    for set in cases.iter().chain(&on) {
        let plan = plan(&set.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let id = support::run_id();
        let dir = support::state(&id);
        let paths = RunPaths { id, dir: dir.clone(), datapath: Datapath::Afpacket };
        let mut netns = NetnsWorld::up(plan.clone(), paths, &|_| {}).unwrap();
        let (real, simulated) = (asked(&plan, &mut netns), simulated(&plan));
        assert_eq!(netns.remove().unwrap(), 0);
        std::fs::remove_dir_all(dir).unwrap();
        assert_eq!(real.0, simulated.0, "{set:?}");
        let told = |joined: &Joined| {
            let row = |a: &Asked| (a.domain.clone(), a.towards.clone(), a.told, a.packets.clone());
            let mut rows: Vec<_> = joined.asked.iter().map(row).collect();
            rows.sort();
            rows
        };
        assert_eq!(told(&real.1), told(&simulated.1), "{set:?}");
        for asked in &real.1.asked {
            let other = of(&simulated.1, &asked.domain);
            let kind = std::mem::discriminant;
            assert_eq!(kind(&asked.status), kind(&other.status), "{set:?} {asked:?} {other:?}");
            let took = |a: &Asked| a.answered_ms.zip(a.asked_ms).map(|(to, from)| to - from);
            if let (Some(real), Some(simulated)) = (took(asked), took(other)) {
                // Nobody answers before people have decided.
                assert!(real >= simulated, "{set:?} {}: {real} ms, {simulated} ms", asked.domain);
            }
        }
    }
}

/// What nobody spoofs is found where it claims to be, and what is spoofed is found all the same.
#[test]
fn findings_say_what_they_are_good_for() {
    let set = ["scheme=[{ id = \"none\" }, { id = \"recorder\" }, { id = \"spie\" }]".to_owned()];
    let over = Overrides { set: set.to_vec(), ..Overrides::default() };
    let plan = support::shipped("three-nations", &over);
    let measured = run::measure(&plan, &mut Sim::new(Arc::new(plan.clone()))).unwrap();
    let [none, found @ ..] = &measured.rows[..] else { panic!("no rows") };
    assert_eq!([none.reached.source, none.reached.ingress, none.reached.partial], [Some(0.0); 3]);
    for row in found {
        let reached = [row.reached.source, row.reached.ingress, row.reached.partial];
        assert_eq!(reached, [Some(1.0); 3], "{}", row.scheme);
        assert!(row.nations.iter().all(|n| n.traced == n.sources), "{:?}", row.nations);
        let claimed = |nation: &str| {
            let of = row.nations.iter().filter(|n| (n.nation == "-") == (nation == "-"));
            of.map(|n| n.claimed).sum::<u64>()
        };
        // All attackers write addresses that nobody has, but reflectors their own; what sets these off never comes.
        let (reflected, triggers) = (row.packets.reflected, row.packets.reflected / 4);
        let forged = row.packets.attack - reflected - triggers;
        assert!(reflected > 0);
        assert_eq!((claimed("-"), claimed("any")), (forged, reflected), "{:?}", row.nations);
        // One bot of the three is found by its own flood; none by what it had a reflector send.
        assert_eq!(row.reached.origin, Some(1.0));
        assert!(row.nations.iter().filter(|n| n.sources > 0).count() > 1);
    }
}
