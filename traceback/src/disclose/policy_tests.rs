use super::*;
use proptest::prelude::*;

const MIDNIGHT: u64 = 1_700_006_400;

fn ask<'a>(requester: &'a str, purpose: &'a str) -> Ask<'a> {
    Ask {
        requester,
        origin: requester,
        purpose,
        tlp: Tlp::Clear,
        region: Region::IntraConsortium,
        at_unix_s: MIDNIGHT + 12 * 3_600,
        asked_in_last_hour: 0,
    }
}

fn rule(id: &str, requester: Option<&str>, detail: Detail) -> Rule {
    Rule {
        id: id.into(),
        requester: requester.map(|r| vec![r.into()]),
        purpose: None,
        region: None,
        hours: None,
        rate: None,
        detail,
        tlp: None,
        approval: None,
        time: None,
        retain: None,
        fields: BTreeMap::new(),
    }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy { rules, ..Policy::plain("xb", Detail::As, Detail::None) }
}

#[test]
fn the_first_rule_that_fits_counts_and_is_told() {
    let p = policy(vec![
        rule("xa", Some("xa"), Detail::Border),
        rule("all", None, Detail::Nation),
        rule("xc", Some("xc"), Detail::Router),
    ]);
    let got = |who| p.judge(&ask(who, "traceback")).map(|t| (t.rule, t.detail));
    assert_eq!(got("xa"), Ok(("xa".into(), Detail::Border)));
    assert_eq!(got("xc"), Ok(("all".into(), Detail::Nation)));
    let refusal = policy(vec![]).judge(&ask("xa", "traceback")).unwrap_err();
    assert_eq!((refusal.rule.as_str(), refusal.justification), (DEFAULT, Justification::Other));
}

#[test]
fn hours_and_rates_end_in_refusals_not_in_later_rules() {
    let strict = Rule {
        hours: Some("08:00-18:00".parse().unwrap()),
        rate: Some("2/h".parse().unwrap()),
        ..rule("day", Some("xa"), Detail::As)
    };
    let p = policy(vec![strict, rule("lax", None, Detail::Router)]);
    let day = ask("xa", "traceback");
    assert_eq!(p.judge(&day).unwrap().detail, Detail::As);
    let night = Ask { at_unix_s: MIDNIGHT, ..day.clone() };
    assert!(p.judge(&night).unwrap_err().why.contains("08:00-18:00 UTC"));
    let third = p.judge(&Ask { asked_in_last_hour: 2, ..day }).unwrap_err();
    assert_eq!((third.rule.as_str(), third.justification), ("day", Justification::SystemResource));
}

#[test]
fn who_asks_for_another_gets_what_both_may_know() {
    let p = policy(vec![
        rule("near", Some("xc"), Detail::Router),
        Rule { tlp: Some(Tlp::Red), ..rule("far", Some("xa"), Detail::As) },
    ]);
    let handed_on = Ask { origin: "xa", ..ask("xc", "traceback") };
    let terms = p.judge(&handed_on).unwrap();
    assert_eq!((terms.detail, terms.tlp, terms.rule.as_str()), (Detail::As, Tlp::Red, "near+far"));
    let stranger = Ask { origin: "xd", ..ask("xc", "traceback") };
    assert!(p.judge(&stranger).is_err());
}

#[test]
fn what_is_no_policy_is_refused() {
    let twice = policy(vec![rule("a", None, Detail::As), rule("a", None, Detail::As)]);
    assert_eq!(twice.check(), Err(BadPolicy::Id(2, "a".into())));
    let taken = policy(vec![rule(DEFAULT, None, Detail::As)]);
    assert_eq!(taken.check(), Err(BadPolicy::Id(1, DEFAULT.into())));
    let mut other = policy(vec![]);
    other.schema = "ashiato.policy/9".into();
    assert!(other.check().unwrap_err().to_string().contains("ashiato.policy/1"));
    let text = r#"{"schema":"ashiato.policy/1","domain":"xb","rule":[{"id":"a","detial":"as"}]}"#;
    let error = serde_json::from_str::<Policy>(text).unwrap_err().to_string();
    assert!(error.contains("detial") && error.contains("detail"), "{error}");
    // What leaves out everything tells nothing and marks nothing.
    let text = r#"{"schema":"ashiato.policy/1","domain":"xb"}"#;
    let silent: Policy = serde_json::from_str(text).unwrap();
    assert_eq!((silent.marks, silent.answers.detail), (Detail::None, Detail::None));
}

fn details() -> impl Strategy<Value = Detail> {
    (0..Detail::ALL.len()).prop_map(|i| Detail::ALL[i])
}

fn fields() -> impl Strategy<Value = BTreeMap<Field, Treatment>> {
    let all = [Treatment::Pass, Treatment::Generalise, Treatment::Hash, Treatment::Withhold];
    let one = (0..Field::ALL.len(), 0..all.len()).prop_map(move |(f, t)| (Field::ALL[f], all[t]));
    proptest::collection::btree_map(Just(()).prop_flat_map(move |()| one.clone()), Just(()), 0..4)
        .prop_map(|pairs| pairs.into_keys().collect())
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let one = (0..4_usize, 0..3_usize, details(), 0..5_usize, fields()).prop_map(
        |(who, purpose, detail, tlp, fields)| Rule {
            requester: (who < 3).then(|| vec![["xa", "xc", "xd"][who].into()]),
            purpose: (purpose < 2).then(|| vec![["traceback", "exercise"][purpose].into()]),
            tlp: Some(Tlp::ALL[tlp]),
            fields,
            ..rule("", None, detail)
        },
    );
    proptest::collection::vec(one, 0..6).prop_map(|mut rules| {
        rules.iter_mut().enumerate().for_each(|(i, rule)| rule.id = format!("r{i}"));
        rules
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Whatever rules there are and in whatever order, an answer shows no more than every rule that it names
    /// allows, and its label is below none of theirs nor the question's.
    #[test]
    fn no_answer_shows_more_than_the_rules_it_names(
        rules in rules(), usual in details(), asker in 0..4_usize, origin in 0..4_usize, tlp in 0..5_usize,
    ) {
        let who = ["xa", "xc", "xd", "xe"];
        let p = Policy { rules, ..Policy::plain("xb", Detail::None, usual) };
        let question = Ask { origin: who[origin], tlp: Tlp::ALL[tlp], ..ask(who[asker], "traceback") };
        let Ok(terms) = p.judge(&question) else { return Ok(()) };
        prop_assert!(terms.tlp >= question.tlp && terms.shown() != Detail::None);
        for name in terms.rule.split('+') {
            let rule = p.rules.iter().find(|r| r.id == name);
            let detail = rule.map_or(p.answers.detail, |r| r.detail);
            prop_assert!(detail.allows(terms.detail) && terms.detail.allows(terms.shown()));
            prop_assert!(terms.tlp >= rule.and_then(|r| r.tlp).unwrap_or(p.answers.tlp));
            for (field, treatment) in rule.into_iter().flat_map(|r| &r.fields) {
                prop_assert!(terms.treatment(*field) >= *treatment);
            }
        }
    }
}
