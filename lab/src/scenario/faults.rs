//! Checks faults: each says one thing, names what there is, and no two befall one thing at once.

use super::check::{known, suit};
use super::links::{LONGEST_DELAY, RATES};
use super::problems::Problems;
use super::spec::{Cut, Fault, Multipath, Spec};
use super::streams::LONGEST_STREAM;
use crate::plan::Conduct;
use crate::units::Quantity;
use std::collections::BTreeMap;

/// Faults in one scenario, at most.
const MOST: usize = 32;
/// Latest answer of a slow point of contact in nanoseconds: the collector waits five seconds for each.
const LATEST: u64 = 30_000_000_000;
/// Largest step of a clock in nanoseconds.
const LARGEST_STEP: u64 = 3_600_000_000_000;

/// All of them.
pub(super) fn check(spec: &Spec, problems: &mut Problems<'_>) {
    let mut seen = BTreeMap::new();
    for (i, fault) in spec.fault.iter().enumerate() {
        let path = format!("fault.{i}");
        suit(&fault.id, &format!("{path}.id"), problems);
        if seen.insert(&fault.id, i).is_some() {
            let what = format!("\"{}\" is used twice", fault.id);
            problems.add(format!("{path}.id"), what, "give every fault a word of its own");
        }
        Check { spec, fault, path }.all(problems);
    }
    if spec.fault.len() > MOST {
        let what = format!("{} faults", spec.fault.len());
        problems.add("fault", what, format!("{MOST} at most"));
    }
    overlaps(spec, problems);
}

struct Check<'s> {
    spec: &'s Spec,
    fault: &'s Fault,
    path: String,
}

