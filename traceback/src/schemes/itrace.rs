//! ICMP traceback (iTrace), and its intention-driven form: routers tell an end of a packet's way about it.
//!
//! Idea: with a small probability a router that forwards a packet sends a message to the packet's source or
//! destination: the links by which it came and went, the time, the packet, and a code under a key that is
//! disclosed later. The victim puts links together. Nothing is written into packets; the price is traffic.
//! A network under attack may ask for messages: then a router waits with each for a packet to such a network.
//!
//! Paper: Bellovin, Leech, Taylor, "ICMP Traceback Messages", draft-ietf-itrace-04, 2003; Mankin, Massey, Wu, Wu,
//! Zhang, "On Design and Evaluation of Intention-Driven ICMP Traceback", ICCCN 2001.
//!
//! Bits: none in packets; `itrace/message.rs` draws the message, `itrace/keys.rs` its keys.
//!
//! Departs: links are named by routers' identities, in the address pair and in the association string alike;
//! for a host stands 0. Times count from the run's zero. Disclosures are signed with the run's key. The
//! operators' keys of epochs that are over when the case is closed are published to the collector, so that the
//! last messages of a run need no later one. No message is sent about a message or a fragment, nor to an
//! address outside the testbed. The intention bit stands in the parameters, not in a routing protocol.
//!
//! Cost: a draw for each packet; for one in 20,000, two hashes of half a kilobyte and a packet.

pub mod keys;
pub mod message;
#[cfg(test)]
mod tests;

use super::verbatim::{self, Verbatim};
use crate::case::{Answer, Case, Evidence, Gap, Query, Step};
use crate::graph::{AttackGraph, Edge, Finding};
use crate::invariant::Invariant;
use crate::ledger::{BadBytes, Ledger};
use crate::packet::Packet;
use crate::scheme::{
    About, BadParams, Card, End, Hop, Keeper, Marked, Names, Nanos, Place, RouterId, Scheme,
    probability,
};
use crate::slot::Slot;
use keys::Keys;
use message::Message;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// iTrace at work.
#[derive(Debug, Clone)]
pub struct ITrace {
    threshold: u64,
    inverse: u32,
    epoch: Nanos,
    params: Params,
}

/// What a scenario may set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Probability of a message about a packet; at most 1/1000.
    pub p: f64,
    /// Length of the epoch of one key, in milliseconds.
    pub key_ms: u64,
    /// Old keys that each message discloses.
    pub disclosed: u8,
    /// Whether messages wait for packets to destinations that want them.
    pub intention: bool,
    /// Those destinations; the victim where a scenario names none.
    pub wanted: Vec<IpAddr>,
    /// Different messages that the ledger holds; more are counted as lost.
    pub max_messages: usize,
}

impl Default for Params {
    /// Source: draft-ietf-itrace-04 section 3.1; the keys' epoch is ours.
    fn default() -> Self {
        Self {
            p: 1.0 / 20_000.0,
            key_ms: 1_000,
            disclosed: 2,
            intention: false,
            wanted: vec![],
            max_messages: verbatim::USUAL / 16,
        }
    }
}

/// Messages as they arrived; at a router, those that it owes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    messages: Verbatim,
    /// Messages that wait for a packet that is wanted. Never leaves the router.
    owed: u32,
}

/// Keys of [`Ledger::cell`]: to owe one message more; to pay one, if one is owed.
const OWE: u64 = 0;
const PAY: u64 = 1;

impl Ledger for Heard {
    fn merge(&mut self, other: &Self) {
        self.messages.merge(&other.messages);
    }
    fn encode(&self, out: &mut Vec<u8>) {
        self.messages.encode(out);
    }
    fn decode(bytes: &[u8]) -> Result<Self, BadBytes> {
        Ok(Self { messages: Verbatim::decode(bytes)?, owed: 0 })
    }
    fn footprint(&self) -> usize {
        self.messages.footprint()
    }
    fn lost(&self) -> u64 {
        self.messages.lost()
    }
    fn cell(&mut self, key: u64, _: Nanos) -> u32 {
        let before = self.owed;
        self.owed = if key == OWE { before.saturating_add(1) } else { before.saturating_sub(1) };
        u32::from(key == PAY && before > 0)
    }
    fn answer(&self, query: &Query) -> Answer {
        Answer { values: vec![None; query.keys.len()] }
    }
}

