//! What operators may do: what the domain's configuration gives them, and nothing else.

use crate::people::waiting;
use crate::realm::{Realm, begin};
use ashiato_collector::exchange::{Mode, Right, Status, Verdict};
use traceback::disclose::Approval;

/// A call that was refused for want of a right.
fn lacks<T: std::fmt::Debug, E: std::fmt::Display>(called: Result<T, E>, right: &str) {
    let refused = called.unwrap_err().to_string();
    assert!(refused.contains(&format!("no right to {right}")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_do_what_they_have_a_right_to() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.approval = Approval::TwoPerson;
    let give = |name: &str, rights: &[Right]| (name.to_owned(), rights.iter().copied().collect());
    realm.exchange(1).operators = [
        give("alice", &[Right::Read, Right::Begin]),
        give("bob", &[Right::Read, Right::Decide]),
        give("carol", &[Right::Decide]),
    ]
    .into();
    realm.start().await;
    realm.walk(1, &[1, 0]);
    let mut asker = realm.operator(0, "alice").await;
    let asked = tokio::spawn(async move {
        let mut begin = begin(0, &[1], Mode::Star);
        begin.patience_ms = 15_000;
        asker.inquire(&begin).await.unwrap()
    });
    let mut alice = realm.operator(1, "alice").await;
    let word = waiting(&mut alice).await.inquiry.id;
    // Who may not decide does not count among the two who must.
    lacks(alice.decide(&word, &Verdict::Approve).await, "decide");
    let mut bob = realm.operator(1, "bob").await;
    lacks(bob.inquire(&begin(1, &[1], Mode::Star)).await, "begin");
    assert_eq!(bob.decide(&word, &Verdict::Approve).await.unwrap(), 1);
    let mut carol = realm.operator(1, "carol").await;
    lacks(carol.received().await, "read");
    lacks(carol.cases().await, "read");
    lacks(carol.left_about("198.18.0.0/24".parse().unwrap()).await, "read");
    // Who is not named may do nothing, whatever the certificate.
    let mut nobody = realm.operator(1, "nobody").await;
    lacks(nobody.received().await, "read");
    lacks(nobody.ping("xa").await, "begin");
    lacks(nobody.decide(&word, &Verdict::Approve).await, "decide");
    assert_eq!(alice.received().await.unwrap()[0].state, "pending");
    assert_eq!(carol.decide(&word, &Verdict::Approve).await.unwrap(), 0);
    let joined = asked.await.unwrap();
    assert!(joined.asked.iter().any(|a| a.status == Status::Answered), "{joined:#?}");
    let refused = realm.lands[1].events().iter().filter(|e| *e == "not-allowed").count();
    assert_eq!(refused, 8);
}
