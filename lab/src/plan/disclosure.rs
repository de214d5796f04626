//! What domains show: in packets, and when they are asked.

use super::flow::is_usual;
use super::{Node, Plan};
use ashiato_collector::exchange::Verdict;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use traceback::disclose::{Cut, Detail, Estate, Policy, written};
use traceback::invariant::{Key, mix2};
use traceback::map::BadMap;
use traceback::router::{Far, Port};
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;
use traceback::score::Sight;
use traceback::{Nanos, Place, RouterId};

/// Stream of the seed from which domains' keys come.
const KEYS: u64 = 0x444f_4d41;

/// The people who answer for a domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// How long they take to answer, at most.
    #[schemars(with = "u64")]
    pub answer_within: Nanos,
    /// Their role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What they say in runs to questions that wait for them.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub decides: Decision,
    /// How long that takes them.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "u64")]
    pub after: Nanos,
}

/// What people at a point of contact say to questions that wait for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The policy's answer may leave.
    #[default]
    Agree,
    /// It may not.
    Deny,
    /// Nothing.
    Silent,
}

impl Decision {
    /// As a collector hears it; nothing from those who are silent.
    pub fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Agree => Some(Verdict::Approve),
            Self::Deny => Some(Verdict::Deny { why: "its people say no".into() }),
            Self::Silent => None,
        }
    }
}

impl super::Domain {
    /// What its people say to questions that wait for them, and after how long.
    pub fn people(&self) -> (Decision, Nanos) {
        let contact = self.contact.as_ref();
        contact.map(|contact| (contact.decides, contact.after)).unwrap_or_default()
    }

    /// How much its routers show in what they write.
    pub fn marks(&self) -> Detail {
        self.policy.as_ref().map_or(Detail::Router, |policy| policy.marks)
    }

    /// How much it tells at best of what its routers logged, and who stands behind words that only it
    /// resolves.
    pub fn answers(&self, requester: &str, purpose: &str) -> Detail {
        let Some(policy) = self.policy.as_ref().filter(|_| requester != self.id) else {
            return Detail::Router;
        };
        policy.at_best(requester, purpose).map_or(Detail::None, |terms| terms.shown())
    }
}

impl Plan {
    /// Whether every domain shows all of its routers, and tells everybody of them.
    pub fn shows_all(&self) -> bool {
        let all = |(i, d): (usize, &super::Domain)| {
            d.marks() == Detail::Router && self.answers_of(i) == Detail::Router
        };
        self.domains.iter().enumerate().all(all)
    }

    /// The policy of a domain; one that shows and tells everything where it has none.
    pub fn policy(&self, domain: usize) -> Policy {
        let domain = &self.domains[domain];
        let open = || Policy::plain(&domain.id, Detail::Router, Detail::Router);
        domain.policy.clone().unwrap_or_else(open)
    }

    /// Whether a router keeps its errors to itself: their source would tell an address that its domain does
    /// not show.
    pub fn is_mute(&self, router: usize) -> bool {
        self.domains.get(self.domain_at(router)).is_some_and(|d| d.marks() != Detail::Router)
    }

    /// The key of a domain's aliases, drawn from the seed.
    pub fn domain_key(&self, domain: usize) -> Key {
        let seed = mix2(self.seed ^ KEYS, domain as u64);
        Key(mix2(seed, 1), mix2(seed, 2))
    }

    /// Position of the victim's domain.
    pub fn home(&self) -> usize {
        self.domain_at(self.hosts[self.case.victim].router)
    }

    /// Position of a router's domain.
    pub fn domain_at(&self, router: usize) -> usize {
        let id = &self.routers[router].domain;
        self.domains.iter().position(|d| d.id == *id).unwrap_or(0)
    }

    /// Domains next to one another, by position, each pair once and in order.
    pub fn borders(&self) -> BTreeSet<(usize, usize)> {
        let domains = |link: &super::LinkPlan| match (link.a.node, link.b.node) {
            (Node::Router(a), Node::Router(b)) => Some((self.domain_at(a), self.domain_at(b))),
            _ => None,
        };
        let pairs = self.links.iter().filter_map(domains).filter(|(a, b)| a != b);
        pairs.map(|(a, b)| (a.min(b), a.max(b))).collect()
    }

