use super::*;
use crate::exchange::{Justification, Passage, Subject};
use traceback::disclose::Origin;

/// A world of domains, each with what it would say; the machine is driven by hand.
struct World {
    next: BTreeMap<String, Vec<String>>,
    says: BTreeMap<String, Status>,
    /// Where each packet came from, domain by domain, the victim's first.
    paths: Vec<Vec<&'static str>>,
}

fn quest(mode: Mode, packets: usize) -> Quest {
    Quest {
        id: "q".into(),
        me: "a".into(),
        origin: "a".into(),
        purpose: "traceback".into(),
        tlp: Tlp::Amber,
        mode,
        visited: vec![],
        deadline_ms: 10_000,
        patience_ms: 1_000,
        exercise: false,
        verify: false,
        scheme: "spie".into(),
        packets: vec![Exhibit { bytes: vec![], at_unix_ns: 0, gate: None }; packets],
        handed: None,
        towards: None,
    }
}

impl World {
    fn new(links: &[(&str, &str)], paths: Vec<Vec<&'static str>>) -> Self {
        let mut next: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (a, b) in links {
            next.entry((*a).into()).or_default().push((*b).into());
            next.entry((*b).into()).or_default().push((*a).into());
        }
        Self { next, says: BTreeMap::new(), paths }
    }

    fn around(&self) -> Around {
        Around { next: self.next.clone(), reachable: self.next.keys().cloned().collect() }
    }

    /// What a domain honestly saw of these packets on their way to `towards`.
    fn look(&self, domain: &str, towards: &str, packets: &[u32]) -> Reply {
        let mut passages = vec![];
        for (at, packet) in packets.iter().zip(0..) {
            let path = &self.paths[*at as usize];
            let Some(place) = path.iter().position(|d| *d == domain) else { continue };
            if place > 0 && path[place - 1] != towards {
                continue;
            }
            let maybe: Vec<String> =
                self.next[domain].iter().filter(|n| *n != towards).cloned().collect();
            let origin = if maybe.is_empty() { Origin::Inside } else { Origin::Unknown { maybe } };
            passages.push(Passage { packets: vec![packet], hops: vec![], origin });
        }
        let seen = if passages.is_empty() { Status::NotSeen } else { Status::Answered };
        let status = self.says.get(domain).cloned().unwrap_or(seen);
        if status != Status::Answered {
            passages.clear();
        }
        Reply { passages, ..Reply::bare("q".into(), domain, status, Tlp::Amber, 1) }
    }

    fn run(&self, quest: Quest) -> (Branch, Vec<Flag>, usize) {
        let all: Vec<u32> = (0..).take(self.paths.len()).collect();
        let own = self.look("a", "", &all);
        let (mut pursuit, mut errands) = Pursuit::begin(quest, self.around(), own, 0);
        let (mut now, mut asked) = (0, 0);
        loop {
            while let Some(errand) = errands.pop() {
                asked += 1;
                let Subject::Packets { towards, .. } = &errand.inquiry.subject else { panic!() };
                let packets = pursuit.nodes[errand.node].packets.clone();
                let reply = self.look(&errand.to, towards, &packets);
                if reply.status != Status::Silent {
                    errands.extend(pursuit.take(errand.node, reply, now));
                }
            }
            let Some(deadline) = pursuit.next_deadline() else { break };
            assert!(deadline > now || now == 0);
            now = deadline;
            errands = pursuit.expire(now);
        }
        let (tree, flags) = pursuit.finish();
        (tree, flags, asked)
    }
}

fn domains(tree: &Branch) -> Vec<(Vec<String>, Origin)> {
    let (ways, odd) = tree.ways();
    assert_eq!(odd.len(), 0, "{odd:?}");
    let names = |s: &[super::super::join::Stretch]| {
        s.iter()
            .map(|s| if s.told { s.domain.clone() } else { format!("({})", s.domain) })
            .collect()
    };
    ways.iter().map(|w| (names(&w.stretches), w.origin.clone())).collect()
}

fn refused() -> Status {
    Status::Refused { justification: Justification::Other, why: String::new() }
}

#[test]
fn a_star_follows_every_packet_to_its_source() {
    let links = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("d", "e")];
    let world = World::new(&links, vec![vec!["a", "b", "d", "e"], vec!["a", "c"], vec!["a"]]);
    let (tree, flags, _) = world.run(quest(Mode::Star, 3));
    assert_eq!(flags, []);
    let ways = domains(&tree);
    assert_eq!(ways.len(), 3);
    assert!(ways.contains(&(["e", "d", "b", "a"].map(String::from).to_vec(), Origin::Inside)));
    assert!(ways.contains(&(["c", "a"].map(String::from).to_vec(), Origin::Inside)));
    assert!(ways.contains(&(vec!["a".into()], Origin::Inside)));
}

