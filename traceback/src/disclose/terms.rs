//! What a policy says to one question: the terms of an answer, or a refusal.

use super::{Detail, Origin, Tlp, words::Lapse};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A question as a policy sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask<'a> {
    /// The domain that asks and gets the answer first.
    pub requester: &'a str,
    /// The domain that began, which gets it in the end; the same where questions are not handed on.
    pub origin: &'a str,
    /// What the answer is for.
    pub purpose: &'a str,
    /// The question's own label.
    pub tlp: Tlp,
    /// Between whom it travels.
    pub region: Region,
    /// When, in seconds since the Unix epoch.
    pub at_unix_s: u64,
    /// Questions of this requester in the hour before.
    pub asked_in_last_hour: u32,
}

/// Between whom a question travels, in the words of RFC 6545 section 5.4 (`PolicyRegion`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Region {
    /// From a client to its provider.
    ClientToSp,
    /// From a provider to its client.
    SpToClient,
    /// Between members of one consortium.
    #[default]
    IntraConsortium,
    /// Between two peers.
    PeerToPeer,
    /// Between members of different consortia.
    BetweenConsortiums,
}

/// Who must agree before an answer leaves; later ones are stricter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Approval {
    /// Nobody: the policy suffices.
    #[default]
    Auto,
    /// One person.
    OnePerson,
    /// Two persons.
    TwoPerson,
}

/// A field of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Field {
    /// Names of routers. Hash: aliases; generalise: systems; withhold: only that packets passed.
    Addresses,
    /// Numbers of hops that are not shown.
    Hops,
    /// The domain that handed packets over.
    Origin,
    /// When packets passed. Generalise: rounded to the policy's `time`.
    Times,
    /// Which packets came which way.
    Packets,
    /// Bytes behind packets' headers, which never leave whatever a rule says.
    Payload,
    /// Who stands behind an address within the domain, which never leaves either.
    SubscriberId,
}

impl Field {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Addresses,
        Self::Hops,
        Self::Origin,
        Self::Times,
        Self::Packets,
        Self::Payload,
        Self::SubscriberId,
    ];

    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Hops => "hops",
            Self::Origin => "origin",
            Self::Times => "times",
            Self::Packets => "packets",
            Self::Payload => "payload",
            Self::SubscriberId => "subscriber-id",
        }
    }

    /// Whether no rule can let it out.
    pub fn never_leaves(self) -> bool {
        matches!(self, Self::Payload | Self::SubscriberId)
    }
}

/// What becomes of a field; later ones show less, but for a hash, which shows something else.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// Told as it is.
    #[default]
    Pass,
    /// Told less exactly.
    Generalise,
    /// Told as a word that only the domain resolves; where a field has no such word, withheld.
    Hash,
    /// Not told.
    Withhold,
}

impl Treatment {
    /// What both allow.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        match (self, other) {
            (Self::Generalise, Self::Hash) | (Self::Hash, Self::Generalise) => Self::Withhold,
            (a, b) => a.max(b),
        }
    }

    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Generalise => "generalise",
            Self::Hash => "hash",
            Self::Withhold => "withhold",
        }
    }
}

/// A field that is not told.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Withheld {
    /// Its name.
    pub field: String,
    /// The policy's rule that withholds it.
    pub rule: String,
}

/// The terms of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The rule that was applied; two, joined by "+", where another domain gets the answer in the end.
    pub rule: String,
    /// How much of its routers the domain shows.
    pub detail: Detail,
    /// The label of the answer: never below the question's.
    pub tlp: Tlp,
    /// Who must agree first.
    pub approval: Approval,
    /// Times are rounded down to this.
    pub time: Lapse,
    /// How long the requester may keep the answer.
    pub retain: Lapse,
    /// What becomes of fields; those left out pass, unless they never leave.
    pub fields: BTreeMap<Field, Treatment>,
}

impl Terms {
    /// What becomes of a field.
    pub fn treatment(&self, field: Field) -> Treatment {
        if field.never_leaves() {
            return Treatment::Withhold;
        }
        let own = self.fields.get(&field).copied().unwrap_or_default();
        match field {
            // Times are never told more exactly than the policy says.
            Field::Times if self.time.0 > 0 => own.meet(Treatment::Generalise),
            _ => own,
        }
    }

    /// How much of its routers the domain shows once the treatment of addresses is counted in. What shows no
    /// address has none to be treated.
    pub fn shown(&self) -> Detail {
        let treated = match self.treatment(Field::Addresses) {
            Treatment::Pass => Detail::Router,
            Treatment::Generalise => Detail::As,
            Treatment::Hash => Detail::Hash,
            Treatment::Withhold => Detail::Presence,
        };
        match self.detail {
            Detail::Router | Detail::Border => self.detail.meet(treated),
            other => other,
        }
    }

    /// Where packets came from, as it is told.
    pub fn origin(&self, origin: Origin) -> Origin {
        let told = self.shown() != Detail::None && self.treatment(Field::Origin) == Treatment::Pass;
        if told { origin } else { Origin::Unknown { maybe: vec![] } }
    }

    /// When packets passed, in seconds since the Unix epoch; `None` where it is not told.
    pub fn when(&self, at_unix_s: u64) -> Option<u64> {
        match self.treatment(Field::Times) {
            Treatment::Pass => Some(at_unix_s),
            Treatment::Generalise => Some(self.time.round(at_unix_s)),
            Treatment::Hash | Treatment::Withhold => None,
        }
    }

    /// Fields that are not told, each with the rule that says so.
    pub fn withheld(&self) -> Vec<Withheld> {
        let withheld = |field: &Field| {
            let hashed = *field != Field::Addresses && self.treatment(*field) == Treatment::Hash;
            hashed || self.treatment(*field) == Treatment::Withhold
        };
        let named = |field: Field| Withheld { field: field.word().into(), rule: self.rule.clone() };
        Field::ALL.into_iter().filter(withheld).map(named).collect()
    }

    /// What both allow.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        let mut fields = self.fields;
        for (field, treatment) in other.fields {
            let own = fields.entry(field).or_default();
            *own = own.meet(treatment);
        }
        let rule = if self.rule == other.rule {
            self.rule
        } else {
            format!("{}+{}", self.rule, other.rule)
        };
        Self {
            rule,
            detail: self.detail.meet(other.detail),
            tlp: self.tlp.max(other.tlp),
            approval: self.approval.max(other.approval),
            time: self.time.max(other.time),
            retain: self.retain.min(other.retain),
            fields,
        }
    }
}

/// Why a domain refuses, in the words of RFC 6545 section 5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Justification {
    /// More is asked than was agreed, or than the domain can do.
    SystemResource,
    /// The requester could not be authenticated.
    Authentication,
    /// The domain that began could not be authenticated.
    AuthenticationOrigin,
    /// Something could not be decrypted.
    Encryption,
    /// The document could not be read.
    UnrecognizedFormat,
    /// The domain cannot do what is asked.
    CannotProcess,
    /// The policy says no, or another reason that `why` tells.
    Other,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// In the words of RFC 6545.
    pub justification: Justification,
    /// The rule that says so.
    pub rule: String,
    /// For people.
    pub why: String,
}
