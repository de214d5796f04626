//! Nations with machines of their own: each has a collector, authority, policy and map of its own, hosts get of
//! the plan what their nations may know, and what is found is what the simulator finds.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod lab;
mod support;

use ashiato::hosts::HostsWorld;
use ashiato::hosts::placement::Placement;
use ashiato::plan::{Node, Plan};
use ashiato::run;
use ashiato::scenario::spec::Datapath;
use ashiato::summary::Summary;
use lab::{INTERNAL, Lab};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::{over, root, simulate, snapshot, unchanged, whole_folder};

const BORDERS: &str = include_str!("../../scenarios/borders.toml");
const REFUSAL: &str = include_str!("../../scenarios/refusal.toml");
const SCHEMES: [&str; 4] = ["none", "recorder", "ams2", "spie"];

/// Who stands for what.
const FOUR: [(&str, &str); 4] = [
    ("lab-xa", "xa-gw xa-core xa-br victim"),
    ("lab-xb", "xb-br2 xb-core xb-br1 xb-acc bot-b"),
    ("lab-xc", "xc-br xc-tr xc-acc1 xc-acc2 xc-acc3 bot-c1 bot-c2 client-c"),
    ("lab-xd", "xd-r1 xd-r2"),
];

/// One test function, because the look at the host before and after must see no other test's work.
#[test]
fn nations_with_own_machines_let_out_what_plans_say_and_leave_nothing() {
    if !root() {
        return;
    }
    let before = snapshot();
    // All collectors beside the director, then some on hosts of their own nations.
    crosses(BORDERS, 20095, &FOUR[..3], &[]);
    unchanged(&before);
    crosses(REFUSAL, 20096, &FOUR, &["lab-xa", "lab-xb", "lab-xd"]);
    unchanged(&before);
}

/// A collector runs on a host of its domain alone, and on one of them.
#[test]
fn a_collector_stands_where_its_domain_does() {
    let plan = |name: &str| support::shipped(name, &over(&[], &["spie"], 20095));
    let refused = |name: &str, hosts: &[(&str, &str, bool)]| {
        let mut text =
            "listen = \"192.0.2.1:7401\"\ntls = { ca = \"a\", cert = \"b\", key = \"c\" }\n"
                .to_owned();
        for ((host, nodes, runs), at) in hosts.iter().zip(11..) {
            let nodes: Vec<&str> = nodes.split(' ').collect();
            text += &format!(
                "[[host]]\nname = \"{host}\"\nunderlay = \"192.0.2.{at}\"\nnodes = {nodes:?}\n"
            );
            text += if *runs { "collector = 7500\n" } else { "" };
        }
        let placement: Placement = toml::from_str(&text).unwrap();
        let suits = HostsWorld::suits(&plan(name), &placement, Datapath::Afpacket);
        suits.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let [(a, of_a), (b, of_b), (c, of_c), _] = FOUR;
    let whole = [(a, of_a, true), (b, of_b, true), (c, of_c, false)];
    assert_eq!(refused("borders", &whole), "");
    let both = format!("{of_a} {of_b}");
    let mixed = [(a, both.as_str(), true), (c, of_c, false)];
    assert!(refused("borders", &mixed).contains("all its nodes must be of one domain"));
    let (first, rest) = of_a.split_once(' ').unwrap();
    let twice = [(a, first, true), ("lab-x", rest, true), (b, of_b, false), (c, of_c, false)];
    assert!(refused("borders", &twice).contains("another host has it already"));
}

/// Runs a scenario over hosts, and compares what is found, and what was handed out, with what may be.
fn crosses(text: &str, seed: u64, placed: &[(&str, &str)], desks: &[&str]) {
    let lab = Lab::open(placed, INTERNAL);
    let placement = lab.dir.join("placement.toml");
    let mut written = fs::read_to_string(&placement).unwrap();
    for host in desks {
        let name = format!("name = \"{host}\"\n");
        written = written.replace(&name, &format!("{name}collector = 7500\n"));
    }
    fs::write(placement, written).unwrap();
    let folders = placed.iter().flat_map(|(host, _)| [(*host).into(), format!("{host}-state")]);
    let folders = folders.chain(["director-state".into()]).map(|name| lab.dir.join(name));
    let watch = Watch::begin(folders.collect());
    let mut run = lab.run(text, &["--scheme", &SCHEMES.join(",")]);
    // Effects of the scenario hold recall against the plan's ceiling at every level and stage.
    assert_eq!(run.wait().unwrap().code(), Some(0), "{}", lab.logs());
    let files = watch.end();
    for (host, _) in placed {
        let here = |path: &&PathBuf| path.starts_with(lab.dir.join(format!("{host}-state")));
        let runs = files.keys().filter(here).any(|path| path.ends_with("exchange.db"));
        assert_eq!(runs, desks.contains(host), "{host}");
    }
    let summary = whole_folder(&lab.out());
    assert_eq!((summary.world.as_str(), summary.left_behind), ("hosts", Some(0)));
    let simulated = simulate(text, &over(&[], &SCHEMES, seed), &lab.dir.join("sim"));
    alike(&summary, &simulated);
    let plan: Plan = {
        let text = fs::read_to_string(lab.out().join("plan.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    for (host, nodes) in placed {
        let domain = plan.routers.iter().find(|r| nodes.starts_with(&r.name)).unwrap();
        let domain = plan.domains.iter().position(|d| d.id == domain.domain).unwrap();
        let own = |path: &Path| {
            let handed = [(*host).to_owned(), format!("{host}-state")].map(|n| lab.dir.join(n));
            let desk = Path::new(&format!("desk{domain}")).to_owned();
            handed.iter().any(|dir| path.starts_with(dir)) || path.iter().any(|part| part == desk)
        };
        holds_no_secret(&plan, domain, files.iter().filter(|(path, _)| own(path)));
    }
}

/// The same levels, paths, questions and answers.
fn alike(summary: &Summary, simulated: &Summary) {
    for (row, other) in summary.schemes.iter().zip(&simulated.schemes) {
        assert_eq!((row.levels, row.paths), (other.levels, other.paths), "{}", row.scheme);
        assert_eq!(row.stages, other.stages, "{}", row.scheme);
        let told = |row: &ashiato::summary::SchemeRow| {
            let inquiry = row.inquiry.as_ref().unwrap();
            let mut asked: Vec<_> = inquiry.asked.iter().collect();
            asked.sort_by_key(|q| (&q.domain, &q.towards));
            let asked = asked.iter().map(|q| (q.domain.clone(), q.status.clone(), q.told));
            (inquiry.ways.len(), inquiry.odd.clone(), asked.collect::<Vec<_>>())
        };
        assert_eq!(told(row), told(other), "{}", row.scheme);
    }
    assert!(summary.domains.iter().any(|domain| domain.answered > 0));
}

/// Searches files for names and addresses of routers that a domain may not know.
fn holds_no_secret<'a>(
    plan: &Plan,
    domain: usize,
    files: impl Iterator<Item = (&'a PathBuf, &'a Vec<u8>)>,
) {
    let (secret, own) = (secrets(plan, domain), &plan.domains[domain].id);
    assert!(secret.len() > 6, "{own}: {secret:?}");
    let (mut seen, mut plans) = (false, 0);
    for (path, bytes) in files {
        let text = String::from_utf8_lossy(bytes);
        for word in &secret {
            assert!(!says(&text, word), "{own}: {word} in {}", path.display());
        }
        let mine = plan.routers.iter().filter(|r| r.domain == *own);
        seen |= mine.into_iter().all(|router| says(&text, &router.id.to_string()));
        plans += usize::from(path.ends_with("plan.json"));
    }
    // The search finds what may be known, so it would find the rest.
    let sends =
        plan.flows.iter().any(|flow| plan.domain_at(plan.hosts[flow.from].router) == domain);
    assert!(seen && (plans > 0 || !sends), "{own}: {plans} plans");
}

/// Whether a text holds a word, and not only a longer one that begins or ends so.
fn says(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        !part(text[..at].chars().next_back()) && !part(text[at + word.len()..].chars().next())
    })
}

