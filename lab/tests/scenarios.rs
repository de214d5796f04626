//! Scenario files: the shipped ones plan, always to the same bytes; bad ones say where and what.

use ashiato::plan::Plan;
use ashiato::resolve::{self, expect, pages};
use ashiato::scenario::{self, Overrides, Report, Scenario};
use ashiato::{cli, traffic};
use std::collections::BTreeSet;
use std::path::Path;
use traceback::packet::Packet;

const FIRST: &str = include_str!("../../scenarios/first.toml");

fn planned(text: &str, overrides: &Overrides) -> Result<Plan, Report> {
    scenario::parse("x.toml", text, overrides).and_then(|s| resolve::plan(&s))
}

fn shipped() -> impl Iterator<Item = (&'static str, Plan)> {
    cli::new::SHIPPED.iter().map(|(name, text)| {
        let plan = planned(text, &Overrides::default());
        (*name, plan.unwrap_or_else(|report| panic!("{name}: {report}")))
    })
}

#[test]
fn shipped_scenarios_plan_to_the_same_bytes_twice() {
    for (name, text) in cli::new::SHIPPED {
        let plan = || planned(text, &Overrides::default()).unwrap().to_json();
        assert_eq!(plan(), plan(), "{name}");
        let other = Overrides { seed: Some(7), ..Overrides::default() };
        assert_ne!(plan(), planned(text, &other).unwrap().to_json(), "{name}");
    }
}

#[test]
fn all_shipped_files_are_known_to_new() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let files = std::fs::read_dir(folder).unwrap().filter_map(|f| {
        let name = f.unwrap().file_name().into_string().unwrap();
        name.strip_suffix(".toml").map(str::to_owned)
    });
    let known: BTreeSet<_> = cli::new::SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), known);
}

#[test]
fn plans_say_what_worlds_rely_on() {
    for (name, plan) in shipped() {
        assert!(plan.map().is_ok(), "{name}");
        for (i, flow) in plan.flows.iter().enumerate() {
            assert_eq!(flow.id as usize, i, "{name}");
            assert_eq!(flow.path.first(), Some(&plan.hosts[flow.from].router), "{name}");
            assert_eq!(flow.path.last(), Some(&plan.hosts[flow.to].router), "{name}");
            if plan.spread.is_none() {
                follows(&plan, flow.to, &flow.path);
            }
            let mut bytes = vec![];
            traffic::build(&mut bytes, &plan, flow, 0);
            assert_eq!(bytes.len(), usize::from(flow.size), "{name}");
            let packet = Packet::parse(bytes.as_slice()).unwrap();
            let matches = plan.case.filter.matches(&packet);
            // Shipped honest traffic is no noise; every attack is one that the case is about.
            assert_eq!(matches, plan.is_traced(flow), "{name} flow {i}");
        }
        let wrong: f64 = plan.schemes.iter().filter_map(|s| s.expected_false_routers).sum();
        assert!(wrong < pages::WANTED_FALSE_ROUTERS, "{name}: {wrong}");
        for law in expect::expectations(&plan) {
            assert!(1.0 - law.enough < 1e-6, "{name}: {law:?}");
        }
    }
}

/// Checks that routers' own tables lead along the path.
fn follows(plan: &Plan, to: usize, path: &[usize]) {
    let address = plan.hosts[to].address;
    for (here, next) in path.iter().zip(path[1..].iter().map(Some).chain([None])) {
        let fib = plan.fib(*here);
        let hop = fib.lookup(address).expect("a route");
        let port = &plan.router_ports(*here)[usize::from(hop.port)];
        assert_eq!(port.far.neighbour, next.map(|n| plan.routers[*n].id));
    }
}

#[test]
fn three_nations_has_what_its_head_promises() {
    let (_, plan) = shipped().find(|(name, _)| *name == "three-nations").unwrap();
    let asns: BTreeSet<_> = plan.routers.iter().map(|r| r.asn).collect();
    assert!(plan.domains.len() == 3 && asns.len() >= 6 && plan.routers.len() >= 12);
    let paths: BTreeSet<_> = plan.attacks().map(|f| f.path.clone()).collect();
    let sources: BTreeSet<_> = plan.attacks().map(|f| format!("{:?}", f.source)).collect();
    assert_eq!((paths.len(), sources.len()), (4, 4));
    // All as long, so that the twin's packets cannot be told apart by their TTL.
    assert!(paths.iter().all(|p| p.len() == 6));
    let (_, twin) = shipped().find(|(name, _)| *name == "three-nations-per-packet").unwrap();
    // The twin has no reflector.
    assert!(plan.links.starts_with(&twin.links));
}

