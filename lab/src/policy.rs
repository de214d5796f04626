//! What a policy would let out of a record: a question put to it before anybody asks in earnest.

use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use traceback::RouterId;
use traceback::disclose::{
    Ask, Field, Grounds, Origin, Policy, Refusal, Region, Shown, Terms, Tlp, Treatment,
};
use traceback::invariant::Key;
use traceback::map::{Map, MapRouter};

/// What a domain knows of packets that passed it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Routers of the domain, that nearest the source first.
    pub path: Vec<Passed>,
    /// The domain that handed the packets over; from within where left out.
    #[serde(default)]
    pub from: Option<String>,
    /// When, in seconds since the Unix epoch.
    #[serde(default)]
    pub seen_unix_s: u64,
    /// How many packets.
    #[serde(default)]
    pub packets: u64,
    /// The domain's key of aliases; zeros where left out.
    #[serde(default)]
    pub key: (u64, u64),
}

/// A router that packets passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passed {
    /// Its loopback.
    pub router: RouterId,
    /// Its autonomous system.
    #[serde(rename = "as")]
    pub asn: u32,
    /// Two letters.
    pub nation: String,
    /// Whether it has a link to another domain.
    #[serde(default)]
    pub border: bool,
}

impl Record {
    /// A record of nobody, where none is given: three routers in two systems, the first and last at borders.
    pub fn example() -> Self {
        let passed = |i: u8, asn, border| Passed {
            router: Ipv4Addr::new(203, 0, 113, i).into(),
            asn,
            nation: "XB".into(),
            border,
        };
        Self {
            path: vec![passed(1, 64_501, true), passed(2, 64_501, false), passed(3, 64_500, true)],
            from: Some("xc".into()),
            seen_unix_s: 1_700_000_000,
            packets: 3,
            key: (0, 0),
        }
    }

    /// A record of packets that passed routers of a plan's domain.
    ///
    /// # Errors
    /// Names what the plan does not have.
    pub fn of(plan: &Plan, domain: &str, path: &[String]) -> Result<Self, String> {
        let home = plan.domains.iter().position(|d| d.id == domain);
        let home = home.ok_or_else(|| format!("the scenario has no domain \"{domain}\""))?;
        let map = plan.map().map_err(|e| e.to_string())?;
        let grounds = Grounds::new(&map, plan.domains[home].asns.clone(), plan.domain_key(home));
        let passed = |name: &String| {
            let found = plan.routers.iter().find(|r| r.name == *name && r.domain == domain);
            let r = found.ok_or_else(|| format!("{domain} has no router \"{name}\""))?;
            let (router, asn, nation) = (r.id, r.asn, r.nation.clone());
            Ok(Passed { router, asn, nation, border: grounds.at_border(router) })
        };
        let path = path.iter().map(passed).collect::<Result<_, String>>()?;
        let Key(a, b) = plan.domain_key(home);
        Ok(Self { path, key: (a, b), ..Self::example() })
    }

    /// The routers, with somebody else's beside those at borders.
    fn map(&self) -> Option<Map> {
        let outside = MapRouter {
            id: RouterId(0),
            name: String::new(),
            asn: 0,
            nation: String::new(),
            aliases: vec![],
        };
        let own = |p: &Passed| MapRouter {
            id: p.router,
            asn: p.asn,
            nation: p.nation.clone(),
            ..outside.clone()
        };
        let mut seen = BTreeSet::new();
        let once: Vec<&Passed> = self.path.iter().filter(|p| seen.insert(p.router)).collect();
        let routers = [outside.clone()].into_iter().chain(once.iter().map(|p| own(p)));
        let links = (1..).zip(&once).filter(|(_, p)| p.border).map(|(at, _)| (0, at));
        Map::new(routers.collect(), links.collect()).ok()
    }
}