impl Check<'_> {
    fn all(&self, problems: &mut Problems<'_>) {
        let Fault { link, kill, cut, clock, disk_full, slow, .. } = self.fault;
        let line = matches!(cut, Some(Cut::Line(_)));
        let kinds = [link.is_some(), kill.is_some(), line, clock.is_some(), disk_full.is_some()];
        let count = kinds.iter().filter(|k| **k).count() + usize::from(slow.is_some());
        if count != 1 {
            let what = format!("\"{}\" says {count} things that fail", self.fault.id);
            let mend = "give one of link, kill, cut = \"collector\", clock, disk_full and slow";
            return problems.add(&self.path, what, mend);
        }
        self.times(problems);
        self.strays(problems);
        match &link {
            Some(link) => self.link(link, problems),
            None if line => self.line(problems),
            None => self.other(problems),
        }
    }

    fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    fn times(&self, problems: &mut Problems<'_>) {
        let Fault { at, lasts, .. } = self.fault;
        if at.nanos().0 as f64 / 1e9 > LONGEST_STREAM {
            let what = format!("a fault after {at}");
            problems.add(self.at("at"), what, format!("{LONGEST_STREAM} s at most"));
        }
        if let Some(lasts) = lasts {
            let seconds = lasts.nanos().0 as f64 / 1e9;
            if !(seconds > 0.0 && seconds <= LONGEST_STREAM) {
                let mend = format!("above 0 and up to {LONGEST_STREAM} s");
                problems.add(self.at("for"), format!("a fault of {lasts}"), mend);
            }
        }
        let fault = self.fault;
        let must_end = fault.disk_full.is_some() || matches!(fault.cut, Some(Cut::Line(_)));
        if must_end && lasts.is_none() {
            let what = format!("\"{}\" never ends", fault.id);
            problems.add(&self.path, what, "add for: reports must arrive afterwards");
        }
        if lasts.is_some() && (fault.clock.is_some() || fault.slow.is_some()) {
            let what = "a clock that was put stays so, and questions come when all traffic is over";
            problems.add(self.at("for"), what, "leave for out: it holds to the end of the turn");
        }
        if fault.slow.is_some() && at.amount() > 0 {
            let mend = "leave at out: it holds for all questions";
            problems.add(self.at("at"), "questions come when all traffic is over", mend);
        }
    }

    /// Keys that belong to another kind of fault.
    fn strays(&self, problems: &mut Problems<'_>) {
        let f = self.fault;
        let line = matches!(f.cut, Some(Cut::Line(_)));
        let of_links = [
            ("loss", f.loss.is_some()),
            ("delay", f.delay.is_some()),
            ("rate", f.rate.is_some()),
            ("reroute", f.reroute.is_some()),
            ("cut", matches!(f.cut, Some(Cut::Link(_)))),
        ];
        let of_lines = [("domain", f.domain.is_some()), ("router", f.router.is_some())];
        let of_links = of_links.iter().filter(|_| f.link.is_none());
        let of_lines = of_lines.iter().filter(|_| !line);
        for (key, _) in of_links.chain(of_lines).filter(|(_, given)| *given) {
            let what = format!("\"{key}\" does not belong to this kind of fault");
            let mend = "loss, delay, rate, cut = true and reroute are of a link; domain and router \
                        of cut = \"collector\"";
            problems.add(self.at(key), what, mend);
        }
    }

    fn link(&self, nodes: &[String], problems: &mut Problems<'_>) {
        let fault = self.fault;
        if !self.spec.is_link(nodes) {
            let what = format!("no link joins \"{}\"", nodes.join("\" and \""));
            problems.add(self.at("link"), what, "name the two nodes of a link");
        }
        let cut = fault.cut == Some(Cut::Link(true));
        let said = [cut, fault.loss.is_some(), fault.delay.is_some(), fault.rate.is_some()];
        if said.iter().filter(|s| **s).count() != 1 || fault.cut == Some(Cut::Link(false)) {
            let mend = "give one of cut = true, loss, delay and rate; two faults are two tables";
            problems.add(&self.path, format!("what \"{}\" does to its link", fault.id), mend);
        }
        if let Some(loss) = fault.loss.filter(|l| l.part() >= 1.0) {
            problems.add(self.at("loss"), format!("a loss of {loss}"), "write cut = true");
        }
        if let Some(delay) = fault.delay.filter(|d| d.amount() > LONGEST_DELAY) {
            problems.add(self.at("delay"), format!("a delay of {delay}"), "1 min at most");
        }
        if let Some(rate) = fault.rate.filter(|r| r.amount() < *RATES.start()) {
            problems.add(self.at("rate"), format!("a rate of {rate}"), "8 kbit/s at least");
        }
        if fault.reroute == Some(true) {
            self.reroute(nodes, cut, problems);
        }
    }

    fn reroute(&self, nodes: &[String], cut: bool, problems: &mut Problems<'_>) {
        let routers = &self.spec.topology.routers;
        let inner = nodes.iter().all(|n| routers.iter().any(|r| r.id == *n));
        if !cut || !inner || self.fault.at.amount() == 0 {
            let what = "routers take other ways where a link between two of them is cut, after 0 s";
            problems.add(self.at("reroute"), what, "leave it out");
        }
        if self.spec.routing.multipath != Multipath::First {
            let what = "several ways at once do not go with changes of routes";
            problems.add(self.at("reroute"), what, "make two scenarios: their truths would mix");
        }
    }

    fn line(&self, problems: &mut Problems<'_>) {
        let fault = self.fault;
        if let Some(Cut::Line(what)) = &fault.cut
            && what != "collector"
        {
            let what = format!("\"{what}\" cannot be cut");
            problems.add(self.at("cut"), what, "write cut = \"collector\", or true with link");
        }
        if let (Some(_), Some(_)) = (&fault.domain, &fault.router) {
            problems.add(&self.path, "a domain and a router", "give one of them, or none for all");
        }
        if let Some(domain) = &fault.domain {
            self.domain(domain, "domain", problems);
        }
        if let Some(router) = &fault.router {
            self.agent(router, "router", problems);
        }
    }

    fn other(&self, problems: &mut Problems<'_>) {
        let fault = self.fault;
        if let Some(router) = &fault.kill {
            self.agent(router, "kill", problems);
        }
        if let Some(clock) = &fault.clock {
            self.agent(&clock.agent, "clock.agent", problems);
            if clock.step.nanos() == 0 || clock.step.nanos().unsigned_abs() > LARGEST_STEP {
                let what = format!("a step of {}", clock.step);
                problems.add(self.at("clock.step"), what, "above 0 and up to an hour, either way");
            }
        }
        if let Some(whose) = fault.disk_full.as_ref().filter(|w| *w != "collector") {
            let what = format!("the disk of \"{whose}\" cannot be filled");
            problems.add(self.at("disk_full"), what, "write disk_full = \"collector\"");
        }
        if let Some(slow) = &fault.slow {
            self.domain(&slow.domain, "slow.domain", problems);
            if slow.delay.amount() > LATEST {
                let what = format!("answers after {}", slow.delay);
                problems.add(self.at("slow.delay"), what, "30 s at most: the collector waits 5 s");
            }
        }
    }

    fn domain(&self, domain: &str, key: &str, problems: &mut Problems<'_>) {
        let domains: Vec<_> = self.spec.domain.iter().map(|d| d.id.as_str()).collect();
        known(domain, &domains, self.at(key), "domain", problems);
    }

    /// A router whose agent is an honest one of its own.
    fn agent(&self, router: &str, key: &str, problems: &mut Problems<'_>) {
        let routers = &self.spec.topology.routers;
        let words: Vec<_> = routers.iter().map(|r| r.id.as_str()).collect();
        known(router, &words, self.at(key), "router", problems);
        let honest = |r: &super::spec::Router| {
            r.deployed && r.conduct == Conduct::Honest && r.poses_as.is_none()
        };
        if routers.iter().any(|r| r.id == router && !honest(r)) {
            let what = format!("router \"{router}\" has no honest agent");
            problems.add(self.at(key), what, "name one that is deployed and does what it should");
        }
    }
}