impl Scheme for ITrace {
    const CARD: Card = Card {
        id: "itrace",
        title: "ICMP traceback (iTrace), plain or intention-driven",
        paper: "Bellovin, Leech, Taylor, draft-ietf-itrace-04, 2003; Mankin et al., ICCCN 2001",
        v4: Slot::None,
        v6: Slot::None,
        records: false,
        keeper: Keeper::Victim,
        names: Names::Paths,
        needs_map: false,
        groups_by_flow: false,
        draws: true,
        hashes: false,
        harms: "0.1 % more traffic at 20 hops, half of it to whom a sender claims to be; ICMP is often filtered or rate-limited; believes the TTL of messages. Userspace routers only",
        state: "a key for each epoch",
    };
    const SPEAKS: bool = true;
    type Params = Params;
    type Local = ();
    type Mark = ();
    type Ledger = Heard;

    fn new(params: &Params) -> Result<Self, BadParams> {
        let wrong = |key, must, got: String| Err(BadParams { key, must, got });
        let threshold = probability("p", params.p)?;
        if params.p > MOST {
            return wrong("p", "must be at most 0.001", params.p.to_string());
        }
        if !(1..=3_600_000).contains(&params.key_ms) {
            return wrong("key_ms", "must lie between 1 and 3600000", params.key_ms.to_string());
        }
        if params.disclosed > message::MOST_DISCLOSED {
            return wrong("disclosed", "must be at most 3", params.disclosed.to_string());
        }
        let inverse = u32::try_from(crate::stats::whole(params.p.recip().round()));
        let epoch = Nanos(params.key_ms * 1_000_000);
        let params = params.clone();
        Ok(Self { threshold, inverse: inverse.unwrap_or(u32::MAX), epoch, params })
    }

    fn local(&self, _: &Place) {}

    fn twin(&self, (): &()) -> Vec<u64> {
        vec![]
    }

    fn userspace_only(&self) -> Option<&'static str> {
        Some("its routers send messages of their own")
    }

    fn wants(&self, destination: IpAddr) -> bool {
        !self.params.intention || self.params.wanted.contains(&destination)
    }

    #[inline]
    fn mark(&self, (): &(), hop: &Hop, _: &Invariant, (): ()) -> Marked<()> {
        let chosen = u64::from(hop.draw) < self.threshold;
        let end = if hop.draw & 1 == 0 { End::Source } else { End::Destination };
        let wanted = hop.wanted == 1 || !self.params.intention;
        let need = |key| Marked { need: Some(key), ..().into() };
        match (chosen, wanted, hop.cell) {
            (true, true, _) | (false, true, 1..) => Marked { tell: Some(end), ..().into() },
            (true, false, _) => need(OWE),
            (false, true, 0) if self.params.intention => need(PAY),
            (false, _, _) => ().into(),
        }
    }

    fn message(&self, about: &About<'_>, out: &mut Vec<u8>) -> bool {
        let Ok(packet) = Packet::parse(about.packet) else { return false };
        !message::is_message(&packet)
            && !packet.is_fragment()
            && message::write(about, self.inverse, self.keys(about.key), self.params.disclosed, out)
    }

    fn hear(&self, hop: &Hop, packet: &Packet<&[u8]>, heard: &mut Heard) -> bool {
        if !message::is_message(packet) {
            return false;
        }
        // Under a key that may be public by now anybody could have written it.
        let epoch = hop.at.0 / self.epoch.0;
        let fresh = |m: &Message<'_>| m.epoch <= epoch && epoch - m.epoch < keys::ACCEPTED;
        if Message::read(packet.as_bytes(), packet.transport_offset()).is_ok_and(|m| fresh(&m)) {
            heard.messages.add(packet.as_bytes(), self.params.max_messages);
        }
        true
    }

    fn observe(&self, _: &Hop, _: &Invariant, (): (), _: &[u8], _: &mut Heard) {}

    fn reconstruct(&self, case: &Case, evidence: &Evidence<Heard>) -> Result<Step, Gap> {
        let (mut links, mut forged) = (Links::default(), 0);
        for (datagram, times) in evidence.ledgers.values().flat_map(|l| l.messages.iter()) {
            match self.believe(case, datagram) {
                Some((message, distance)) => links.add(&message, distance),
                None => forged += times,
            }
        }
        if links.edges.is_empty() {
            let what = format!("true messages about the case's packets ({forged} others)");
            return Err(Gap::Nothing { what });
        }
        Ok(Step::Done(Finding::Paths(links.graph(case, forged))))
    }
}

