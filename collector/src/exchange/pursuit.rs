//! Following packets from domain to domain: whom to ask next, and when to stop.
//!
//! A pure machine. It is told of answers and of time, and says which questions to put; who puts them is
//! [`super::drive`]. Questions form a tree: the root is the domain's own look at its logs, and below a
//! domain that saw packets stand those that may have handed them over. Where one of these refuses or is silent,
//! and nobody else handed the packets over, the domains beyond it are asked (RFC 6545 allows to bypass).
//!
//! Every question ends: with an answer, or at its deadline. No domain is asked twice about a packet for the same
//! neighbour, and none that the question came through, so every pursuit ends.

use super::join::{Branch, Flag, Kind};
use super::{Exhibit, Inquiry, Mode, Reply, Status, Subject};
use std::collections::{BTreeMap, BTreeSet};
use traceback::disclose::{Origin, Tlp};

/// Most questions of one pursuit.
const QUESTIONS: usize = 4_096;
/// Least time that a domain keeps for itself of what it has for an answer, in milliseconds.
const MARGIN_MS: u64 = 300;

/// Packets as domains may have handed them over, by domain and position.
pub type Handovers = BTreeMap<(String, u32), Vec<Exhibit>>;

/// What is pursued, and on which terms.
#[derive(Debug, Clone)]
pub struct Quest {
    /// The word that began it; questions get words of their own behind it.
    pub id: String,
    /// The domain that pursues.
    pub me: String,
    /// The domain that began.
    pub origin: String,
    /// What for.
    pub purpose: String,
    /// The label of questions.
    pub tlp: Tlp,
    /// Who asks whom.
    pub mode: Mode,
    /// Domains through which the question came here.
    pub visited: Vec<String>,
    /// When everything must be over.
    pub deadline_ms: u64,
    /// Time for one answer, in the star.
    pub patience_ms: u64,
    /// Whether it is an exercise.
    pub exercise: bool,
    /// Whether those next to a domain are asked although it says that packets came from inside, or not at all.
    pub verify: bool,
    /// The scheme whose logs are searched.
    pub scheme: String,
    /// The packets.
    pub packets: Vec<Exhibit>,
    /// The packets as others handed them over, where they were not what they are now: nobody else can be asked.
    pub handed: Option<Handovers>,
    /// The domain that got the packets from those asked first, where it is not this one.
    pub towards: Option<String>,
}

/// Whom one can ask.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Domains that each domain is next to.
    pub next: BTreeMap<String, Vec<String>>,
    /// Domains that can be reached.
    pub reachable: BTreeSet<String>,
}

/// A question to put.
#[derive(Debug, Clone, PartialEq)]
pub struct Errand {
    /// Under which the answer is told.
    pub node: usize,
    /// To whom.
    pub to: String,
    /// The question.
    pub inquiry: Inquiry,
}

/// A pursuit under way.
#[derive(Debug)]
pub struct Pursuit {
    quest: Quest,
    around: Around,
    nodes: Vec<Node>,
    /// Who was asked about which packet for whom.
    asked: BTreeSet<(String, String, u32)>,
    flags: Vec<Flag>,
    errands: Vec<Errand>,
}

#[derive(Debug)]
struct Node {
    domain: String,
    towards: String,
    packets: Vec<u32>,
    parent: Option<usize>,
    children: Vec<usize>,
    asked_ms: u64,
    deadline_ms: u64,
    acknowledged_ms: Option<u64>,
    answered_ms: Option<u64>,
    reply: Option<Reply>,
    bypassed: bool,
}

impl Pursuit {
    /// Begins with what the domain's own logs say.
    pub fn begin(quest: Quest, around: Around, own: Reply, now: u64) -> (Self, Vec<Errand>) {
        let root = Node {
            domain: quest.me.clone(),
            towards: String::new(),
            packets: (0..).take(quest.packets.len()).collect(),
            parent: None,
            children: vec![],
            asked_ms: now,
            deadline_ms: quest.deadline_ms,
            acknowledged_ms: None,
            answered_ms: Some(now),
            reply: Some(own),
            bypassed: true,
        };
        let nodes = vec![root];
        let (asked, flags, errands) = (BTreeSet::new(), vec![], vec![]);
        let mut pursuit = Self { quest, around, nodes, asked, flags, errands };
        pursuit.follow(0, now);
        let errands = std::mem::take(&mut pursuit.errands);
        (pursuit, errands)
    }

