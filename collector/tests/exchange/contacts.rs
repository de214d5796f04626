//! Points of contact at work: expired entries, silence, exercises.

use crate::realm::{Realm, begin};
use ashiato_collector::clock::Utc;
use ashiato_collector::contact::Directory;
use ashiato_collector::contact::signed::Signed;
use ashiato_collector::exchange::{Contacts, Exchange, Logs, Mode, Status};
use ashiato_collector::signer::Signer;
use std::sync::Arc;
use std::time::Duration;

/// xb's entry has expired, xc's not; both escalate to xd.
fn directory() -> Directory {
    let (past, future) = (Utc(Utc::now().0 - 60), Utc(Utc::now().0 + 86_400));
    let entry = |domain: &str, until: Utc, escalation: &str| {
        format!(
            "[[contact]]\ndomain = \"{domain}\"\nvalid_until = \"{until}\"\nescalation = {escalation}\n\
             [[contact.desk]]\nrole = \"csirt\"\nreach = [\"csirt@{domain}.example\"]\n"
        )
    };
    let text = [
        format!("schema = \"ashiato.contacts/1\"\nissued = \"{past}\"\n"),
        entry("xb", past, "[\"xd\"]"),
        entry("xc", future, "[\"xd\"]"),
        entry("xd", future, "[]"),
    ];
    toml::from_str(&text.concat()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_who_has_expired_and_somebody_else_is_named() {
    let mut realm = Realm::new(4, &[(0, 1), (1, 2), (1, 3)]);
    let signer = Signer::generate().unwrap();
    let file = realm.lands[0].rig.dir.join("contacts.json");
    let signed = Signed::new(directory(), &signer).unwrap();
    std::fs::write(&file, serde_json::to_string(&signed).unwrap()).unwrap();
    let signers = vec![signer.public()];
    realm.exchange(0).directory = Some(Contacts { file: file.clone(), signers });
    // Nobody at xc.
    for at in [0, 1, 3] {
        realm.start_one(at).await;
    }
    realm.walk(1, &[1, 0]);
    let mut operator = realm.operator(0, "alice").await;
    let joined = operator.inquire(&begin(0, &[1], Mode::Star)).await.unwrap();
    let status = |id: &str| joined.asked.iter().find(|a| a.domain == id).unwrap().status.clone();
    let Status::Failed { why } = status("xb") else { panic!("{joined:#?}") };
    assert!(why.contains("expired") && why.contains("nothing was sent"), "{why}");
    assert!(realm.lands[1].events().is_empty());
    let next = |id: &str| -> Vec<&str> {
        joined.escalate[id].iter().map(|reach| reach.domain.as_str()).collect()
    };
    assert_eq!((next("xb"), next("xc")), (vec!["xd"], vec!["xc", "xd"]));
    assert!(realm.lands[0].events().iter().any(|e| e == "escalated"));

    let ping = operator.ping("xd").await.unwrap();
    assert!(ping.reached && ping.escalate.is_empty(), "{ping:?}");
    let document = std::fs::read_to_string(realm.lands[3].audit()).unwrap();
    assert!(document.contains("EXERCISE"), "{document}");
    let ping = operator.ping("xb").await.unwrap();
    assert!(!ping.reached && ping.escalate[0].domain == "xd", "{ping:?}");
    assert!(operator.ping("nobody").await.is_err());

    // Signed by somebody else: such a collector does not start.
    let stranger = vec![Signer::generate().unwrap().public()];
    realm.exchange(0).directory = Some(Contacts { file, signers: stranger });
    let config = realm.exchange(0).clone();
    let (hub, store) = (Arc::default(), realm.lands[0].rig.config.store.clone());
    let logs = Logs { hub, store, patience: Duration::from_secs(1) };
    let refused = Exchange::start(&config, logs, None).await.unwrap_err();
    assert!(refused.to_string().contains("not known here"), "{refused}");
}
