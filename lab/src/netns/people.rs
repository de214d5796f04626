//! The people at domains' points of contact, played by the lab: they agree to what waits for them.

use super::inquiry::Call;
use anyhow::{Error, Result};
use ashiato_collector::client::Operator;
use ashiato_collector::exchange::Verdict;
use std::time::Duration;

/// How often they look at what waits.
const LOOK: Duration = Duration::from_millis(50);

/// Agrees to every question that waits for people, at every domain and in the name of as many people as its
/// policy wants. Goes on until it is dropped; returns only where a collector is lost.
pub(super) async fn decide(calls: &[Call]) -> Error {
    match rounds(calls).await {
        Ok(never) => match never {},
        Err(e) => e.context("the people at a point of contact lost their collector"),
    }
}

async fn rounds(calls: &[Call]) -> Result<std::convert::Infallible> {
    let mut desks = vec![];
    for (address, keys) in calls {
        let mut people = vec![];
        for key in keys {
            people.push(Operator::connect(*address, key).await?);
        }
        desks.push(people);
    }
    loop {
        for people in &mut desks {
            agree(people).await?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn agree(people: &mut [Operator]) -> Result<()> {
    let Some(first) = people.first_mut() else { return Ok(()) };
    let waits = first.received().await?.into_iter().filter(|r| r.state == "pending");
    for received in waits {
        for person in people.iter_mut().take(received.needs) {
            person.decide(&received.inquiry.id, &Verdict::Approve).await?;
        }
    }
    Ok(())
}
