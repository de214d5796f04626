//! How long the steps of a turn may take.

use crate::netns::straits::longest_wait;
use crate::plan::Plan;
use crate::traffic;
use anyhow::Result;
use std::time::{Duration, Instant};

/// How long a slow beginning may take: a minute, and some time to spare.
pub(crate) const RAMP: Duration = Duration::from_secs(90);
/// How long nothing may arrive before what is missing counts as lost.
const QUIET: Duration = Duration::from_millis(1500);
/// How long agents may take to be back after a fault.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);
/// How long to wait for quiet at most.
const UNREST: Duration = Duration::from_secs(60);

/// How long a plan's traffic may take on a host that is slower than the plan.
pub(crate) fn limit(plan: &Plan) -> Duration {
    let planned = plan.flows.iter().map(|f| traffic::last_departure(f).0).max().unwrap_or(0);
    3 * Duration::from_nanos(planned) + Duration::from_secs(60)
}

/// Waits, as often as `pulse` returns, until every packet has arrived, or none has for a while: longer
/// where links make packets wait.
///
/// # Errors
/// What `pulse` says.
pub(crate) fn await_quiet(
    plan: &Plan,
    sent: u64,
    mut pulse: impl FnMut() -> Result<u64>,
) -> Result<()> {
    let quiet = QUIET + longest_wait(plan);
    let end = Instant::now() + UNREST.max(2 * quiet);
    let (mut seen, mut since) = (pulse()?, Instant::now());
    while seen < sent && since.elapsed() < quiet && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
        let now = pulse()?;
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    Ok(())
}
