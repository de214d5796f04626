//! Domains in namespaces, each with its own collector, ask each other: what is rebuilt is what they show, and
//! nothing else leaves them.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod support;

use ashiato::netns::names;
use ashiato::plan::{Node, Plan};
use ashiato::summary::Summary;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{root, state};

const SCENARIOS: [&str; 3] = ["borders", "refusal", "handed-over"];

/// Recall is the ceiling at every level and stage, and nothing is wrong.
fn meets_its_ceilings(summary: &Summary) {
    for row in summary.schemes.iter().filter(|row| row.scheme != "none") {
        for stage in &row.stages {
            let what =
                format!("{} {} {} {}", summary.scenario, summary.world, row.scheme, stage.stage);
            let levels = [
                ("router", stage.levels.router, stage.ceiling.router),
                ("as", stage.levels.r#as, stage.ceiling.r#as),
                ("nation", stage.levels.nation, stage.ceiling.nation),
            ];
            for (word, level, ceiling) in levels {
                let recall = level.recall.unwrap_or(0.0);
                assert!((recall - ceiling).abs() < 1e-9, "{what} {word}: {recall} of {ceiling}");
                assert_eq!(level.wrong, 0, "{what} {word}");
            }
            assert_eq!(stage.levels.source.wrong, 0, "{what}");
        }
    }
}

/// Every domain's burden is measured, and times to answer by pair; what the others' answers added shows.
fn costs_are_counted_by_domain_and_pair(summary: &Summary) {
    let costs = summary.costs.as_ref().unwrap();
    assert_eq!(costs.domains.len(), summary.domains.len());
    for row in &costs.domains {
        let asked = summary.domains.iter().find(|domain| domain.id == row.id).unwrap();
        assert_eq!(row.questions, asked.requests, "{row:?}");
        assert!(row.reports > 0 && row.report_bytes > row.reports, "{row:?}");
        assert!(row.collector_cpu_s > Some(0.0) && row.agents_cpu_s > Some(0.0), "{row:?}");
        assert!(row.store_bytes > Some(row.report_bytes / 2), "{row:?}");
    }
    let asked: u64 = costs.pairs.iter().map(|pair| pair.questions).sum();
    assert_eq!(asked, costs.domains.iter().map(|row| row.questions).sum::<u64>());
    for pair in costs.pairs.iter().filter(|pair| pair.answered > 0) {
        assert!((pair.answered_s["n"] - pair.answered as f64).abs() < 0.5, "{pair:?}");
        assert!(pair.answered_s["p50"] <= pair.answered_s["max"], "{pair:?}");
    }
    let spie = summary.schemes.iter().find(|row| row.scheme == "spie").unwrap();
    let alone = spie.inquiry.as_ref().unwrap().alone.unwrap();
    assert!(alone.nation < spie.levels.nation.recall.unwrap(), "{alone:?}");
}

/// A run in namespaces, listened to where domains speak with each other.
struct Heard {
    summary: Summary,
    plan: Plan,
    /// What went over the lines between domains, decrypted, in small letters.
    text: String,
}

fn run(name: &str) -> Heard {
    let id = ulid::Ulid::new().to_string();
    let dir = state(&id);
    let (secrets, capture, out) = (dir.join("secrets"), dir.join("rid.pcapng"), dir.join("run"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../scenarios/{name}.toml"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ashiato"))
        .args(["run", "--world", "netns", "--out"])
        .arg(&out)
        .arg(file)
        .env("ASHIATO_STATE", dir.join("state"))
        .env("SSLKEYLOGFILE", &secrets)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut listener = listen(&dir.join("state"), &capture);
    let end = child.wait().unwrap();
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(listener.id()).unwrap()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    listener.wait().unwrap();
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let summary: Summary = serde_json::from_str(&read("summary.json")).unwrap();
    assert!(end.success(), "{name}: {end}: {:?}", summary.effects);
    // Who listens is a guest in the run's namespace, and is told of; with the guests gone nothing is left.
    assert_eq!(summary.left_behind, Some(2));
    let swept = Command::new(env!("CARGO_BIN_EXE_ashiato"))
        .args(["gc", "--format", "json"])
        .env("ASHIATO_STATE", dir.join("state"))
        .output()
        .unwrap();
    assert!(swept.status.success(), "{}", String::from_utf8_lossy(&swept.stderr));
    assert!(ashiato::journal::records(&dir.join("state")).0.is_empty(), "something is left");
    let plan = serde_json::from_str(&read("plan.json")).unwrap();
    let heard = Heard { summary, plan, text: decrypt(&capture, &secrets) };
    fs::remove_dir_all(dir).unwrap();
    heard
}

/// Captures in the run's control namespace, where collectors speak.
fn listen(state: &Path, capture: &Path) -> Child {
    let end = Instant::now() + Duration::from_secs(60);
    let space = loop {
        let (records, _) = ashiato::journal::records(state);
        let mut spaces = records.iter().flat_map(|r| r.namespaces.keys());
        if let Some(space) = spaces.find(|name| name.ends_with("-ctl")) {
            break names::path_of(space);
        }
        assert!(Instant::now() < end, "no run began");
        std::thread::sleep(Duration::from_millis(10));
    };
    // The name is written down before the namespace is made.
    while !space.exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Command::new("nsenter")
        .arg(format!("--net={}", space.display()))
        .args(["tshark", "-q", "-i", "lo", "-f", "tcp port 4590", "-w"])
        .arg(capture)
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn decrypt(capture: &Path, secrets: &Path) -> String {
    let keys = format!("tls.keylog_file:{}", secrets.display());
    let out = Command::new("tshark")
        .arg("-r")
        .arg(capture)
        .args(["-o", &keys, "-d", "tcp.port==4590,tls", "-q", "-z", "follow,tls,ascii,0"])
        .output()
        .unwrap();
    let first = String::from_utf8_lossy(&out.stdout).to_lowercase();
    let bodies = Command::new("tshark")
        .arg("-r")
        .arg(capture)
        .args(["-o", &keys, "-d", "tcp.port==4590,tls", "-Y", "http", "-T", "fields"])
        .args(["-e", "http.request.line", "-e", "http.response.line", "-e", "http.file_data"])
        .output()
        .unwrap();
    first + &String::from_utf8_lossy(&bodies.stdout).to_lowercase()
}

/// Names and addresses of routers that others may not know, and of their inner links.
fn secret(plan: &Plan) -> BTreeSet<String> {
    let cut = plan.told().unwrap();
    let hidden = |at: usize| {
        let own = plan.routers[at].id;
        cut.node(u32::try_from(at).unwrap()).is_none_or(|node| node.id != own)
    };
    let mut secret = BTreeSet::new();
    for (at, router) in plan.routers.iter().enumerate().filter(|(at, _)| hidden(*at)) {
        let [name, id] = [router.name.to_lowercase(), router.id.to_string()];
        secret.extend([
            format!("\"{name}\""),
            format!(">{name}<"),
            id,
            format!("{:08x}", router.id.0),
        ]);
        for link in plan.ports(Node::Router(at)) {
            let (near, _) = plan.links[link].seen_from(Node::Router(at));
            secret.insert(near.address.to_string());
        }
    }
    secret
}

#[test]
fn domains_in_namespaces_let_out_what_plans_say_and_nothing_else() {
    if !root() {
        return;
    }
    for name in SCENARIOS {
        let Heard { summary, plan, text } = run(name);
        meets_its_ceilings(&summary);
        costs_are_counted_by_domain_and_pair(&summary);
        let asked = summary.schemes.iter().filter_map(|row| row.inquiry.as_ref());
        assert!(asked.clone().any(|inquiry| !inquiry.asked.is_empty()), "{name}: nobody asked");
        assert!(asked.flat_map(|inquiry| &inquiry.odd).next().is_none(), "{name}");
        // What may be known is there, so the search below sees what is said.
        for domain in &plan.domains {
            assert!(
                text.contains(&domain.id),
                "{name}: {} bytes, none of {}",
                text.len(),
                domain.id
            );
        }
        assert!(text.contains("iodef-document"), "{name}: no document was read");
        let secret = secret(&plan);
        assert!(secret.len() > 10, "{secret:?}");
        for word in secret {
            assert!(!text.contains(&word), "{name}: {word} was let out");
        }
    }
}
