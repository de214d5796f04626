//! Domains' policies: from files, or from the few words of a scenario.

use super::document::Document;
use super::problems::Problems;
use super::report::Report;
use super::spec::{Disclose, Domain, Poc, Spec};
use super::{LARGEST, shape};
use crate::units::Quantity;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Component, Path};
use traceback::disclose::{Approval, Detail, Field, Lapse, Policy, Tlp, Treatment};

/// Longest time in nanoseconds that people may take.
const LONGEST: u64 = 600_000_000_000;

/// Policies by domain, of those that have one. Files lie in `folder`.
pub(super) fn all(
    spec: &Spec,
    folder: &Path,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, Policy> {
    let mut policies = BTreeMap::new();
    for (i, domain) in spec.domain.iter().enumerate() {
        let path = format!("domain.{i}");
        let policy = match &domain.policy {
            Some(file) => named(domain, &folder.join(file), &path, problems),
            None => short(domain, &path, problems),
        };
        policies.extend(policy.map(|policy| (domain.id.clone(), policy)));
        if let Some(poc) = &domain.poc {
            let path = format!("{path}.poc");
            span(&poc.answer_within, &format!("{path}.answer_within"), problems);
            people(domain, poc, &path, problems);
        }
    }
    policies
}

/// Whether people are asked who say something.
fn people(domain: &Domain, poc: &Poc, path: &str, problems: &mut Problems<'_>) {
    let says = poc.decides.is_some() || poc.after.is_some();
    let asked = poc.approval.is_some_and(|approval| approval != Approval::Auto);
    if says && !asked && domain.policy.is_none() {
        let what = "nobody asks these people";
        problems.add(path, what, "add approval = \"one-person\", or leave out decides and after");
    }
    if let Some(after) = poc.after.filter(|after| after.amount() > LONGEST) {
        problems.add(
            format!("{path}.after"),
            format!("people decide after {after}"),
            "600 s at most",
        );
    }
}

/// A policy of its own file.
fn named(domain: &Domain, file: &Path, path: &str, problems: &mut Problems<'_>) -> Option<Policy> {
    let other = [
        (domain.marks.is_some(), "marks"),
        (domain.answers.is_some(), "answers"),
        (domain.refuses, "refuses"),
        (domain.disclose.is_some(), "disclose"),
    ];
    for (_, key) in other.into_iter().filter(|(given, _)| *given) {
        let what = format!("\"{key}\" and \"policy\" say the same thing twice");
        problems.add(format!("{path}.{key}"), what, "leave it to the policy's file");
    }
    let path = format!("{path}.policy");
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !Path::new(domain.policy.as_deref().unwrap_or("")).components().all(inside) {
        problems.add(path, "a policy lies beside the scenario", "name a file in its folder");
        return None;
    }
    match read(file) {
        Ok(policy) if policy.domain == domain.id => Some(policy),
        Ok(policy) => {
            let what = format!("{} is the policy of \"{}\"", file.display(), policy.domain);
            problems.add(path, what, format!("name a file whose domain is \"{}\"", domain.id));
            None
        }
        Err(report) => {
            problems.add(path, report, "");
            None
        }
    }
}

/// A policy in the scenario's own words; `None` where there are none.
fn short(domain: &Domain, path: &str, problems: &mut Problems<'_>) -> Option<Policy> {
    let Domain { marks, answers, refuses, disclose, poc, .. } = domain;
    let approval = poc.as_ref().and_then(|poc| poc.approval);
    let says = marks.is_some() || answers.is_some() || *refuses || disclose.is_some();
    if !says && approval.is_none() {
        return None;
    }
    if *refuses && answers.is_some_and(|detail| detail != Detail::None) {
        let what = "a domain that refuses answers nothing";
        problems.add(format!("{path}.answers"), what, "leave out \"answers\" or \"refuses\"");
    }
    let usual = Disclose::default();
    let disclose = disclose.as_ref().unwrap_or(&usual);
    let level = disclose.granularity.unwrap_or(Detail::Router);
    let answers = if *refuses { Detail::None } else { answers.unwrap_or(level) };
    let mut policy = Policy::plain(&domain.id, marks.unwrap_or(level), answers);
    let told = &mut policy.answers;
    told.tlp = disclose.tlp.unwrap_or(told.tlp);
    told.approval = approval.unwrap_or(told.approval);
    for (text, key, to) in
        [(&disclose.time, "time", &mut told.time), (&disclose.retain, "retain", &mut told.retain)]
    {
        let path = format!("{path}.disclose.{key}");
        *to = text.as_ref().and_then(|text| span(text, &path, problems)).unwrap_or(*to);
    }
    let addresses = disclose.addresses.map(|a| (Field::Addresses, a.treatment()));
    told.fields.extend(addresses);
    told.fields.extend(disclose.deny.iter().map(|field| (*field, Treatment::Withhold)));
    Some(policy)
}

fn span(text: &str, path: &str, problems: &mut Problems<'_>) -> Option<Lapse> {
    let span = text.parse::<Lapse>();
    if let Err(why) = &span {
        problems.add(path, why, "units here: s, m, h, d");
    }
    span.ok()
}

/// Reads a policy's file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(file: &Path) -> Result<Policy, Report> {
    let name = file.display().to_string();
    let unreadable = |e: std::io::Error| {
        Report::whole(format!("cannot read {name}: {e}"), "give the path of a policy's file")
    };
    let about = std::fs::metadata(file).map_err(unreadable)?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(Report::whole(format!("{name} is no file, or too long for a policy"), ""));
    }
    parse(&name, &std::fs::read_to_string(file).map_err(unreadable)?)
}

