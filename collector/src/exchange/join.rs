//! Putting together what domains told: ways of packets, stretch by stretch, and what does not fit.

use super::{Reply, Status};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use traceback::disclose::{Origin, Shown, Tlp};

/// Ways listed at most for one packet.
const WAYS: usize = 64;

/// What was asked of one domain, and what it told; with those that were asked after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    /// The domain that got the packets from this one.
    pub towards: String,
    /// The packets, by their positions in the pursuit.
    pub packets: Vec<u32>,
    /// When it was asked; unknown where another domain asked.
    pub asked_ms: Option<u64>,
    /// When it said that people must decide.
    pub acknowledged_ms: Option<u64>,
    /// When it answered.
    pub answered_ms: Option<u64>,
    /// What it told.
    pub reply: Reply,
    /// Those asked after it.
    pub further: Vec<Self>,
}

/// A stretch of a way within one domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stretch {
    /// The domain.
    pub domain: String,
    /// Hops as it shows them, that nearest the source first.
    pub hops: Vec<Shown>,
    /// False where the domain said nothing, and only its neighbours show that packets went through it.
    pub told: bool,
}

/// The way of some packets as far as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// The packets, by their positions.
    pub packets: Vec<u32>,
    /// Stretches, that nearest the source first; the last one is the victim's domain.
    pub stretches: Vec<Stretch>,
    /// Where they came from when they reached the first stretch.
    pub origin: Origin,
}

/// A way from a domain outwards, the nearest stretch first, and where it began.
type Told = (Vec<Stretch>, Origin);

/// What kind of thing is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Two domains say what cannot both be so.
    Contradiction,
    /// A question came back to where it had been.
    Loop,
    /// An answer after its deadline.
    Late,
    /// A clock that differs from ours.
    Clock,
    /// An answer that does not fit its question.
    Malformed,
    /// Own routers did not answer.
    Blind,
    /// The collector went down meanwhile, and began again.
    Resumed,
}

/// Something odd, said in the result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flag {
    /// Of which kind.
    pub kind: Kind,
    /// About whom.
    pub domain: String,
    /// Who says otherwise, if somebody does.
    pub other: Option<String>,
    /// The packets.
    pub packets: Vec<u32>,
    /// For people.
    pub what: String,
}

impl Flag {
    /// Something odd.
    pub fn new(
        kind: Kind,
        domain: &str,
        other: Option<&str>,
        packets: &[u32],
        what: String,
    ) -> Self {
        let other = other.map(ToOwned::to_owned);
        Self { kind, domain: domain.into(), other, packets: packets.to_vec(), what }
    }
}

impl Branch {
    /// What another domain was told, and told on.
    pub fn told(towards: &str, packets: &[u32], mut reply: Reply) -> Self {
        let further = std::mem::take(&mut reply.further);
        let further = further.into_iter().map(|r| Self::told(&reply.domain, packets, r)).collect();
        Self {
            towards: towards.into(),
            packets: packets.to_vec(),
            asked_ms: None,
            acknowledged_ms: None,
            answered_ms: None,
            reply,
            further,
        }
    }

    /// The same as one reply, for the domain that asked.
    pub fn into_reply(self) -> Reply {
        let further = self.further.into_iter().map(Self::into_reply).collect();
        Reply { further, ..self.reply }
    }

    /// The strictest label of all that was told.
    pub fn tlp(&self) -> Tlp {
        self.further.iter().map(Self::tlp).fold(self.reply.tlp, Ord::max)
    }

    /// This and all below it.
    pub fn all(&self) -> Vec<&Self> {
        std::iter::once(self).chain(self.further.iter().flat_map(Self::all)).collect()
    }

    /// Ways of all packets, and contradictions.
    pub fn ways(&self) -> (Vec<Way>, BTreeSet<Flag>) {
        let mut flags = BTreeSet::new();
        let mut ways: BTreeMap<(Vec<Stretch>, Origin), Vec<u32>> = BTreeMap::new();
        for packet in &self.packets {
            for (stretches, origin) in self.follow(*packet, &mut flags) {
                ways.entry((stretches, origin)).or_default().push(*packet);
            }
        }
        let way = |((mut stretches, origin), packets): ((Vec<Stretch>, Origin), Vec<u32>)| {
            stretches.reverse();
            Way { packets, stretches, origin }
        };
        (ways.into_iter().map(way).collect(), flags)
    }