#[test]
fn the_command_line_goes_over_the_file() {
    let over = |set: &[&str], schemes: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        planned(FIRST, &Overrides { set: own(set), seed: None, schemes: own(schemes) })
    };
    let sets = ["traffic.flood.packets=7", "traffic.0.rate=1 pkt/s", "scheme.fms.p=0.5"];
    let plan = over(&sets, &[]).unwrap();
    assert_eq!((plan.flows[0].packets, plan.flows[0].gap.0), (7, 1_000_000_000));
    assert_eq!(plan.schemes[0].params["p"], 0.5);
    let plan = over(&["agents.process_per_router=true"], &["spie", "fms"]).unwrap();
    let ids: Vec<_> = plan.schemes.iter().map(|s| s.id.as_str()).collect();
    assert_eq!((ids, plan.process_per_router), (vec!["spie", "fms"], true));
    // The file's parameters stay with a scheme that is chosen again.
    assert_eq!(plan.schemes[1].params["p"], 0.04);
    let no = |set: &[&str]| over(set, &[]).unwrap_err().to_string();
    assert_eq!(
        no(&["traffic.floood.packets=7"]),
        "--set traffic.floood.packets=7: the list has no element \"floood\"\n = did you mean \"flood\"?"
    );
    assert_eq!(
        no(&["seed=many"]),
        "--set seed=many: \"seed\" must be a whole number, not a text\n = Number that every choice of the plan is drawn from."
    );
    assert!(no(&["seed"]).contains("no \"=\" in an override"));
    assert!(no(&["name.x=1"]).contains("no key \"x\" below a plain value"));
}

#[test]
fn long_paths_keep_records_in_the_payload() {
    let routers: Vec<_> = (0..25).map(|i| format!("{{ id = \"r{i}\" }}")).collect();
    let links: Vec<_> =
        (1..25).map(|i| format!("{{ a = \"r{}\", b = \"r{i}\" }}", i - 1)).collect();
    let start = FIRST.find("routers =").unwrap();
    let end = FIRST.find("hosts =").unwrap();
    let line = format!("routers = [{}]\nlinks = [{}]\n", routers.join(", "), links.join(", "));
    let text = format!("{}{line}{}", &FIRST[..start], &FIRST[end..])
        .replace("router = \"a\"", "router = \"r0\"")
        .replace("router = \"d\"", "router = \"r24\"");
    let recorder = Overrides { schemes: vec!["recorder".into()], ..Overrides::default() };
    let plan = planned(&text, &recorder).unwrap();
    let room = plan.room.unwrap();
    assert_eq!((room.kind, room.records), (ashiato::plan::RoomKind::Payload, 25));
    let short = Overrides { set: vec!["traffic.flood.ttl=25".into()], ..Overrides::default() };
    let report = planned(&text, &short).unwrap_err().to_string();
    assert!(report.contains("a TTL of 25 ends on the way of 25 routers\n = use at least 26"));
}

#[test]
fn undeployed_routers_lower_the_ceiling() {
    let set = |set: &str| Overrides { set: vec![set.to_owned()], ..Overrides::default() };
    let deployed = "topology.routers.c.deployed=false";
    let plan = planned(FIRST, &set(deployed)).unwrap();
    assert!((plan.schemes[0].ceiling.router - 0.75).abs() < 1e-12);
    // Nobody asks beyond a router that does not answer.
    let spie = Overrides { schemes: vec!["spie".into()], ..set(deployed) };
    let plan = planned(FIRST, &spie).unwrap();
    assert!((plan.schemes[0].ceiling.router - 0.5).abs() < 1e-12);
    assert!((plan.schemes[0].ceiling.nation - 1.0).abs() < 1e-12);
}

#[test]
fn published_schemas_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema");
    let plan = schemars::schema_for!(Plan).to_value();
    for (name, schema) in [("scenario", scenario::schema()), ("plan", plan)] {
        let file = folder.join(format!("{name}.schema.json"));
        let fresh = format!("{schema:#}\n");
        if std::env::var_os("LAB_BLESS").is_some() {
            std::fs::write(&file, &fresh).unwrap();
        }
        let published = std::fs::read_to_string(&file).unwrap();
        assert!(published == fresh, "{name}: run make golden and review the diff");
    }
}

#[test]
fn shipped_files_and_plans_obey_the_published_schemas() {
    let scenarios = jsonschema::validator_for(&scenario::schema()).unwrap();
    let plans = schemars::schema_for!(Plan).to_value();
    let plans = jsonschema::validator_for(&plans).unwrap();
    for (name, text) in cli::new::SHIPPED {
        let value: toml::Table = text.parse().unwrap();
        let value = serde_json::to_value(value).unwrap();
        assert!(scenarios.is_valid(&value), "{name}");
        let plan: Scenario = scenario::parse(name, text, &Overrides::default()).unwrap();
        let plan = serde_json::to_value(resolve::plan(&plan).unwrap()).unwrap();
        assert!(plans.is_valid(&plan), "{name}");
    }
}

