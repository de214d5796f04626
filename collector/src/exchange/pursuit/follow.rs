//! Whom to ask next: those from whom packets may have come, and those beyond who says nothing.

use super::{Errand, Node, Pursuit};
use crate::exchange::join::{Flag, Kind};
use crate::exchange::{Mode, Status};
use std::collections::BTreeSet;
use traceback::disclose::Origin;

/// Most questions of one pursuit.
const QUESTIONS: usize = 4_096;

impl Pursuit {
    /// Asks those from whom packets may have come, and beyond those who do not say.
    pub(super) fn follow(&mut self, at: usize, now: u64) {
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
}