    /// Ways of one packet from here outwards, the nearest stretch first; none where it did not come this way.
    fn follow(&self, packet: u32, flags: &mut BTreeSet<Flag>) -> Vec<Told> {
        let beyond: Vec<(&Self, Vec<_>)> = self
            .further
            .iter()
            .map(|next| (next, next.follow(packet, flags)))
            .filter(|(_, ways)| !ways.is_empty())
            .collect();
        let passage = self.reply.passages.iter().find(|p| p.packets.contains(&packet));
        let domain = self.reply.domain.clone();
        let here = match (&self.reply.status, passage) {
            (Status::Answered, Some(passage)) => {
                self.compare(packet, &passage.origin, &beyond, flags);
                let stretch = Stretch { domain, hops: passage.hops.clone(), told: true };
                if beyond.is_empty() {
                    return vec![(vec![stretch], self.ending(&passage.origin, flags, packet))];
                }
                stretch
            }
            _ if beyond.is_empty() => return vec![],
            (status, _) => {
                if !status.says_nothing() && !self.towards.is_empty() {
                    let other = &beyond[0].0.reply.domain;
                    let what = format!("did not see what {other} says it handed over to it");
                    let flag =
                        Flag::new(Kind::Contradiction, &domain, Some(other), &[packet], what);
                    flags.insert(flag);
                }
                Stretch { domain, hops: vec![Shown::Hidden { hops: None }], told: false }
            }
        };
        let ways = beyond.into_iter().flat_map(|(_, ways)| ways);
        let longer = |(stretches, origin): (Vec<Stretch>, Origin)| {
            (std::iter::once(here.clone()).chain(stretches).collect(), origin)
        };
        ways.map(longer).take(WAYS).collect()
    }

    /// Says where those beyond do not fit what this domain says of where a packet came from.
    fn compare(
        &self,
        packet: u32,
        origin: &Origin,
        beyond: &[(&Self, Vec<Told>)],
        flags: &mut BTreeSet<Flag>,
    ) {
        let domain = &self.reply.domain;
        let mut odd = |other: &str, what: String| {
            flags.insert(Flag::new(Kind::Contradiction, domain, Some(other), &[packet], what));
        };
        for (next, _) in beyond {
            let other = &next.reply.domain;
            match origin {
                Origin::Inside => {
                    odd(other, format!("says that it came from inside; {other} handed it over"));
                }
                Origin::Domain { id } if id != other => {
                    odd(other, format!("says that it came from {id}; {other} handed it over"));
                }
                _ => {}
            }
        }
        let told: Vec<&str> = beyond
            .iter()
            .filter(|(next, _)| next.reply.status == Status::Answered)
            .map(|(next, _)| next.reply.domain.as_str())
            .collect();
        if let [one, other, ..] = told[..] {
            odd(other, format!("got it from {one} and from {other}, as both say"));
        }
    }

    /// Where a packet came from, when nobody beyond saw it.
    fn ending(&self, origin: &Origin, flags: &mut BTreeSet<Flag>, packet: u32) -> Origin {
        let denies = |id: &str| {
            let mut asked = self.further.iter().filter(|next| next.reply.domain == id);
            asked.any(|next| matches!(next.reply.status, Status::NotSeen | Status::Answered))
        };
        match origin {
            Origin::Domain { id } if denies(id) => {
                let what = format!("says that it came from {id}, which did not see it");
                let domain = &self.reply.domain;
                flags.insert(Flag::new(Kind::Contradiction, domain, Some(id), &[packet], what));
                Origin::Unknown { maybe: vec![id.clone()] }
            }
            Origin::Unknown { maybe } if !maybe.is_empty() => {
                let open: Vec<String> = maybe.iter().filter(|id| !denies(id)).cloned().collect();
                if open.is_empty() { Origin::Inside } else { Origin::Unknown { maybe: open } }
            }
            other => other.clone(),
        }
    }
}
