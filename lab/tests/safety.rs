//! Every guard of a run between hosts, broken on purpose in real namespaces: two hosts that share nothing but
//! an underlay and TLS, with policies that pin four signers.
//!
//! An expired lease and a killed controller are in `hosts.rs` and `netns_guard.rs`; what a host decides by
//! papers alone is in `safety_papers.rs`.
#![allow(clippy::unwrap_used, reason = "a test ends at its first surprise")]

mod lab;
mod support;

use ashiato::safety::evidence;
use ashiato::summary::{Ending, Summary};
use lab::{FIRST, Lab, TWO, done, kill};
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use support::{root, run_id, snapshot, state, unchanged};

const ROLES: [(&str, &str); 3] =
    [("director", "A. Director"), ("safety", "B. Safety"), ("nation/XA", "C. Nation")];

/// Two hosts and the people who sign for them.
struct Trial {
    lab: Lab,
    keys: PathBuf,
    runs: usize,
}

impl Trial {
    fn open() -> Self {
        let keys = state(&run_id());
        let mut policy = "contacts = [\"NOC of XA\"]\n".to_owned();
        for (role, person) in ROLES {
            let mut key = ashiato(&["manifest", "key", "--role", role, "--person", person]);
            let file = keys.join(role.replace('/', "-"));
            policy += &String::from_utf8(done(key.arg(file))).unwrap();
        }
        Self { lab: Lab::open(&TWO, &policy), keys, runs: 0 }
    }

    /// A manifest for the scenario with these overrides, signed by all.
    fn manifest(&self, set: &[&str]) -> PathBuf {
        let (lab, file) = (&self.lab, self.lab.dir.join("m.json"));
        fs::write(lab.dir.join("scenario.toml"), FIRST).unwrap();
        let mut draft = ashiato(&["manifest", "draft"]);
        draft.arg(lab.dir.join("scenario.toml")).args(set).arg("--hosts");
        done(draft.arg(lab.dir.join("placement.toml")).arg("--out").arg(&file));
        ROLES.iter().for_each(|(role, _)| self.sign(&file, role, role));
        done(ashiato(&["manifest", "verify"]).arg(&file));
        file
    }

    fn sign(&self, file: &PathBuf, role: &str, whose: &str) {
        let mut sign = ashiato(&["manifest", "sign", "--role", role]);
        done(sign.arg(file).arg("--key").arg(self.keys.join(whose.replace('/', "-"))));
    }

    /// Starts a run under a manifest.
    fn start(&mut self, manifest: Option<&PathBuf>, set: &[&str]) -> Child {
        if self.lab.out().exists() {
            let aside = self.lab.dir.join(format!("out-{}", self.runs));
            fs::rename(self.lab.out(), aside).unwrap();
        }
        self.runs += 1;
        let mut words = set.to_vec();
        if let Some(manifest) = manifest {
            words.extend(["--manifest", manifest.to_str().unwrap()]);
        }
        self.lab.run(FIRST, &words)
    }

    /// A run that must end with a code and say why.
    fn ends(&self, run: &mut Child, code: i32, why: &str) {
        let is = run.wait().unwrap().code();
        let (log, logs) = (fs::read_to_string(self.lab.dir.join("director.log")), self.lab.logs());
        assert_eq!(is, Some(code), "{why}\n{logs}");
        let summary = fs::read_to_string(self.lab.out().join("summary.json")).unwrap_or_default();
        let said = log.unwrap() + &summary;
        assert!(said.contains(why), "not said: {why}\n{logs}");
        let gone = |l: &Lab| TWO.iter().all(|(host, _)| l.record(host).is_none());
        self.lab.until("hosts remove everything", 20, gone);
        let written = |_: &Lab| TWO.iter().all(|(host, _)| self.log_of(host).exists());
        self.lab.until("evidence is written", 5, written);
        for (host, _) in TWO {
            assert!(evidence::check(&self.log_of(host)).unwrap().lines > 0);
        }
    }

    fn log_of(&self, host: &str) -> PathBuf {
        self.lab.dir.join(host).join("safety/evidence.ndjson")
    }