    /// Takes an answer; what is to be asked next.
    pub fn take(&mut self, at: usize, mut reply: Reply, now: u64) -> Vec<Errand> {
        if at >= self.nodes.len() {
            return vec![];
        }
        let shown: Vec<u32> = self.exhibits(at).into_iter().map(|(packet, _)| packet).collect();
        let node = &mut self.nodes[at];
        if !local(&mut reply, &shown, 0) {
            let what = "an answer about packets that were not asked about".into();
            self.flags.push(Flag::new(Kind::Malformed, &node.domain, None, &[], what));
        }
        let late = match node.reply.as_ref().map(|r| &r.status) {
            None => false,
            Some(Status::Silent | Status::Pending { .. }) => true,
            // Who answered once has answered.
            Some(_) => return vec![],
        };
        if late {
            let by = now.saturating_sub(node.deadline_ms);
            let what = format!("answered {by} ms after the deadline");
            self.flags.push(Flag::new(Kind::Late, &node.domain, None, &node.packets, what));
        }
        if matches!(reply.status, Status::AlreadySeen) {
            let what = "has this question already".into();
            self.flags.push(Flag::new(Kind::Loop, &node.domain, None, &node.packets, what));
        }
        node.answered_ms = Some(now);
        node.reply = Some(reply);
        self.follow(at, now);
        std::mem::take(&mut self.errands)
    }

    /// Notes that people must decide first.
    pub fn acknowledge(&mut self, at: usize, now: u64) {
        if let Some(node) = self.nodes.get_mut(at) {
            node.acknowledged_ms.get_or_insert(now);
        }
    }

    /// Ends the questions whose deadline is over; what is to be asked instead.
    pub fn expire(&mut self, now: u64) -> Vec<Errand> {
        let over = |(_, node): &(usize, &Node)| node.reply.is_none() && node.deadline_ms <= now;
        let late: Vec<usize> = self.nodes.iter().enumerate().filter(over).map(|(n, _)| n).collect();
        for at in late {
            let node = &self.nodes[at];
            let status = match node.acknowledged_ms {
                Some(_) => Status::Pending { by_ms: None },
                None => Status::Silent,
            };
            let took = now.saturating_sub(node.asked_ms);
            self.nodes[at].reply = Some(self.bare(at, status, took));
            self.follow(at, now);
        }
        std::mem::take(&mut self.errands)
    }

    /// When [`Self::expire`] has something to do next; `None` where nothing is open.
    pub fn next_deadline(&self) -> Option<u64> {
        self.nodes.iter().filter(|n| n.reply.is_none()).map(|n| n.deadline_ms).min()
    }

