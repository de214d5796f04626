//! What became of a question: told to who put it, also where the first answer was lost on its way.

use crate::realm::{Realm, ask, begin, own_address, put};
use ashiato_collector::exchange::letter::{self, Letter};
use ashiato_collector::exchange::{Mode, Reply, Status};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use traceback::disclose::{Approval, Tlp};

/// What a domain says to another's query, and the label of the document.
async fn query(
    realm: &Realm,
    (from, to): (usize, usize),
    id: &str,
) -> (Option<Reply>, Option<Tlp>) {
    let (me, peer) = (&realm.lands[from].id, &realm.lands[to].id);
    let given = put(realm, (from, to), letter::query(id, peer, me)).await.unwrap();
    match Letter::read(&given.body, peer, me).unwrap() {
        Letter::Report(document) => (letter::told(&document), Some(document.label())),
        Letter::Reply(reply) => (Some(reply), None),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_put_a_question_may_ask_what_became_of_it() {
    let mut realm = Realm::new(3, &[(0, 1), (1, 2)]);
    realm.lands[1].policy.answers.tlp = Tlp::Red;
    realm.start().await;
    realm.walk(1, &[1, 0]);
    let told = ask(&realm, (0, 1), &realm.question(0, 1, "mine")).await.unwrap();
    let (again, label) = query(&realm, (0, 1), "mine").await;
    assert_eq!((again.as_ref(), label), (Some(&told), Some(Tlp::Red)));
    // Others learn nothing, not even whether there is such a question.
    let refusal = |reply: Option<Reply>| match reply.unwrap().status {
        Status::Refused { justification, why } => (justification, why),
        other => panic!("{other:?}"),
    };
    let others = refusal(query(&realm, (2, 1), "mine").await.0);
    assert_eq!(others, refusal(query(&realm, (2, 1), "nobodys").await.0));
    let queries = realm.lands[1].events().iter().filter(|e| *e == "query").count();
    assert_eq!(queries, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_waits_for_people_is_pending() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    realm.lands[1].policy.answers.approval = Approval::OnePerson;
    realm.start().await;
    realm.walk(1, &[1, 0]);
    assert_eq!(ask(&realm, (0, 1), &realm.question(0, 1, "slow")).await, None);
    let (state, _) = query(&realm, (0, 1), "slow").await;
    assert!(matches!(state.unwrap().status, Status::Pending { by_ms: Some(_) }));
}

/// Passes connections on to a collector, but loses what it answers on the first one, and breaks that when the answer
/// is in the collector's log.
async fn lossy(listener: TcpListener, to: SocketAddr, log: PathBuf) {
    let mut is_first = true;
    while let Ok((near, _)) = listener.accept().await {
        let loses = std::mem::take(&mut is_first).then(|| log.clone());
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            let mut near = near;
            let Some(log) = loses else {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                return;
            };
            let (mut sent, mut up, mut down) = (0, [0; 4096], [0; 4096]);
            loop {
                tokio::select! {
                    n = near.read(&mut up) => {
                        let Ok(n @ 1..) = n else { return };
                        sent += n;
                        far.write_all(&up[..n]).await.unwrap();
                    }
                    // A handshake takes less than this, a question more.
                    n = far.read(&mut down), if sent < 2_500 => {
                        let Ok(n @ 1..) = n else { return };
                        near.write_all(&down[..n]).await.unwrap();
                    }
                    () = sleep(Duration::from_millis(20)), if sent >= 2_500 => {
                        let told = std::fs::read_to_string(&log).unwrap_or_default();
                        if told.contains("\"event\":\"told\"") {
                            return;
                        }
                    }
                }
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_on_its_way_is_told_again() {
    let mut realm = Realm::new(2, &[(0, 1)]);
    let between = own_address();
    realm.exchange(0).peers[0].address = between;
    let listener = TcpListener::bind(between).await.unwrap();
    let lost = tokio::spawn(lossy(listener, realm.lands[1].address, realm.lands[1].audit()));
    realm.start().await;
    realm.walk(1, &[1, 0]);
    let mut operator = realm.operator(0, "alice").await;
    let joined = operator.inquire(&begin(0, &[1], Mode::Star)).await.unwrap();
    assert_eq!(joined.ways[0].stretches.len(), 2, "{joined:#?}");
    assert_eq!(joined.asked[0].status, Status::Answered);
    let events = realm.lands[1].events();
    assert!(events.iter().any(|e| e == "already-seen"), "nothing was lost: {events:?}");
    assert!(events.iter().any(|e| e == "query"), "{events:?}");
    lost.abort();
}