    fn site(&self, host: &str) -> PathBuf {
        self.lab.dir.join(host).join("site.toml")
    }

    /// The flood of the scenario under a fresh manifest, until its packets leave.
    fn flood(&mut self) -> (Child, PathBuf) {
        let manifest = self.manifest(&LONG);
        let run = self.start(Some(&manifest), &LONG);
        self.lab.flows();
        (run, manifest)
    }

    /// A command in the namespace of a node.
    fn inside(&self, host: &str, node: &str, words: &str) {
        let record = self.lab.record(host).unwrap();
        let name = record.namespaces.keys().find(|n| n.ends_with(&format!("-{node}"))).unwrap();
        let mut command = Command::new("ip");
        done(command.args(["netns", "exec", name]).args(words.split(' ')));
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.keys);
    }
}

fn ashiato(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ashiato"));
    command.args(words).stdin(Stdio::null());
    command
}

const LONG: [&str; 2] = ["--set", "traffic.flood.packets=60000"];
const SLOW: [&str; 4] =
    ["--set", "traffic.flood.rate=\"30 pkt/s\"", "--set", "traffic.flood.packets=60"];
const SHORT: [&str; 2] = ["--set", "traffic.flood.packets=400"];
/// The attacker's packets come from a reflector beside it.
const REFLECTED: [&str; 4] = [
    "--set",
    "topology.hosts=[{ id = \"victim\", router = \"a\", kind = \"victim\" }, { id = \"attacker\", router = \
     \"d\", kind = \"attacker\" }, { id = \"echo\", router = \"e\", kind = \"reflector\" }]",
    "--set",
    "traffic=[{ id = \"flood\", class = \"attack\", from = \"attacker\", through = \"echo\", to = \"victim\", \
     rate = \"500 pkt/s\", packets = 100, amplify = 4 }]",
];
/// The link from host to host loses packets.
const LOSSY: [&str; 4] =
    ["--set", "traffic.flood.packets=400", "--set", "topology.links.1.loss=20 %"];

/// One test function: each step finds the hosts as the one before left them.
#[test]
fn every_guard_between_hosts_holds() {
    if !root() {
        return;
    }
    let before = snapshot();
    let mut trial = Trial::open();
    papers_are_needed(&mut trial);
    the_first_run_is_slow(&mut trial);
    a_nonce_is_used_once(&mut trial);
    a_run_begins_slowly(&mut trial);
    reflectors_begin_slowly_too(&mut trial);
    a_site_narrows(&mut trial);
    a_scenario_may_stop_itself(&mut trial);
    anybody_may_stop(&mut trial);
    a_revocation_ends_a_run(&mut trial);
    a_gate_that_is_removed_is_missed(&mut trial);
    a_silent_victim_ends_a_run(&mut trial);
    a_leak_makes_a_run_void(&mut trial);
    drop(trial);
    unchanged(&before);
}

fn papers_are_needed(trial: &mut Trial) {
    let mut run = trial.start(None, &SHORT);
    trial.ends(&mut run, 5, "without a signed manifest");
    // One signature is missing: the director itself does not begin.
    let manifest = trial.manifest(&SHORT);
    let text = fs::read_to_string(&manifest).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["signatures"].as_array_mut().unwrap().pop();
    fs::write(&manifest, json.to_string()).unwrap();
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 5, "nobody signed as nation/XA");
    // A director who leaves a role out of the terms convinces nobody.
    json["terms"]["roles"].as_array_mut().unwrap().retain(|role| role != "safety");
    json["signatures"] = serde_json::json!([]);
    fs::write(&manifest, json.to_string()).unwrap();
    for role in ["director", "nation/XA"] {
        trial.sign(&manifest, role, role);
    }
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 5, "the terms leave out safety");
    // A signature by somebody else's key.
    let manifest = trial.manifest(&SHORT);
    trial.sign(&manifest, "safety", "nation/XA");
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 5, "the key that signed as safety is not pinned");
    // A signature that is none.
    let text = fs::read_to_string(trial.manifest(&SHORT)).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["terms"]["caps"]["packets"] = 1.into();
    fs::write(&manifest, json.to_string()).unwrap();
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 5, "is not over these terms");
}