    /// Notes what somebody else found odd about a domain.
    pub fn flag(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    /// The domain that a question went to.
    pub fn domain(&self, at: usize) -> &str {
        self.nodes.get(at).map_or("", |n| &n.domain)
    }

    /// All that was asked and answered, as a tree, and what was odd about it.
    pub fn finish(mut self) -> (Branch, Vec<Flag>) {
        let tree = self.branch(0);
        (tree, std::mem::take(&mut self.flags))
    }

    fn branch(&mut self, at: usize) -> Branch {
        let children = std::mem::take(&mut self.nodes[at].children);
        let further: Vec<Branch> = children.into_iter().map(|child| self.branch(child)).collect();
        let silent = self.bare(at, Status::Silent, 0);
        let node = &mut self.nodes[at];
        let mut reply = node.reply.take().unwrap_or(silent);
        let told = std::mem::take(&mut reply.further);
        let told = told.into_iter().map(|reply| Branch::told(&node.domain, &node.packets, reply));
        Branch {
            towards: node.towards.clone(),
            packets: node.packets.clone(),
            asked_ms: Some(node.asked_ms),
            acknowledged_ms: node.acknowledged_ms,
            answered_ms: node.answered_ms,
            further: told.chain(further).collect(),
            reply,
        }
    }

    /// Asks those from whom packets may have come, and beyond those who do not say.
    fn follow(&mut self, at: usize, now: u64) {
        for (domain, packets) in self.candidates(at) {
            self.ask(at, &domain, &packets, now);
        }
        if let Some(parent) = self.nodes[at].parent {
            self.bypass(parent, now);
        }
        self.bypass(at, now);
    }

    /// Domains that may have handed packets over, with the packets.
    fn candidates(&mut self, at: usize) -> Vec<(String, Vec<u32>)> {
        let node = &self.nodes[at];
        let Some(reply) = &node.reply else { return vec![] };
        let around = |id: &str| self.around.next.get(id).cloned().unwrap_or_default();
        // Whoever is asked to ask on does so himself.
        let ours = at == 0 || self.quest.mode == Mode::Star;
        let mut wanted = vec![];
        match &reply.status {
            Status::Answered if ours => {
                for passage in &reply.passages {
                    let from = match &passage.origin {
                        Origin::Inside if self.quest.verify => around(&node.domain),
                        Origin::Inside => vec![],
                        Origin::Domain { id } => vec![id.clone()],
                        Origin::Unknown { maybe } if maybe.is_empty() => around(&node.domain),
                        Origin::Unknown { maybe } => maybe.clone(),
                    };
                    wanted.extend(from.into_iter().map(|id| (id, passage.packets.clone())));
                }
            }
            // Own routers without logs: the neighbours may still know.
            Status::NotSeen if at == 0 => {
                let all = around(&node.domain).into_iter();
                wanted.extend(all.map(|id| (id, node.packets.clone())));
            }
            _ => {}
        }
        wanted
    }

    fn ask(&mut self, parent: usize, to: &str, packets: &[u32], now: u64) {
        let towards = self.nodes[parent].domain.clone();
        if self.trail(parent).contains(&to) || self.quest.visited.iter().any(|id| id == to) {
            if self.names(parent, to) {
                let what = format!("says that packets came from {to}, through which they went");
                let odd = Flag::new(Kind::Loop, &towards, Some(to), packets, what);
                self.flag(odd);
            }
            return;
        }
        let mut packets: Vec<u32> =
            packets.iter().copied().filter(|p| !self.shown(parent, to, *p).is_empty()).collect();
        packets.retain(|p| self.asked.insert((to.to_owned(), towards.clone(), *p)));
        if packets.is_empty() || self.nodes.len() >= QUESTIONS {
            return;
        }
        let at = self.nodes.len();
        let deadline_ms = self.deadline(now);
        self.nodes.push(Node {
            domain: to.into(),
            towards,
            packets,
            parent: Some(parent),
            children: vec![],
            asked_ms: now,
            deadline_ms,
            acknowledged_ms: None,
            answered_ms: None,
            reply: None,
            bypassed: false,
        });
        self.nodes[parent].children.push(at);
        if self.around.reachable.contains(to) {
            let inquiry = self.inquiry(at);
            self.errands.push(Errand { node: at, to: to.into(), inquiry });
        } else {
            let why = "this domain is not among the peers".into();
            self.nodes[at].reply = Some(self.bare(at, Status::Failed { why }, 0));
            self.follow(at, now);
        }
    }

    /// Where all below a domain have said what they say: asks beyond those that said nothing.
    fn bypass(&mut self, at: usize, now: u64) {
        let children = self.nodes[at].children.clone();
        if children.iter().any(|c| self.nodes[*c].reply.is_none()) {
            return;
        }
        let seen: BTreeSet<u32> = children.iter().flat_map(|c| self.seen(*c)).collect();
        for child in children {
            let node = &self.nodes[child];
            let dumb = node.reply.as_ref().is_some_and(|r| r.status.says_nothing());
            let denies = node.reply.as_ref().is_some_and(|r| r.status == Status::NotSeen);
            if node.bypassed || !(dumb || denies && self.quest.verify) {
                continue;
            }
            let open: Vec<u32> =
                node.packets.iter().copied().filter(|p| !seen.contains(p)).collect();
            let beyond = self.around.next.get(&node.domain).cloned().unwrap_or_default();
            self.nodes[child].bypassed = true;
            for domain in beyond {
                self.ask(child, &domain, &open, now);
            }
        }
    }

    /// Packets that a domain says it saw.
    fn seen(&self, at: usize) -> Vec<u32> {
        let reply = self.nodes[at].reply.iter();
        reply.flat_map(|r| &r.passages).flat_map(|p| p.packets.iter().copied()).collect()
    }

    /// Whether a domain says outright that packets came from another.
    fn names(&self, at: usize, other: &str) -> bool {
        let node = &self.nodes[at];
        let reply = node.reply.iter().filter(|r| r.status == Status::Answered);
        let mut origins = reply.flat_map(|r| &r.passages).map(|p| &p.origin);
        origins.any(|origin| matches!(origin, Origin::Domain { id } if id == other))
    }

    fn trail(&self, mut at: usize) -> Vec<&str> {
        let mut trail = vec![self.nodes[at].domain.as_str()];
        while let Some(parent) = self.nodes[at].parent {
            at = parent;
            trail.push(&self.nodes[at].domain);
        }
        trail
    }

    fn deadline(&self, now: u64) -> u64 {
        let left = self.quest.deadline_ms.saturating_sub(now);
        match self.quest.mode {
            Mode::Star => now + left.min(self.quest.patience_ms),
            // Something must be left to hand the answer on.
            Mode::Recursive => now + left.saturating_sub(MARGIN_MS.max(left / 20)),
        }
    }

    fn inquiry(&self, at: usize) -> Inquiry {
        let (quest, node) = (&self.quest, &self.nodes[at]);
        let shown = self.exhibits(at).into_iter().map(|(_, exhibit)| exhibit.clone());
        let mut visited = quest.visited.clone();
        visited.push(quest.me.clone());
        let towards = quest.towards.as_ref().filter(|_| node.parent == Some(0));
        Inquiry {
            id: format!("{}.{at}", quest.id),
            origin: quest.origin.clone(),
            asker: quest.me.clone(),
            purpose: quest.purpose.clone(),
            tlp: quest.tlp,
            mode: quest.mode,
            visited,
            deadline_ms: node.deadline_ms,
            exercise: quest.exercise,
            subject: Subject::Packets {
                scheme: quest.scheme.clone(),
                towards: towards.unwrap_or(&node.towards).clone(),
                packets: shown.collect(),
            },
        }
    }

    /// One packet as it is shown to a domain that is asked for another: as it came from there, perhaps in several
    /// versions; not at all where that is not known.
    fn shown(&self, parent: usize, to: &str, packet: u32) -> &[Exhibit] {
        match &self.quest.handed {
            None => self.quest.packets.get(packet as usize).map_or(&[], std::slice::from_ref),
            Some(_) if parent != 0 => &[],
            Some(handed) => handed.get(&(to.to_owned(), packet)).map_or(&[], Vec::as_slice),
        }
    }

    /// What is shown in a question, each with the packet that it is.
    fn exhibits(&self, at: usize) -> Vec<(u32, &Exhibit)> {
        let node = &self.nodes[at];
        let of = |p: &u32| {
            let shown = self.shown(node.parent.unwrap_or(0), &node.domain, *p);
            shown.iter().map(|exhibit| (*p, exhibit)).collect::<Vec<_>>()
        };
        node.packets.iter().flat_map(of).collect()
    }

    fn bare(&self, at: usize, status: Status, took_ms: u64) -> Reply {
        let inquiry = format!("{}.{at}", self.quest.id);
        Reply::bare(inquiry, &self.nodes[at].domain, status, self.quest.tlp, took_ms)
    }
}

/// Lets positions of packets be those of the whole pursuit; false where some were none.
fn local(reply: &mut Reply, packets: &[u32], depth: usize) -> bool {
    let mut fit = depth < 256;
    for passage in &mut reply.passages {
        if passage.packets.is_empty() {
            // Answers of other makers do not say which packets they are about.
            passage.packets = (0..).take(packets.len()).collect();
        }
        let before = passage.packets.len();
        let place = |at: &u32| packets.get(*at as usize).copied();
        passage.packets = passage.packets.iter().filter_map(place).collect();
        fit &= passage.packets.len() == before;
        passage.packets.dedup();
    }
    reply.passages.retain(|passage| !passage.packets.is_empty());
    if depth >= 256 {
        reply.further.clear();
    }
    for further in &mut reply.further {
        fit &= local(further, packets, depth + 1);
    }
    fit
}

#[cfg(test)]
#[path = "pursuit_tests.rs"]
mod tests;