/// The same for a text at hand; `name` stands in messages.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, text: &str) -> Result<Policy, Report> {
    let document = Document::parse(name, text)?;
    let problems = shape::check(&document, &schema());
    if !problems.is_empty() {
        return Err(Report::new(problems));
    }
    let policy = serde_json::from_value::<Policy>(document.root.to_json());
    let policy = policy.map_err(|e| Report::whole(format!("{name}: {e}"), ""))?;
    policy.check().map_err(|e| Report::whole(format!("{name}: {e}"), ""))?;
    Ok(policy)
}

/// The JSON Schema of policies, whose crate knows no schemas.
pub fn schema() -> Value {
    let mut rule = told();
    let text = |about: &str| json!({ "type": "string", "description": about });
    let list = |about: &str| json!({ "type": "array", "items": { "type": "string" }, "description": about });
    let more = [
        ("id", text("The rule's word, which is logged and told.")),
        ("requester", list("Domains that it names; anybody where left out.")),
        ("purpose", list("Purposes that it is for; any where left out.")),
        ("region", words("Between whom the question travels.", &REGIONS)),
        ("hours", text("Hours in UTC when it is answered, such as \"08:00-18:00\".")),
        ("rate", text("How often it is answered, such as \"10/h\".")),
    ];
    rule.extend(more.map(|(key, schema)| (key.to_owned(), schema)));
    let object = |properties: Value, required: &[&str]| {
        json!({ "type": "object", "additionalProperties": false, "required": required,
                "properties": properties })
    };
    let marks = words("What routers write into packets.", &Detail::ALL);
    let properties = json!({
        "schema": text("Version of the file format: \"ashiato.policy/1\"."),
        "domain": text("The domain's word."),
        "version": { "type": "integer", "format": "uint32", "description": "Raised with every change." },
        "marks": marks,
        "exhibits": words("What the domain shows of packets that it asks about.", &["needed", "whole"]),
        "answers": object(Value::Object(told()), &[]),
        "rule": { "type": "array", "items": object(Value::Object(rule), &["id", "detail"]) },
    });
    object(properties, &["schema", "domain"])
}

const REGIONS: [&str; 5] =
    ["client-to-sp", "sp-to-client", "intra-consortium", "peer-to-peer", "between-consortiums"];

/// Keys that `answers` and rules share.
fn told() -> serde_json::Map<String, Value> {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let treatments = [Treatment::Pass, Treatment::Hash, Treatment::Generalise, Treatment::Withhold];
    let treatment = words("What becomes of the field.", &treatments);
    let fields = Field::ALL.map(|field| (field.word().to_owned(), treatment.clone()));
    let fields: serde_json::Map<_, _> = fields.into_iter().collect();
    let approvals = [Approval::Auto, Approval::OnePerson, Approval::TwoPerson];
    let keys = [
        ("detail", words("How much of its routers the domain shows.", &Detail::ALL)),
        ("tlp", words("The label that answers bear.", &Tlp::ALL)),
        ("approval", words("Who must agree first.", &approvals)),
        ("time", text("Times are rounded down to this, such as \"1m\".")),
        ("retain", text("How long answers may be kept, such as \"7d\".")),
        (
            "fields",
            json!({ "type": "object", "additionalProperties": false, "properties": fields }),
        ),
    ];
    keys.into_iter().map(|(key, schema)| (key.to_owned(), schema)).collect()
}

fn words(about: &str, words: &[impl serde::Serialize]) -> Value {
    json!({ "type": "string", "description": about, "enum": words })
}
