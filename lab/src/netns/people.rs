//! The people at domains' points of contact, played by the lab as the plan says: they agree, deny or keep silent.

use super::inquiry::Call;
use crate::plan::Plan;
use anyhow::{Error, Result};
use ashiato_collector::client::Operator;
use ashiato_collector::exchange::{Received, Verdict};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

/// How often they look at what waits.
const LOOK: Duration = Duration::from_millis(50);

/// Decides what waits for people, at every domain and in the name of as many as its policy wants. Goes on until
/// it is dropped; returns only where a collector is lost.
pub(super) async fn decide(plan: &Plan, calls: &[Call]) -> Error {
    match rounds(plan, calls).await {
        Ok(never) => match never {},
        Err(e) => e.context("the people at a point of contact lost their collector"),
    }
}

async fn rounds(plan: &Plan, calls: &[Call]) -> Result<Infallible> {
    let mut desks = vec![];
    for ((address, keys), domain) in calls.iter().zip(&plan.domains) {
        let (decides, after) = domain.people();
        // Who says nothing need not look.
        let Some(verdict) = decides.verdict() else { continue };
        let mut people = vec![];
        for key in keys {
            people.push(Operator::connect(*address, key).await?);
        }
        let (after, came) = (Duration::from_nanos(after.0), BTreeMap::new());
        desks.push(Desk { people, verdict, after, came });
    }
    loop {
        for desk in &mut desks {
            desk.look().await?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The people of one domain.
struct Desk {
    people: Vec<Operator>,
    verdict: Verdict,
    after: Duration,
    /// When they first saw each question.
    came: BTreeMap<String, Instant>,
}

impl Desk {
    async fn look(&mut self) -> Result<()> {
        let Some(first) = self.people.first_mut() else { return Ok(()) };
        let waits = first.received().await?.into_iter().filter(|r| r.state == "pending");
        for Received { inquiry, needs, .. } in waits {
            if self.came.entry(inquiry.id.clone()).or_insert_with(Instant::now).elapsed()
                < self.after
            {
                continue;
            }
            // One who says no is enough.
            let enough = if matches!(self.verdict, Verdict::Deny { .. }) { 1 } else { needs };
            for person in self.people.iter_mut().take(enough) {
                person.decide(&inquiry.id, &self.verdict).await?;
            }
        }
        Ok(())
    }
}
