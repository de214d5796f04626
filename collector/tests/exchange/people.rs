//! Inquiries that people decide, and those that a crash interrupts.

use crate::realm::{Realm, begin, now_ms};
use crate::rig::{LONG, Program};
use ashiato_collector::client::Operator;
use ashiato_collector::exchange::join::Kind;
use ashiato_collector::exchange::{Joined, Mode, Received, Status, Verdict};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use traceback::disclose::{Approval, Lapse, Origin};

/// The inquiry that waits at a domain, once it is there.
pub(crate) async fn waiting(operator: &mut Operator) -> Received {
    let found = async {
        loop {
            let all = operator.received().await.unwrap();
            if let Some(found) = all.into_iter().find(|r| r.state == "pending") {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, found).await.unwrap()
}

async fn two(approval: Approval) -> Realm {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.approval = approval;
    realm.start().await;
    realm.walk(1, &[1, 0]);
    realm
}

#[tokio::test(flavor = "multi_thread")]
async fn two_persons_agree_and_every_step_has_its_time() {
    let realm = two(Approval::TwoPerson).await;
    let mut asker = realm.operator(0, "alice").await;
    let asked =
        tokio::spawn(async move { asker.inquire(&begin(0, &[1], Mode::Star)).await.unwrap() });
    let (mut bob, mut carol) = (realm.operator(1, "bob").await, realm.operator(1, "carol").await);
    let word = waiting(&mut bob).await.inquiry.id;
    assert_eq!(bob.decide(&word, &Verdict::Approve).await.unwrap(), 1);
    let again = bob.decide(&word, &Verdict::Approve).await.unwrap_err();
    assert!(again.to_string().contains("another person"), "{again}");
    // Long enough for the word that people decide to arrive before the answer.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(carol.decide(&word, &Verdict::Approve).await.unwrap(), 0);
    let joined = timeout(LONG, asked).await.unwrap().unwrap();
    assert_eq!(joined.ways[0].stretches.len(), 2, "{joined:#?}");
    let answer = &joined.asked[0];
    let (asked, acknowledged) = (answer.asked_ms.unwrap(), answer.acknowledged_ms.unwrap());
    assert!(asked <= acknowledged && acknowledged <= answer.answered_ms.unwrap());
    let delivered = async {
        loop {
            let done = bob.received().await.unwrap().remove(0);
            if done.delivered_ms.is_some() {
                return done;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    let done = timeout(LONG, delivered).await.unwrap();
    assert_eq!((done.state.as_str(), done.votes.len(), done.needs), ("answered", 2, 2));
    assert!(done.received_ms <= done.decided_ms.unwrap());
    assert!(done.decided_ms <= done.answered_ms && done.answered_ms <= done.delivered_ms);
    let late = carol.decide(&word, &Verdict::Approve).await.unwrap_err();
    assert!(late.to_string().contains("it is answered"), "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_deny_answer_by_hand_or_let_it_expire() {
    let realm = two(Approval::OnePerson).await;
    let mut bob = realm.operator(1, "bob").await;
    let deny = Verdict::Deny { why: "no warrant".into() };
    let answer = Verdict::Answer { origin: Some(Origin::Inside) };
    for verdict in [Some(deny), Some(answer), None] {
        let mut asker = realm.operator(0, "alice").await;
        let mut begin = begin(0, &[1], Mode::Star);
        if verdict.is_none() {
            (begin.deadline_ms, begin.patience_ms) = (500, 400);
        }
        let asked = tokio::spawn(async move { asker.inquire(&begin).await.unwrap() });
        let word = waiting(&mut bob).await.inquiry.id;
        if let Some(verdict) = &verdict {
            bob.decide(&word, verdict).await.unwrap();
        }
        let joined = timeout(LONG, asked).await.unwrap().unwrap();
        let status = joined.asked[0].status.clone();
        match verdict {
            Some(Verdict::Deny { why }) => {
                assert!(matches!(status, Status::Refused { why: said, .. } if said == why));
            }
            Some(_) => assert_eq!(joined.ways[0].origin, Origin::Inside),
            None => assert!(matches!(status, Status::Pending { .. }), "{status:?}"),
        }
    }
    // What nobody decided is over at its deadline, which is said there, too.
    let expired = async {
        while !bob.received().await.unwrap().iter().any(|r| r.state == "expired") {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, expired).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_no_inquiry() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.approval = Approval::OnePerson;
    realm.start_one(0).await;
    realm.lands[1].write_policy();
    let config = realm.lands[1].rig.config_file();
    let program = Program::start(&config, "127.0.0.1:0");
    let map = realm.map_of(1);
    realm.agents(1, &map, program.listen).await;
    realm.walk(1, &[1, 0]);
    let mut asker = realm.operator(0, "alice").await;
    let asked = tokio::spawn(async move {
        let mut begin = begin(0, &[1], Mode::Star);
        begin.patience_ms = 15_000;
        asker.inquire(&begin).await.unwrap()
    });
    let keys = realm.lands[1].rig.keys("operator/bob");
    let mut bob = Operator::connect(program.listen, &keys).await.unwrap();
    let word = waiting(&mut bob).await.inquiry.id;
    // Twice: while people decide, and when they have decided and routers are asked.
    let listen = program.listen.to_string();
    program.kill();
    let program = Program::start(&config, &listen);
    let mut bob = Operator::connect(program.listen, &keys).await.unwrap();
    assert_eq!(waiting(&mut bob).await.inquiry.id, word);
    bob.decide(&word, &Verdict::Approve).await.unwrap();
    program.kill();
    let program = Program::start(&config, &listen);
    let joined = timeout(LONG, asked).await.unwrap().unwrap();
    assert_eq!(joined.ways[0].stretches.len(), 2, "{joined:#?}");
    program.kill();
    ashiato_collector::evidence::check(&realm.lands[1].audit()).unwrap();
}

/// The case of a domain when it is over.
async fn over(operator: &mut Operator) -> serde_json::Value {
    let ended = async {
        loop {
            let case = operator.cases().await.unwrap().swap_remove(0);
            if case["state"] != "running" {
                return case;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, ended).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_of_who_began_loses_no_case() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.approval = Approval::OnePerson;
    realm.start_one(1).await;
    realm.lands[0].write_policy();
    let config = realm.lands[0].rig.config_file();
    let program = Program::start(&config, "127.0.0.1:0");
    let listen = program.listen.to_string();
    let map = realm.map_of(0);
    realm.agents(0, &map, program.listen).await;
    realm.walk(1, &[1, 0]);
    let keys = realm.lands[0].rig.keys("operator/alice");
    let mut alice = Operator::connect(program.listen, &keys).await.unwrap();
    let mut begin = begin(0, &[1], Mode::Star);
    begin.patience_ms = 15_000;
    let asked = tokio::spawn(async move { alice.inquire(&begin).await });
    let mut bob = realm.operator(1, "bob").await;
    let first = waiting(&mut bob).await.inquiry.id;
    program.kill();
    assert!(asked.await.unwrap().is_err(), "who called is told that the call broke");
    let program = Program::start(&config, &listen);
    // What was asked before is answered to nobody's use, and noted; it is asked again under another word.
    bob.decide(&first, &Verdict::Approve).await.unwrap();
    let second = waiting(&mut bob).await.inquiry.id;
    assert_eq!(first.split('.').next(), second.split('~').next());
    bob.decide(&second, &Verdict::Approve).await.unwrap();
    let mut alice = Operator::connect(program.listen, &keys).await.unwrap();
    let case = over(&mut alice).await;
    assert_eq!(case["state"], "done", "{case}");
    let joined: Joined = serde_json::from_value(case["joined"].clone()).unwrap();
    assert_eq!(joined.ways[0].stretches.len(), 2, "{joined:#?}");
    assert_eq!(joined.flags.iter().map(|f| f.kind).collect::<Vec<_>>(), [Kind::Resumed]);
    let events = realm.lands[0].events();
    assert!(["resumed", "late"].iter().all(|e| events.iter().any(|line| line == e)), "{events:?}");
    program.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_whose_time_is_over_does_not_go_on() {
    let realm = Realm::new(2, &[(0, 1)]);
    realm.lands[0].write_policy();
    let config = realm.lands[0].rig.config_file();
    let program = Program::start(&config, "127.0.0.1:0");
    let listen = program.listen.to_string();
    let keys = realm.lands[0].rig.keys("operator/alice");
    let mut alice = Operator::connect(program.listen, &keys).await.unwrap();
    let mut begin = begin(0, &[1], Mode::Star);
    begin.deadline_ms = 1_500;
    // No router answers for five seconds after the start, so it is still under way.
    let asked = tokio::spawn(async move { alice.inquire(&begin).await });
    let mut bob =
        Operator::connect(program.listen, &realm.lands[0].rig.keys("operator/bob")).await.unwrap();
    let began = async {
        while bob.cases().await.unwrap().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(LONG, began).await.unwrap();
    program.kill();
    assert!(asked.await.unwrap().is_err());
    sleep(Duration::from_millis(1_600)).await;
    let program = Program::start(&config, &listen);
    let mut alice = Operator::connect(program.listen, &keys).await.unwrap();
    let case = over(&mut alice).await;
    assert_eq!(case["state"], "failed", "{case}");
    assert!(case["joined"]["why"].as_str().unwrap().contains("its time is over"), "{case}");
    program.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_kept_is_gone_from_the_file() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.retain = Lapse(1);
    realm.start().await;
    realm.walk(1, &[1, 0]);
    let mut asker = realm.operator(0, "alice").await;
    let joined = asker.inquire(&begin(0, &[1], Mode::Star)).await.unwrap();
    assert_eq!(joined.ways[0].stretches.len(), 2);
    let land = &realm.lands[1];
    let there = |word: &str| {
        let files = ["exchange.db", "exchange.db-wal", "exchange.ndjson"];
        let read = |name: &str| std::fs::read(land.rig.dir.join(name)).unwrap_or_default();
        files.iter().any(|name| read(name).windows(word.len()).any(|w| w == word.as_bytes()))
    };
    let passage = "\"hops\":[{";
    let began = now_ms();
    while there(passage) {
        assert!(now_ms() - began < 10_000, "still there");
        sleep(Duration::from_millis(100)).await;
    }
    ashiato_collector::evidence::check(&land.audit()).unwrap();
}