/// Names and inner addresses of routers of others that are neither next to the domain's own nor shown in packets,
/// nor told to it.
fn secrets(plan: &Plan, domain: usize) -> BTreeSet<String> {
    let cut = plan.acting(&*run::scheme(plan, 1).unwrap()).unwrap();
    let told = (domain == plan.home()).then(|| plan.told().unwrap());
    let own = |node: Node| matches!(node, Node::Router(at) if plan.domain_at(at) == domain);
    let ends = |at: usize| {
        let here = Node::Router(at);
        plan.ports(here).into_iter().map(move |link| plan.links[link].seen_from(here))
    };
    let mut secret = BTreeSet::new();
    for (at, router) in plan.routers.iter().enumerate() {
        let near = own(Node::Router(at)) || ends(at).any(|(_, far)| own(far.node));
        let known = [Some(&cut), told.as_ref()];
        let known = known.into_iter().flatten().any(|c| c.shown().index(router.id).is_some());
        if !near && !known {
            secret.extend([router.name.clone(), router.id.to_string()]);
            secret.extend(ends(at).map(|(near, _)| near.address.to_string()));
        }
    }
    secret
}

/// Reads all files of some folders as they come and go.
struct Watch {
    over: Arc<AtomicBool>,
    reader: JoinHandle<BTreeMap<PathBuf, Vec<u8>>>,
}

impl Watch {
    fn begin(folders: Vec<PathBuf>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let reader = std::thread::spawn(move || {
            let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
            while !stop.load(Ordering::Relaxed) {
                folders.iter().for_each(|folder| read(folder, &mut files));
                std::thread::sleep(Duration::from_millis(20));
            }
            files
        });
        Self { over, reader }
    }

    fn end(self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.over.store(true, Ordering::Relaxed);
        self.reader.join().unwrap()
    }
}

/// Keeps the longest state of every file.
fn read(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            read(&path, files);
        } else if meta.len() > files.get(&path).map_or(0, |bytes| bytes.len() as u64)
            && let Ok(bytes) = fs::read(&path)
        {
            files.insert(path, bytes);
        }
    }
}