/// Two faults at once must not befall one thing: nobody could say which of them holds.
fn overlaps(spec: &Spec, problems: &mut Problems<'_>) {
    let end = |f: &Fault| f.lasts.map_or(u64::MAX, |l| f.at.amount().saturating_add(l.amount()));
    for (i, fault) in spec.fault.iter().enumerate() {
        let together =
            |other: &&Fault| other.at.amount() <= end(fault) && fault.at.amount() <= end(other);
        let same = |other: &&Fault| targets(fault).iter().any(|t| targets(other).contains(t));
        if let Some(other) = spec.fault[..i].iter().find(|f| together(f) && same(f)) {
            let what = format!("\"{}\" and \"{}\" befall one thing at once", other.id, fault.id);
            let mend = "let one end before the other begins; without for, it lasts to the end";
            problems.add(format!("fault.{i}"), what, mend);
        }
    }
}

/// What a fault befalls, in words that are equal for equal things.
fn targets(fault: &Fault) -> Vec<String> {
    let mut targets = vec![];
    if let Some(link) = &fault.link {
        let mut nodes = link.clone();
        nodes.sort();
        targets.push(format!("link {}", nodes.join(" ")));
    }
    let agents = fault.kill.iter().chain(&fault.router);
    targets.extend(agents.map(|r| format!("agent {r}")));
    targets.extend(fault.clock.iter().map(|c| format!("agent {}", c.agent)));
    targets.extend(fault.slow.iter().map(|s| format!("answers of {}", s.domain)));
    if fault.disk_full.is_some() || matches!(fault.cut, Some(Cut::Line(_))) {
        targets.push("collector".into());
    }
    targets
}

impl Spec {
    /// Whether these are the two ends of a link: two routers, or a host and its router.
    pub(crate) fn is_link(&self, nodes: &[String]) -> bool {
        let [a, b] = nodes else { return false };
        let routers = self.topology.links.iter().map(|l| (&l.a, &l.b));
        let hosts = self.topology.hosts.iter().map(|h| (&h.router, &h.id));
        routers.chain(hosts).any(|pair| pair == (a, b) || pair == (b, a))
    }
}
