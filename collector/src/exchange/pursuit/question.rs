//! Questions as they are put: what is shown to whom, and how long there is for an answer.

use super::Pursuit;
use crate::exchange::{Exhibit, Inquiry, Mode, Subject};

/// Least time that a domain keeps for itself of what it has for an answer, in milliseconds.
const MARGIN_MS: u64 = 300;

impl Pursuit {
    pub(super) fn deadline(&self, now: u64) -> u64 {
        let left = self.quest.deadline_ms.saturating_sub(now);
        match self.quest.mode {
            Mode::Star => now + left.min(self.quest.patience_ms),
            // Something must be left to hand the answer on.
            Mode::Recursive => now + left.saturating_sub(MARGIN_MS.max(left / 20)),
        }
    }

    pub(super) fn inquiry(&self, at: usize) -> Inquiry {
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
    pub(super) fn shown(&self, parent: usize, to: &str, packet: u32) -> &[Exhibit] {
        match &self.quest.handed {
            None => self.quest.packets.get(packet as usize).map_or(&[], std::slice::from_ref),
            Some(_) if parent != 0 => &[],
            Some(handed) => handed.get(&(to.to_owned(), packet)).map_or(&[], Vec::as_slice),
        }
    }

    /// What is shown in a question, each with the packet that it is.
    pub(super) fn exhibits(&self, at: usize) -> Vec<(u32, &Exhibit)> {
        let node = &self.nodes[at];
        let of = |p: &u32| {
            let shown = self.shown(node.parent.unwrap_or(0), &node.domain, *p);
            shown.iter().map(|exhibit| (*p, exhibit)).collect::<Vec<_>>()
        };
        node.packets.iter().flat_map(of).collect()
    }
}