impl ITrace {
    fn keys(&self, run: crate::invariant::Key) -> Keys {
        Keys { run, length: self.epoch }
    }

    /// A message with its router's distance, where it is true, its key is public, and it is about a packet of
    /// the case.
    fn believe<'a>(&self, case: &Case, datagram: &'a [u8]) -> Option<(Message<'a>, u16)> {
        let keys = self.keys(case.key);
        let packet = Packet::parse(datagram).ok()?;
        let (ttl, body) = (packet.ttl(), packet.transport_offset());
        let message =
            Message::read(datagram, body).ok().filter(|_| packet.as_bytes() == datagram)?;
        let over = keys.validity(message.epoch)[1] <= case.window.to;
        let ours = over
            && message.is_true(datagram, body, keys)
            && message.back.downstream == message.router
            && message.forward.upstream == message.router
            && quoted(case, message.traced);
        // Messages start at 255 and pass the same routers as the packet.
        ours.then(|| (message, 255 - u16::from(ttl)))
    }
}

/// Whether the head of a packet is one that the case is about.
fn quoted(case: &Case, head: &[u8]) -> bool {
    let length = match *head {
        [v, _, high, low, ..] if v >> 4 == 4 => usize::from(u16::from_be_bytes([high, low])),
        [v, _, _, _, high, low, ..] if v >> 4 == 6 => {
            40 + usize::from(u16::from_be_bytes([high, low]))
        }
        _ => return false,
    };
    // What was cut off plays no part in the filter.
    let mut whole = head.to_vec();
    whole.resize(head.len().max(length), 0);
    Packet::parse(whole).is_ok_and(|packet| case.filter.matches(&packet))
}

/// Links that true messages name.
#[derive(Debug, Default)]
struct Links {
    edges: BTreeSet<Edge>,
    /// Routers that got the packet from a host.
    entries: BTreeSet<RouterId>,
}

impl Links {
    fn add(&mut self, message: &Message<'_>, distance: u16) {
        let router = message.router;
        let known = |id: RouterId| (id != RouterId::default()).then_some(id);
        let to = known(message.forward.downstream);
        // To a host only at the end of the way, to a router everywhere else: TTL and links must agree.
        if to.is_some() != (distance > 0) {
            return;
        }
        self.edges.insert(Edge { distance, from: router, to });
        match known(message.back.upstream) {
            Some(from) => {
                self.edges.insert(Edge { distance: distance + 1, from, to: Some(router) });
            }
            None => {
                self.entries.insert(router);
            }
        }
    }

    /// The graph; its paths are those whose beginning and every link are known.
    fn graph(mut self, case: &Case, set_aside: u64) -> AttackGraph {
        let last = |e: &Edge| e.distance == 1 && e.to == Some(case.gateway);
        if self.edges.iter().any(last) {
            self.edges.insert(Edge { distance: 0, from: case.gateway, to: None });
        }
        let mut graph = AttackGraph::from_edges(self.edges, MAX_PATHS);
        graph.paths.retain(|path| path.first().is_some_and(|first| self.entries.contains(first)));
        AttackGraph { set_aside, ..graph }
    }
}

/// Highest probability. Source: draft-ietf-itrace-04 section 3.1.1.
const MOST: f64 = 1e-3;
/// Paths listed at most.
const MAX_PATHS: usize = 10_000;
