//! A domain's policy: what its routers write into packets, and what it tells whom.
//!
//! The first rule that names a requester, its purpose and the region is the only one that counts for it;
//! `answers` counts where none does. A rule's hours and rate do not make room for a later rule: outside of
//! them the question is refused. Where questions are handed on, the domain that asks and the one that began
//! both learn the answer, so it is bound by what both may know.

use super::terms::{Approval, Ask, Field, Justification, Refusal, Region, Terms, Treatment};
use super::words::{Hours, Lapse, PerHour};
use super::{Detail, Tlp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the file format.
pub const SCHEMA: &str = "ashiato.policy/1";
/// The word under which `answers` is told as a rule.
pub const DEFAULT: &str = "answers";

/// A whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// [`SCHEMA`].
    pub schema: String,
    /// The domain's word.
    pub domain: String,
    /// Raised with every change.
    #[serde(default = "one")]
    pub version: u32,
    /// What routers write into packets.
    #[serde(default = "nothing")]
    pub marks: Detail,
    /// What the domain shows of packets that it asks about.
    #[serde(default, skip_serializing_if = "Exhibits::is_needed")]
    pub exhibits: Exhibits,
    /// What is told to those whom no rule names.
    #[serde(default)]
    pub answers: Answers,
    /// Rules, of which the first that fits counts.
    #[serde(default, rename = "rule")]
    pub rules: Vec<Rule>,
}

/// How much a domain shows of packets that it asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exhibits {
    /// What routers know them by, and zeros behind ([`crate::blank`]).
    #[default]
    Needed,
    /// All of them.
    Whole,
}

impl Exhibits {
    fn is_needed(&self) -> bool {
        *self == Self::Needed
    }
}

/// What is told, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answers {
    /// How much of its routers the domain shows; `none`: it refuses.
    pub detail: Detail,
    /// The label that answers bear.
    pub tlp: Tlp,
    /// Who must agree first.
    pub approval: Approval,
    /// Times are rounded down to this.
    pub time: Lapse,
    /// How long answers may be kept.
    pub retain: Lapse,
    /// What becomes of fields; those left out pass.
    pub fields: BTreeMap<Field, Treatment>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            detail: Detail::None,
            tlp: Tlp::Amber,
            approval: Approval::Auto,
            time: Lapse(60),
            retain: Lapse(7 * 86_400),
            fields: BTreeMap::new(),
        }
    }
}

/// A rule for some requesters. What it leaves out is as in `answers`, but for its detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its word, which is logged and told.
    pub id: String,
    /// Domains that it names; anybody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<Vec<String>>,
    /// Purposes that it is for; any where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Vec<String>>,
    /// Between whom the question travels; anybody where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    /// When it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Hours>,
    /// How often it is answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<PerHour>,
    /// How much of its routers the domain shows; `none`: it refuses.
    pub detail: Detail,
    /// The label that answers bear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tlp: Option<Tlp>,
    /// Who must agree first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Times are rounded down to this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Lapse>,
    /// How long answers may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retain: Option<Lapse>,
    /// What becomes of fields; those left out are treated as in `answers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<Field, Treatment>,
}

/// Why a file is no policy although every key is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPolicy {
    /// Another format.
    #[error("schema must be \"{SCHEMA}\", not \"{0}\"")]
    Schema(String),
    /// A rule's word is taken, empty, or stands for `answers`.
    #[error("rule {0} needs a word of its own, other than \"{DEFAULT}\"; \"{1}\" will not do")]
    Id(usize, String),
    /// No word for the domain.
    #[error("domain must say whose policy it is")]
    Domain,
}

impl Policy {
    /// A policy that shows and tells so much to everybody.
    pub fn plain(domain: &str, marks: Detail, answers: Detail) -> Self {
        let answers = Answers { detail: answers, ..Answers::default() };
        let (schema, domain) = (SCHEMA.to_owned(), domain.to_owned());
        let exhibits = Exhibits::default();
        Self { schema, domain, version: 1, marks, exhibits, answers, rules: vec![] }
    }

    /// Refuses what no single key shows.
    ///
    /// # Errors
    /// [`BadPolicy`] says which key is wrong.
    pub fn check(&self) -> Result<(), BadPolicy> {
        if self.schema != SCHEMA {
            return Err(BadPolicy::Schema(self.schema.clone()));
        }
        if self.domain.is_empty() {
            return Err(BadPolicy::Domain);
        }
        let mut words = BTreeSet::from(["", DEFAULT]);
        match self.rules.iter().enumerate().find(|(_, rule)| !words.insert(&rule.id)) {
            Some((at, rule)) => Err(BadPolicy::Id(at + 1, rule.id.clone())),
            None => Ok(()),
        }
    }