    /// What the victim's domain may hear from another at best.
    pub fn answers_of(&self, domain: usize) -> Detail {
        let purpose = self.exchange.as_ref().map_or("traceback", |asks| &asks.purpose);
        let Some(home) = self.domains.get(self.home()) else { return Detail::Router };
        self.domains.get(domain).map_or(Detail::Router, |d| d.answers(&home.id, purpose))
    }

    /// The map cut by what a scheme's routers write: under which name each acts, and where.
    ///
    /// # Errors
    /// [`BadMap`] where the plan was tampered with.
    pub fn acting(&self, scheme: &dyn AnyScheme) -> Result<Cut, BadMap> {
        self.cut(|domain| written(scheme, self.domains[domain].marks()))
    }

    /// The map that whoever rebuilds paths may have: cut like marks, or, for schemes whose routers keep logs,
    /// like what domains tell who are asked.
    ///
    /// # Errors
    /// As [`Self::acting`].
    pub fn disclosed(&self, scheme: &dyn AnyScheme) -> Result<Cut, BadMap> {
        if scheme.card().keeper == Keeper::Routers { self.told() } else { self.acting(scheme) }
    }

    /// The map cut by what the victim's domain may hear from others at best.
    ///
    /// # Errors
    /// As [`Self::acting`].
    pub fn told(&self) -> Result<Cut, BadMap> {
        self.cut(|domain| self.answers_of(domain))
    }

    /// What names of the disclosed map tell, once domains were asked.
    pub fn answered<'a>(&self, scheme: &dyn AnyScheme, cut: &'a Cut) -> Sight<'a> {
        let told: Vec<Detail> = (0..self.domains.len()).map(|at| self.answers_of(at)).collect();
        let answers = |router: u32| {
            told.get(self.domain_at(router as usize)).copied().unwrap_or(Detail::Router)
        };
        if scheme.card().keeper == Keeper::Routers {
            Sight::of_answers(cut, answers)
        } else {
            Sight::of_answered_marks(cut, answers)
        }
    }

    /// The name of the router that delivers to the victim, on the disclosed map.
    pub fn shown_gateway(&self, cut: &Cut) -> Option<RouterId> {
        cut.name(self.gateway())
    }

    fn cut(&self, detail: impl Fn(usize) -> Detail) -> Result<Cut, BadMap> {
        let homes = (0..self.routers.len()).map(|router| self.domain_at(router)).collect();
        let estate = |domain| Estate { detail: detail(domain), key: self.domain_key(domain) };
        let mut estates: Vec<Estate> = (0..self.domains.len()).map(estate).collect();
        if estates.is_empty() {
            // Whoever belongs to nobody shows all.
            estates.push(Estate { detail: Detail::Router, key: Key(0, 0) });
        }
        Cut::new(self.map()?, homes, estates)
    }

    /// The ports of a router whose scheme acts as a cut map says ([`Self::acting`]).
    pub fn acting_ports(&self, router: usize, cut: &Cut) -> Vec<Port> {
        let mut ports = self.router_ports(router);
        if cut.is_whole() {
            return ports;
        }
        let node = Node::Router(router);
        for (port, link) in ports.iter_mut().zip(self.ports(node)) {
            let (_, other) = self.links[link].seen_from(node);
            let other = if let Node::Router(i) = other.node { Some(index(i)) } else { None };
            let beyond = cut.beyond(index(router), other);
            port.far = Far {
                neighbour: beyond.name,
                // A router without a name is no concern of others.
                legacy: port.far.legacy && beyond.link.is_some(),
                silent: beyond.silent,
                link: beyond.link,
                ..port.far
            };
        }
        ports
    }

    /// The place as which a router acts; its own where it never does.
    pub fn acting_place(&self, router: usize, cut: &Cut) -> Option<Place> {
        cut.place(index(router)).or_else(|| cut.whole().place(self.routers[router].id))
    }
}

fn index(router: usize) -> u32 {
    u32::try_from(router).unwrap_or(u32::MAX)
}