/// A question, as the command line puts it.
#[derive(Debug, Clone)]
pub struct Question {
    /// The domain that asks.
    pub requester: String,
    /// The domain that began.
    pub origin: String,
    /// What the answer is for.
    pub purpose: String,
    /// The question's label.
    pub tlp: Tlp,
    /// When.
    pub at_unix_s: u64,
    /// Questions of this requester in the hour before.
    pub asked_in_last_hour: u32,
}

/// What would be let out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The terms; `None` where it is refused.
    pub terms: Option<Terms>,
    /// Why it is refused.
    pub refused: Option<Refusal>,
    /// Field by field.
    pub fields: Vec<FieldRow>,
}

/// What becomes of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldRow {
    /// Its name.
    pub field: String,
    /// pass, hash, generalise or withhold.
    pub treatment: String,
    /// What is told; `None` where nothing is.
    pub shown: Option<String>,
    /// The rule that says so.
    pub rule: String,
}

impl Question {
    /// Puts it to a policy.
    pub fn put(&self, policy: &Policy, record: &Record) -> Answer {
        let ask = Ask {
            requester: &self.requester,
            origin: &self.origin,
            purpose: &self.purpose,
            tlp: self.tlp,
            region: Region::default(),
            at_unix_s: self.at_unix_s,
            asked_in_last_hour: self.asked_in_last_hour,
        };
        match policy.judge(&ask) {
            Ok(terms) => {
                let fields = told(&terms, record);
                Answer { terms: Some(terms), refused: None, fields }
            }
            Err(refusal) => {
                let nothing = |field: Field| FieldRow {
                    field: field.word().into(),
                    treatment: Treatment::Withhold.word().into(),
                    shown: None,
                    rule: refusal.rule.clone(),
                };
                let fields = Field::ALL.map(nothing).into();
                Answer { terms: None, refused: Some(refusal), fields }
            }
        }
    }
}

/// Every field of a record under some terms.
fn told(terms: &Terms, record: &Record) -> Vec<FieldRow> {
    let map = record.map().unwrap_or_default();
    let asns = record.path.iter().map(|p| p.asn);
    let grounds = Grounds::new(&map, asns, Key(record.key.0, record.key.1));
    let path: Vec<RouterId> = record.path.iter().map(|p| p.router).collect();
    let row = grounds.show(terms, &path);
    let inside = || Origin::Inside;
    let origin = record.from.clone().map_or_else(inside, |id| Origin::Domain { id });
    let shown = |field: Field| match field {
        Field::Addresses => Some(row.iter().map(words).collect::<Vec<_>>().join(" > ")),
        Field::Hops => Some(hidden(&row)),
        Field::Origin => match terms.origin(origin.clone()) {
            Origin::Inside => Some("from within".into()),
            Origin::Domain { id } => Some(id),
            Origin::Unknown { .. } => None,
        },
        Field::Times => terms.when(record.seen_unix_s).map(|at| format!("{at} s")),
        Field::Packets => Some(record.packets.to_string()),
        Field::Payload | Field::SubscriberId => None,
    };
    let row = |field: Field| {
        let treatment = terms.treatment(field);
        let told = field == Field::Addresses || treatment < Treatment::Hash;
        FieldRow {
            field: field.word().into(),
            treatment: treatment.word().into(),
            shown: told.then(|| shown(field)).flatten(),
            rule: terms.rule.clone(),
        }
    };
    Field::ALL.map(row).into()
}

fn words(shown: &Shown) -> String {
    match shown {
        Shown::Router { id } => id.to_string(),
        Shown::As { asn } => format!("AS{asn}"),
        Shown::Nation { nation } => nation.clone(),
        Shown::Alias { id } => format!("alias {id}"),
        Shown::Present => "passed here".into(),
        Shown::Hidden { hops: Some(1) } => "1 hop not disclosed".into(),
        Shown::Hidden { hops: Some(n) } => format!("{n} hops not disclosed"),
        Shown::Hidden { hops: None } => "not disclosed".into(),
    }
}

