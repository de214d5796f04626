//! Checks that a spec makes sense in itself: words, references, AS numbers, schemes, effects.

use super::document::Document;
use super::problems::Problems;
use super::report::Report;
use super::spec::{SCHEMA, Spec};
use super::words::{LONGEST, listed, nearest, suits};
use super::{adversary, faults, links as conditions, networks, outcomes, streams};
use crate::units::Quantity;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use traceback::schemes::{self, BadChoice, Entry};

/// All problems of meaning that need no addresses and no routes.
pub(super) fn check(spec: &Spec, document: &Document) -> Result<(), Report> {
    let mut problems = Problems::new(document);
    if spec.schema != SCHEMA {
        let what = format!("this build cannot read \"{}\"", spec.schema);
        problems.add("schema", what, format!("write schema = \"{SCHEMA}\""));
    }
    suit(&spec.name, "name", &mut problems);
    words(spec, &mut problems);
    aims(spec, &mut problems);
    domains(spec, &mut problems);
    topology(spec, &mut problems);
    chosen(spec, &mut problems);
    networks::check(spec, &mut problems);
    streams::check(spec, &mut problems);
    conditions::check(spec, &mut problems);
    adversary::check(spec, &mut problems);
    faults::check(spec, &mut problems);
    outcomes::check(spec, &mut problems);
    caution(spec, &mut problems);
    problems.end()
}

/// Why it is made and who answers for what, where that is said.
fn aims(spec: &Spec, problems: &mut Problems<'_>) {
    let statement = spec.purpose.as_ref().map(|p| ("purpose.statement".to_owned(), &p.statement));
    let duties = spec.role.iter().zip(0..).map(|(r, i)| (format!("role.{i}.duty"), &r.duty));
    for (path, text) in statement.into_iter().chain(duties) {
        if text.trim().is_empty() {
            problems.add(path, "nothing is said", "write a sentence for those who are to agree");
        }
    }
    let domains: Vec<&str> = spec.domain.iter().map(|d| d.id.as_str()).collect();
    for (i, role) in spec.role.iter().enumerate() {
        known(&role.domain, &domains, format!("role.{i}.domain"), "domain", problems);
    }
}

/// How a run begins and what ends it early.
fn caution(spec: &Spec, problems: &mut Problems<'_>) {
    if spec.safety.ramp.is_some_and(|ramp| ramp.amount() > 60_000_000_000) {
        problems.add(
            "safety.ramp",
            "a ramp is too long",
            "write a minute at most: ramp = \"10 s\"",
        );
    }
    for (i, stop) in spec.safety.stop_if.iter().enumerate() {
        if stop.above.is_some() == stop.below.is_some() {
            let what = format!("{} needs one side", stop.measure.word());
            let mend = "give either above or below";
            problems.add(format!("safety.stop_if.{i}"), what, mend);
        }
        if [stop.above, stop.below].into_iter().flatten().any(|limit| !limit.is_finite()) {
            let mend = "write a number";
            problems.add(format!("safety.stop_if.{i}"), "a limit is no number", mend);
        }
    }
}

/// Says so where a word does not suit a scenario.
pub(super) fn suit(word: &str, path: &str, problems: &mut Problems<'_>) {
    if !suits(word) {
        let mend = format!(
            "use a small letter, then small letters, digits and single hyphens, {LONGEST} at most"
        );
        problems.add(path, format!("\"{word}\" is no word for a scenario"), mend);
    }
}

/// Words are well formed and name one thing each.
fn words(spec: &Spec, problems: &mut Problems<'_>) {
    let routers = spec.topology.routers.iter().map(|r| &r.id);
    let hosts = spec.topology.hosts.iter().map(|h| &h.id);
    let numbered = |key: &'static str| (0..).map(move |i| format!("{key}.{i}.id"));
    let nodes: Vec<_> = (numbered("topology.routers").zip(routers))
        .chain(numbered("topology.hosts").zip(hosts))
        .collect();
    let domains = numbered("domain").zip(spec.domain.iter().map(|d| &d.id)).collect();
    let traffic = numbered("traffic").zip(spec.traffic.iter().map(|t| &t.id)).collect();
    let roles = numbered("role").zip(spec.role.iter().map(|r| &r.id)).collect();
    for group in [nodes, domains, traffic, roles] {
        let mut seen = BTreeMap::new();
        for (path, word) in group {
            suit(word, &path, problems);
            if let Some(first) = seen.insert(word, path.clone()) {
                let mend = format!("the first is {first}; give every one a word of its own");
                problems.add(&path, format!("\"{word}\" is used twice"), mend);
            }
        }
    }
}

fn domains(spec: &Spec, problems: &mut Problems<'_>) {
    if spec.domain.is_empty() {
        problems.add("domain", "a scenario needs a domain", "add a [[domain]]");
    }
    let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
    for (i, domain) in spec.domain.iter().enumerate() {
        let letters = domain.nation.chars().filter(char::is_ascii_uppercase).count();
        if (domain.nation.len(), letters) != (2, 2) {
            let what = format!("\"{}\" is no nation", domain.nation);
            let mend = "write two capital letters; XA to XZ accuse no country";
            problems.add(format!("domain.{i}.nation"), what, mend);
        }
        if domain.asns.is_empty() {
            let mend = "write asns = [64512]";
            problems.add(format!("domain.{i}.asns"), "a domain needs an AS number", mend);
        }
        for (n, asn) in domain.asns.iter().enumerate() {
            let path = format!("domain.{i}.asns.{n}");
            if !(64_496..=64_511).contains(asn) && !(64_512..=65_534).contains(asn) {
                let what = format!("AS {asn} may belong to somebody");
                let mend = "use 64496-64511 (documentation) or 64512-65534 (private)";
                problems.add(&path, what, mend);
            }
            if let Some(owner) = owners.insert(*asn, &domain.id) {
                let what = format!("AS {asn} is already in domain \"{owner}\"");
                problems.add(&path, what, "an AS number belongs to one domain, once");
            }
        }
    }
}