    /// What the domain does about a question.
    ///
    /// # Errors
    /// [`Refusal`] with the rule that refuses and why.
    pub fn judge(&self, ask: &Ask<'_>) -> Result<Terms, Refusal> {
        let mut terms = self.judge_for(ask.requester, ask)?;
        if ask.origin != ask.requester {
            terms = terms.meet(self.judge_for(ask.origin, ask)?);
        }
        terms.tlp = terms.tlp.max(ask.tlp);
        // Two rules may have nothing in common.
        if terms.shown() == Detail::None {
            return Err(refuse(&terms.rule, Justification::Other, "shows nothing"));
        }
        Ok(terms)
    }

    /// The terms that a domain can hope for at best: within hours and rates, for a question of its own.
    pub fn at_best(&self, requester: &str, purpose: &str) -> Option<Terms> {
        let (origin, tlp, region) = (requester, Tlp::Clear, Region::default());
        let (at_unix_s, asked_in_last_hour) = (0, 0);
        let ask = Ask { requester, origin, purpose, tlp, region, at_unix_s, asked_in_last_hour };
        let rule = self.rules.iter().find(|rule| rule.names(requester, &ask));
        let terms = rule.map_or_else(|| self.usual(), |rule| rule.terms(&self.answers));
        Some(terms).filter(|terms| terms.shown() != Detail::None)
    }

    fn judge_for(&self, who: &str, ask: &Ask<'_>) -> Result<Terms, Refusal> {
        let Some(rule) = self.rules.iter().find(|rule| rule.names(who, ask)) else {
            return self.otherwise();
        };
        let refuse = |justification, why: &str| Err(refuse(&rule.id, justification, why));
        if rule.detail == Detail::None {
            return refuse(Justification::Other, "shows nothing");
        }
        if let Some(hours) = rule.hours.filter(|hours| !hours.hold(ask.at_unix_s)) {
            return refuse(Justification::Other, &format!("answers at {hours} only"));
        }
        if let Some(rate) = rule.rate.filter(|rate| ask.asked_in_last_hour >= rate.0) {
            return refuse(Justification::SystemResource, &format!("answers {rate} at most"));
        }
        Ok(rule.terms(&self.answers))
    }
}

impl Policy {
    fn otherwise(&self) -> Result<Terms, Refusal> {
        if self.answers.detail == Detail::None {
            return Err(refuse(
                DEFAULT,
                Justification::Other,
                "tells nothing to whom no rule names",
            ));
        }
        Ok(self.usual())
    }

    /// The terms for those whom no rule names, also where they show nothing.
    pub fn usual(&self) -> Terms {
        let Answers { detail, tlp, approval, time, retain, fields } = self.answers.clone();
        Terms { rule: DEFAULT.into(), detail, tlp, approval, time, retain, fields }
    }
}

impl Rule {
    fn names(&self, who: &str, ask: &Ask<'_>) -> bool {
        let listed = |list: &Option<Vec<String>>, word: &str| {
            list.as_ref().is_none_or(|list| list.iter().any(|w| w == word))
        };
        listed(&self.requester, who)
            && listed(&self.purpose, ask.purpose)
            && self.region.is_none_or(|region| region == ask.region)
    }

    /// The terms for those whom it names; what it leaves out is as in `usual`.
    pub fn terms(&self, usual: &Answers) -> Terms {
        let mut fields = usual.fields.clone();
        fields.extend(&self.fields);
        Terms {
            rule: self.id.clone(),
            detail: self.detail,
            tlp: self.tlp.unwrap_or(usual.tlp),
            approval: self.approval.unwrap_or(usual.approval),
            time: self.time.unwrap_or(usual.time),
            retain: self.retain.unwrap_or(usual.retain),
            fields,
        }
    }
}

fn refuse(rule: &str, justification: Justification, why: &str) -> Refusal {
    Refusal { justification, rule: rule.into(), why: format!("rule \"{rule}\" {why}") }
}

const fn one() -> u32 {
    1
}

const fn nothing() -> Detail {
    Detail::None
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
