//! Following packets from domain to domain: whom to ask next, and when to stop.
//!
//! A pure machine. It is told of answers and of time, and says which questions to put; who puts them is
//! [`super::drive`]. Questions form a tree: the root is the domain's own look at its logs, and below a
//! domain that saw packets stand those that may have handed them over. Where one of these refuses or is silent,
//! and nobody else handed the packets over, the domains beyond it are asked (RFC 6545 allows to bypass).
//!
//! Every question ends: with an answer, or at its deadline. No domain is asked twice about a packet for the same
//! neighbour, and none that the question came through, so every pursuit ends.

mod follow;
mod question;

use super::join::{Branch, Flag, Kind};
use super::{Exhibit, Inquiry, Mode, Reply, Status};
use std::collections::{BTreeMap, BTreeSet};
use traceback::disclose::Tlp;

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