fn hidden(row: &[Shown]) -> String {
    let hops =
        row.iter().map(|s| if let Shown::Hidden { hops } = s { hops.unwrap_or(0) } else { 0 });
    format!("{} hidden", hops.map(u32::from).sum::<u32>())
}

/// Everybody whom rules name, and one whom none names.
pub fn requesters(policy: &Policy) -> Vec<String> {
    let named = policy.rules.iter().flat_map(|rule| rule.requester.iter().flatten());
    let mut all: Vec<String> = named.collect::<BTreeSet<_>>().into_iter().cloned().collect();
    all.push("anybody".into());
    all
}

/// A unit variant as files spell it.
pub fn word(value: impl Serialize) -> String {
    let text = serde_json::to_value(value).ok().and_then(|v| v.as_str().map(String::from));
    text.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::policies;

    const TEXT: &str = r#"
schema = "ashiato.policy/1"
domain = "xb"
version = 3
marks = "as"
[answers]
detail = "nation"
[[rule]]
id = "night"
requester = ["xd"]
hours = "08:00-18:00"
detail = "router"
[[rule]]
id = "xa-traceback"
requester = ["xa"]
purpose = ["traceback"]
rate = "10/h"
detail = "border"
tlp = "RED"
fields = { origin = "withhold", times = "generalise" }
"#;

    fn ask(requester: &str, at_unix_s: u64) -> Answer {
        let policy = policies::parse("xb.policy.toml", TEXT).unwrap();
        let (requester, origin) = (requester.to_owned(), requester.to_owned());
        let purpose = "traceback".into();
        let question = Question {
            requester,
            origin,
            purpose,
            tlp: Tlp::Green,
            at_unix_s,
            asked_in_last_hour: 0,
        };
        question.put(&policy, &Record::example())
    }

    #[test]
    fn every_field_says_what_becomes_of_it_and_by_which_rule() {
        let answer = ask("xa", 0);
        let row = |f: &FieldRow| {
            format!("{} {} {}", f.field, f.treatment, f.shown.clone().unwrap_or("-".into()))
        };
        let rows: Vec<String> = answer.fields.iter().map(row).collect();
        let want = [
            "addresses pass 203.0.113.1 > 1 hop not disclosed > 203.0.113.3",
            "hops pass 1 hidden",
            "origin withhold -",
            "times generalise 1699999980 s",
            "packets pass 3",
            "payload withhold -",
            "subscriber-id withhold -",
        ];
        assert_eq!(rows, want);
        assert!(answer.fields.iter().all(|f| f.rule == "xa-traceback"));
        assert_eq!(answer.terms.unwrap().tlp, Tlp::Red);
        assert_eq!(ask("xz", 0).fields[0].shown.as_deref(), Some("XB"));
    }

    #[test]
    fn a_refusal_shows_nothing_and_names_its_rule() {
        let answer = ask("xd", 3 * 3_600);
        let refusal = answer.refused.unwrap();
        assert_eq!(refusal.rule, "night");
        assert!(answer.fields.iter().all(|f| f.shown.is_none() && f.rule == "night"));
        assert!(ask("xd", 12 * 3_600).refused.is_none());
    }

    #[test]
    fn mistakes_in_a_policy_are_named_with_their_place() {
        let said = |from: &str, to: &str| {
            policies::parse("xb.toml", &TEXT.replace(from, to)).unwrap_err().to_string()
        };
        let unknown = said("requester = [\"xd\"]", "requestor = [\"xd\"]");
        assert!(
            unknown.contains("xb.toml:10:1") && unknown.contains("did you mean \"requester\"?")
        );
        assert!(said("\"border\"", "\"boarder\"").contains("did you mean \"border\"?"));
        assert!(said("10/h", "ten").contains("write it like \"10/h\""));
        assert!(said("id = \"night\"", "id = \"answers\"").contains("needs a word of its own"));
    }
}