#[test]
fn calm_scenarios_have_no_troubles_and_hostile_ones_say_theirs() {
    for (name, text) in cli::new::SHIPPED {
        let scenario = scenario::parse(name, text, &Overrides::default()).unwrap();
        let hostile = resolve::plan(&scenario).unwrap().troubles();
        let calm = resolve::plan(&scenario.calm()).unwrap().troubles();
        assert!(calm.is_empty(), "{name}: {calm:?}");
        if name.starts_with(cli::harms::HOSTILE) {
            assert!(!hostile.is_empty(), "{name}");
        } else {
            // One shipped scenario has a router without an agent, one a reflector.
            let usual = |t: &String| t.contains("take no part") || t.contains("reflectors");
            assert!(hostile.iter().all(usual), "{name}: {hostile:?}");
        }
    }
}

#[test]
fn deployment_follows_its_order_and_its_share() {
    let set = |share: &str, order: &str| {
        let set = vec![format!("deployment.share={share}"), format!("deployment.order={order}")];
        let plan = planned(FIRST, &Overrides { set, ..Overrides::default() }).unwrap();
        let with = plan.routers.iter().filter(|r| r.deployed).map(|r| r.name.clone());
        with.collect::<Vec<_>>().join("")
    };
    assert_eq!(set("100 %", "degree"), "abcde");
    assert_eq!(set("20 %", "degree"), "c");
    assert_eq!(set("40 %", "edge"), "ad");
    assert_eq!(set("40 %", "listed"), "ab");
    assert_eq!((set("60 %", "random").len(), set("0 %", "random").as_str()), (3, ""));
}

#[test]
fn ways_are_those_that_packets_take() {
    let (_, plan) = shipped().find(|(name, _)| *name == "x-multipath").unwrap();
    let flood = &plan.flows[0];
    assert_eq!(flood.ways.len(), 2);
    assert_eq!(flood.ways.iter().map(|w| w.packets).sum::<u64>(), flood.packets);
    assert!(flood.ways.iter().all(|w| w.packets > 2800), "{:?}", flood.ways);
    let (_, plan) = shipped().find(|(name, _)| *name == "x-route-change").unwrap();
    // 700 ms at 4 kpkt/s.
    let packets: Vec<_> = plan.flows[0].ways.iter().map(|w| w.packets).collect();
    assert_eq!(packets, [2800, 3200]);
    assert!(plan.flows[1].ways.is_empty());
}

#[test]
fn impossible_adversaries_are_refused() {
    let said = |sets: &[&str]| {
        let set = sets.iter().map(|s| (*s).to_owned()).collect();
        planned(FIRST, &Overrides { set, ..Overrides::default() }).unwrap_err().to_string()
    };
    for (sets, why) in [
        (&["traffic.flood.imitates=[\"z\"]"][..], "there is no router \"z\""),
        (&["traffic.flood.imitates=[\"a\"]", "traffic.flood.mark_value=1"], "two forged marks"),
        (&["traffic.flood.mark=random", "traffic.flood.mark_value=1"], "two forged marks"),
        (&["traffic.flood.ttl_spread=64"], "leave no host"),
        (&["traffic.flood.ttl_spread=61"], "a TTL of 3 ends on the way of 4 routers"),
        (&["traffic.flood.senders=2"], "2 of 1 senders"),
        (
            &["traffic.flood.class=legit", "traffic.flood.mark_value=1"],
            "honest traffic forges no mark",
        ),
        (&["topology.routers.c.poses_as=c"], "poses as itself"),
        (&["topology.routers.c.conduct=lazy"], "\"conduct\" cannot be \"lazy\""),
        (&["topology.links.0.loss=100 %"], "leaves no packet"),
        (&["topology.links.0.loss=0.1"], "\"loss\": the unit is missing"),
        (&["deployment.share=101 %"], "more than there are"),
        (&["change=[{ at = \"1 s\", a = \"a\", b = \"e\" }]"], "no link joins \"a\" and \"e\""),
        (&["change=[{ at = \"0 s\", a = \"a\", b = \"b\" }]"], "a change after 0 ns"),
        (&["change=[{ at = \"1 s\", a = \"a\", b = \"b\" }]"], "cannot be reached"),
        (&["routing.multipath=flow", "topology.routers.c.nat=true"], "do not go with"),
        (&["routing.multipath=flow", "traffic.flood.packets=1000001"], "too many to plan"),
    ] {
        let said = said(sets);
        assert!(said.contains(why), "{sets:?}: {said}");
    }
}