fn the_first_run_is_slow(trial: &mut Trial) {
    let manifest = trial.manifest(&SHORT);
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 4, "over the 50 allowed");
    let manifest = trial.manifest(&SLOW);
    let mut run = trial.start(Some(&manifest), &SLOW);
    // Sixty packets are too few for the scheme: an effect is missed.
    trial.ends(&mut run, 7, "");
    let text = fs::read_to_string(trial.lab.out().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.outcome, Ending::Missed);
    assert_eq!(summary.permitted["lab-b"]["caps"]["packets_per_second"], 40);
    let verified = ashiato(&["verify"]).arg(trial.lab.out()).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

fn a_nonce_is_used_once(trial: &mut Trial) {
    let manifest = trial.manifest(&SHORT);
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 7, "");
    // Also by a daemon that was killed and starts again.
    kill(&mut trial.lab.daemons[1]);
    trial.lab.daemons[1] = trial.lab.start(1, "lab-b");
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 5, "was used here before");
}

/// The first packets must arrive before the others leave.
fn a_run_begins_slowly(trial: &mut Trial) {
    let manifest = trial.manifest(&SHORT);
    let mut run = trial.start(Some(&manifest), &SHORT);
    trial.ends(&mut run, 7, "");
    let log = fs::read_to_string(trial.lab.out().join("evidence.ndjson")).unwrap();
    // Two seconds at a hundredth of 2000 packets/s.
    assert!(log.contains("\"fields\":{\"arrived\":40,\"lost\":0,\"sent\":40}"), "{log}");
    // What a link loses because the plan says so is told, and missed by nobody.
    let manifest = trial.manifest(&LOSSY);
    let mut run = trial.start(Some(&manifest), &LOSSY);
    trial.ends(&mut run, 7, "");
    let log = fs::read_to_string(trial.lab.out().join("evidence.ndjson")).unwrap();
    let ramped = log.lines().find(|line| line.contains("\"ramped\"")).unwrap();
    let fields = &serde_json::from_str::<serde_json::Value>(ramped).unwrap()["fields"];
    let [arrived, lost] = ["arrived", "lost"].map(|key| fields[key].as_u64().unwrap());
    assert!(lost > 0 && arrived + lost == 40, "{ramped}");
    let manifest = trial.manifest(&LONG);
    let mut run = trial.start(Some(&manifest), &LONG);
    trial.lab.until("an actor starts", 60, |l| !l.roles("lab-b", "actor").is_empty());
    trial.inside("lab-b", "d", "ip link set p0 down");
    trial.ends(&mut run, 4, "packets that were sent slowly");
}

/// What sets a reflector off and what it answers are one slow beginning.
fn reflectors_begin_slowly_too(trial: &mut Trial) {
    let placement = trial.lab.dir.join("placement.toml");
    let usual = fs::read_to_string(&placement).unwrap();
    assert!(usual.contains("\"attacker\""), "{usual}");
    fs::write(&placement, usual.replace("\"attacker\"", "\"attacker\", \"echo\"")).unwrap();
    let manifest = trial.manifest(&REFLECTED);
    let mut run = trial.start(Some(&manifest), &REFLECTED);
    trial.ends(&mut run, 7, "");
    fs::write(&placement, usual).unwrap();
    let log = fs::read_to_string(trial.lab.out().join("evidence.ndjson")).unwrap();
    // Two seconds at a hundredth of 500 packets/s, and four answers to each.
    assert!(log.contains("\"fields\":{\"arrived\":50,\"lost\":0,\"sent\":50}"), "{log}");
    let summary = fs::read_to_string(trial.lab.out().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&summary).unwrap();
    assert_eq!((summary.packets.attack, summary.packets.reflected), (500, 400));
}

fn a_scenario_may_stop_itself(trial: &mut Trial) {
    for (stop, why) in [
        ("{measure=\"disk.free\",below=1e18}", "disk.free is"),
        ("{measure=\"clock.offset\",below=1e6}", "clock.offset is"),
    ] {
        let set = format!("safety.stop_if=[{stop}]");
        let set = [SHORT[0], SHORT[1], "--set", &set];
        let manifest = trial.manifest(&set);
        let mut run = trial.start(Some(&manifest), &set);
        trial.ends(&mut run, 6, why);
    }
}