fn topology(spec: &Spec, problems: &mut Problems<'_>) {
    let domains: Vec<_> = spec.domain.iter().map(|d| d.id.as_str()).collect();
    let routers: Vec<_> = spec.topology.routers.iter().map(|r| r.id.as_str()).collect();
    if routers.is_empty() {
        problems.add("topology.routers", "a scenario needs a router", "add one to the list");
    }
    for (i, router) in spec.topology.routers.iter().enumerate() {
        let path = format!("topology.routers.{i}");
        let domain = match &router.domain {
            Some(id) => {
                let found = spec.domain.iter().find(|d| d.id == *id);
                if found.is_none() {
                    let what = format!("there is no domain \"{id}\"");
                    problems.add(format!("{path}.domain"), what, nearest(id, &domains));
                }
                found
            }
            None if spec.domain.len() == 1 => spec.domain.first(),
            None => {
                let what = format!("router \"{}\" does not say its domain", router.id);
                problems.add(&path, what, format!("add domain = one of {}", listed(&domains)));
                None
            }
        };
        let Some(domain) = domain else { continue };
        let all: Vec<_> = domain.asns.iter().map(u32::to_string).collect();
        match router.asn {
            Some(asn) if !domain.asns.contains(&asn) => {
                let what = format!("AS {asn} is not in domain \"{}\"", domain.id);
                problems.add(format!("{path}.as"), what, format!("its are {}", all.join(", ")));
            }
            None if domain.asns.len() > 1 => {
                let what = format!("router \"{}\" does not say its AS number", router.id);
                problems.add(&path, what, format!("add as = one of {}", all.join(", ")));
            }
            _ => {}
        }
    }
    links(spec, &routers, problems);
}

fn links(spec: &Spec, routers: &[&str], problems: &mut Problems<'_>) {
    for (i, host) in spec.topology.hosts.iter().enumerate() {
        known(&host.router, routers, format!("topology.hosts.{i}.router"), "router", problems);
    }
    let mut seen = BTreeMap::new();
    for (i, link) in spec.topology.links.iter().enumerate() {
        let path = format!("topology.links.{i}");
        known(&link.a, routers, format!("{path}.a"), "router", problems);
        known(&link.b, routers, format!("{path}.b"), "router", problems);
        if link.a == link.b {
            let what = format!("\"{}\" is linked with itself", link.a);
            problems.add(&path, what, "name two routers");
        }
        let pair = if link.a < link.b { (&link.a, &link.b) } else { (&link.b, &link.a) };
        if seen.insert(pair, i).is_some() {
            let what = format!("\"{}\" and \"{}\" are linked twice", link.a, link.b);
            problems.add(
                &path,
                what,
                "one link joins two routers: routes could not tell them apart",
            );
        }
        if !(1280..=9000).contains(&link.mtu.bytes()) {
            let what = format!("an MTU of {} is out of range", link.mtu);
            problems.add(format!("{path}.mtu"), what, "use 1280 B to 9000 B");
        }
    }
}

/// Says so where a word names nothing.
pub(super) fn known(
    word: &str,
    all: &[&str],
    path: String,
    what: &str,
    problems: &mut Problems<'_>,
) {
    if !all.contains(&word) {
        problems.add(path, format!("there is no {what} \"{word}\""), nearest(word, all));
    }
}

fn chosen(spec: &Spec, problems: &mut Problems<'_>) {
    let all: Vec<_> = schemes::SCHEMES.iter().map(|s| s.card().id).collect();
    if spec.scheme.is_empty() {
        problems.add("scheme", "a scenario needs a scheme", "add a [[scheme]] with an id");
    }
    for (i, scheme) in spec.scheme.iter().enumerate() {
        let path = format!("scheme.{i}");
        if spec.scheme[..i].iter().any(|s| s.id == scheme.id) {
            let what = format!("scheme \"{}\" is used twice", scheme.id);
            problems.add(format!("{path}.id"), what, "compare parameters by separate runs");
        }
        match schemes::find(&scheme.id) {
            None => known(&scheme.id, &all, format!("{path}.id"), "scheme", problems),
            Some(entry) => params(entry, &scheme.params, &path, problems),
        }
    }
}

fn params(entry: &dyn Entry, given: &Map<String, Value>, path: &str, problems: &mut Problems<'_>) {
    let defaults = entry.defaults();
    let known = defaults.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    let known: Vec<_> = known.collect();
    let mut sound = true;
    for (key, value) in given {
        let at = format!("{path}.{key}");
        if !known.contains(&key.as_str()) {
            let what = format!("scheme \"{}\" has no parameter \"{key}\"", entry.card().id);
            problems.add(at, what, nearest(key, &known));
            sound = false;
        } else if let Err(e) =
            entry.build(&Value::Object(Map::from_iter([(key.clone(), value.clone())])))
        {
            let usual = format!("the paper uses {key} = {}", defaults[key]);
            problems.add(at, e, usual);
            sound = false;
        }
    }
    // What only the combination shows.
    if sound && let Err(e) = entry.build(&Value::Object(given.clone())) {
        let key = if let BadChoice::Params(bad) = &e { bad.key } else { "id" };
        problems.add(format!("{path}.{key}"), e, "");
    }
}