#[test]
fn a_refusal_is_bypassed_and_the_path_is_valid_without() {
    let links = [("a", "b"), ("b", "c"), ("c", "d")];
    let mut world = World::new(&links, vec![vec!["a", "b", "c", "d"]]);
    for status in [refused(), Status::Silent, Status::Failed { why: String::new() }] {
        world.says.insert("b".into(), status);
        let (tree, _, _) = world.run(quest(Mode::Star, 1));
        let way = (["d", "c", "(b)", "a"].map(String::from).to_vec(), Origin::Inside);
        assert_eq!(domains(&tree), [way]);
    }
    // Where nobody beyond it saw anything, it stays open whether packets came from inside it.
    world.paths = vec![vec!["a", "b"]];
    let (tree, _, _) = world.run(quest(Mode::Star, 1));
    let open = Origin::Unknown { maybe: vec!["b".into()] };
    assert_eq!(domains(&tree), [(vec!["a".into()], open)]);
}

#[test]
fn lies_are_said() {
    let world = World::new(&[("a", "b"), ("b", "c")], vec![vec!["a", "b", "c"]]);
    let tell = |origin| {
        let passages = vec![Passage { packets: vec![0], hops: vec![], origin }];
        Reply { passages, ..Reply::bare("q".into(), "b", Status::Answered, Tlp::Amber, 1) }
    };
    let own = world.look("a", "", &[0]);
    // It says "inside", and its neighbour that it handed the packet over.
    let quest = Quest { verify: true, ..quest(Mode::Star, 1) };
    let (mut pursuit, errands) = Pursuit::begin(quest.clone(), world.around(), own.clone(), 0);
    let next = pursuit.take(errands[0].node, tell(Origin::Inside), 1);
    assert_eq!(next[0].to, "c");
    pursuit.take(next[0].node, world.look("c", "b", &[0]), 2);
    let (_, odd) = pursuit.finish().0.ways();
    assert!(odd.iter().any(|f| f.domain == "b" && f.kind == Kind::Contradiction), "{odd:?}");
    // It says that it came from somebody who did not see it.
    let (mut pursuit, errands) = Pursuit::begin(quest.clone(), world.around(), own.clone(), 0);
    let next = pursuit.take(errands[0].node, tell(Origin::Domain { id: "c".into() }), 1);
    let denial = Reply::bare("q".into(), "c", Status::NotSeen, Tlp::Amber, 1);
    pursuit.take(next[0].node, denial, 2);
    let (_, odd) = pursuit.finish().0.ways();
    assert!(odd.iter().any(|f| f.other.as_deref() == Some("c")), "{odd:?}");
    // It says that it came from where it went, and of packets that it was not asked about.
    let (mut pursuit, errands) = Pursuit::begin(quest, world.around(), own, 0);
    let mut reply = tell(Origin::Domain { id: "a".into() });
    reply.passages[0].packets.push(7);
    assert_eq!(pursuit.take(errands[0].node, reply, 1), []);
    let kinds: BTreeSet<Kind> = pursuit.finish().1.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [Kind::Loop, Kind::Malformed].into());
}

#[test]
fn a_late_answer_is_taken_and_said() {
    let world = World::new(&[("a", "b"), ("b", "c")], vec![vec!["a", "b"]]);
    let own = world.look("a", "", &[0]);
    let (mut pursuit, errands) = Pursuit::begin(quest(Mode::Star, 1), world.around(), own, 0);
    let beyond = pursuit.expire(1_000);
    assert_eq!((beyond.len(), beyond[0].to.as_str()), (1, "c"));
    pursuit.take(errands[0].node, world.look("b", "a", &[0]), 1_200);
    pursuit.take(beyond[0].node, world.look("c", "b", &[0]), 1_300);
    let (tree, flags) = pursuit.finish();
    assert_eq!(flags.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Late]);
    assert!(flags[0].what.contains("200 ms"));
    assert_eq!(domains(&tree), [(vec!["b".into(), "a".into()], Origin::Inside)]);
}

#[test]
fn a_hundred_domains_in_circles_end() {
    // A torus of ten by ten, where everybody hands on to everybody.
    let name = |x: usize, y: usize| if (x, y) == (0, 0) { "a".into() } else { format!("d{x}-{y}") };
    let mut links = vec![];
    for x in 0..10 {
        for y in 0..10 {
            links.push((name(x, y), name((x + 1) % 10, y)));
            links.push((name(x, y), name(x, (y + 1) % 10)));
        }
    }
    let links: Vec<(&str, &str)> = links.iter().map(|(a, b)| (&**a, &**b)).collect();
    for status in [refused(), Status::NotSeen, Status::Silent] {
        let mut world = World::new(&links, vec![vec!["a"]]);
        for domain in world.next.keys().filter(|d| *d != "a") {
            world.says.insert(domain.clone(), status.clone());
        }
        let (tree, _, asked) = world.run(Quest { deadline_ms: 1_000_000, ..quest(Mode::Star, 1) });
        assert!(asked <= 400, "{asked}");
        assert_eq!(tree.ways().0.len(), 1);
    }
}