/// Out-of-scope sources and destinations, by the site's own rules.
fn a_site_narrows(trial: &mut Trial) {
    let own = fs::read_to_string(trial.site("lab-b")).unwrap();
    for (rule, code, why) in [
        ("blacklist = [\"198.19.0.0/16\"]\n", 4, "from or to 198.19.232.53/32"),
        ("allow = [\"198.19.0.0/16\"]\n", 4, "from or to 198.18."),
        ("peers = [\"192.0.2.1\"]\n", 5, "is not among the peers"),
        ("hours = [\"00:00-00:00\"]\n", 5, "lets experiments send only"),
        ("caps = { packets_per_second = 1999 }\n", 4, "over the 1999 allowed"),
    ] {
        fs::write(trial.site("lab-b"), format!("{rule}{own}")).unwrap();
        let manifest = trial.manifest(&SHORT);
        let mut run = trial.start(Some(&manifest), &SHORT);
        trial.ends(&mut run, code, why);
    }
    fs::write(trial.site("lab-b"), own).unwrap();
}

fn anybody_may_stop(trial: &mut Trial) {
    for (space, who) in [(2, "lab-a"), (3, "lab-b"), (1, "director")] {
        let (mut run, _) = trial.flood();
        done(trial.lab.inside(space, &format!("{who}-state")).args(["stop"]));
        trial.ends(&mut run, 6, "stopped by `ashiato stop`");
    }
}

fn a_revocation_ends_a_run(trial: &mut Trial) {
    let (mut run, manifest) = trial.flood();
    let mut revoke = ashiato(&["manifest", "revoke", "--site"]);
    done(revoke.arg(trial.site("lab-a")).arg(&manifest));
    trial.ends(&mut run, 5, "the manifest was revoked");
    let mut run = trial.start(Some(&manifest), &LONG);
    // One host knows that it was revoked, the other that it was used.
    trial.ends(&mut run, 5, "manifest was");
}

fn a_gate_that_is_removed_is_missed(trial: &mut Trial) {
    let (mut run, _) = trial.flood();
    trial.inside("lab-b", "attacker", "tc filter del dev p0 egress");
    trial.ends(&mut run, 4, "the gate at p0 of");
}

fn a_silent_victim_ends_a_run(trial: &mut Trial) {
    let (mut run, _) = trial.flood();
    // While it speaks, the run goes on for longer than it could without.
    std::thread::sleep(Duration::from_secs(6));
    assert!(run.try_wait().unwrap().is_none(), "{}", trial.lab.logs());
    trial.inside("lab-a", "victim", "ip route del 198.18.0.0/15");
    let start = std::time::Instant::now();
    trial.ends(&mut run, 6, "the victim's beacon was not heard");
    println!("ended {:?} after the victim fell silent", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(15));
}

fn a_leak_makes_a_run_void(trial: &mut Trial) {
    let (mut run, _) = trial.flood();
    let space = trial.lab.spaces[2].clone();
    let ip = |words: &str| done(Command::new("ip").args(["-n", &space]).args(words.split(' ')));
    ip("route add 198.18.99.0/24 dev eth0");
    ip("neigh add 198.18.99.1 lladdr 02:00:00:00:00:01 dev eth0");
    let mut leak = Command::new("nsenter");
    leak.arg(format!("--net=/run/netns/{space}"));
    done(leak.args(["bash", "-c", "echo leak > /dev/udp/198.18.99.1/9 || true"]));
    trial.ends(&mut run, 8, "leak: 1 packets");
    let text = fs::read_to_string(trial.lab.out().join("summary.json")).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.outcome, Ending::Void);
    let drafts = trial.lab.dir.join("lab-a/safety/incidents");
    let draft = fs::read_dir(drafts).unwrap().next().unwrap().unwrap().path();
    let draft = fs::read_to_string(draft).unwrap();
    for what in ["NOC of XA", "host lab-a", "198.18.99.1", "Signed as safety: B. Safety"] {
        assert!(draft.contains(what), "{draft}");
    }
}
