//! What ends a run on this host because its authors want it to: agents that are gone, processors without time.

use crate::exit::Exit;
use crate::plan::{Caution, Measure};
use anyhow::Result;
use std::fs;
use std::time::{Duration, Instant};

/// How long processors are watched before their idle time is judged.
const SPAN: Duration = Duration::from_secs(1);

/// Time of all processors since the host began, in its own units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spent {
    idle: u64,
    all: u64,
}

/// Who looks.
#[derive(Debug, Default)]
pub(super) struct Stops {
    last: Option<(Instant, Spent)>,
}

impl Stops {
    /// Fails where so many lost agents are too many, or processors had too little time left in the last second.
    ///
    /// # Errors
    /// [`Exit::Stopped`] with the condition.
    pub(super) fn look(&mut self, caution: &Caution, lost: usize) -> Result<()> {
        let watched = caution.stop_if.iter().any(|stop| stop.measure == Measure::CpuIdle);
        let idle = if watched { self.idle() } else { None };
        let idle = idle.map(|share| (Measure::CpuIdle, share));
        for (measure, is) in [(Measure::AgentsLost, lost as f64)].into_iter().chain(idle) {
            if let Some(why) = caution.stops_at(measure, is) {
                return Err(Exit::Stopped.refuse(why));
            }
        }
        Ok(())
    }

    /// The idle share of the last [`SPAN`], once in each.
    fn idle(&mut self) -> Option<f64> {
        if self.last.is_some_and(|(at, _)| at.elapsed() < SPAN) {
            return None;
        }
        let now = spent(&fs::read_to_string("/proc/stat").ok()?)?;
        let (_, before) = self.last.replace((Instant::now(), now))?;
        let all = now.all.saturating_sub(before.all);
        (all > 0).then(|| now.idle.saturating_sub(before.idle) as f64 / all as f64)
    }
}

/// The first line of proc(5)'s `stat`: user, nice, system, idle, iowait, irq, softirq, steal; guests are in user's.
fn spent(stat: &str) -> Option<Spent> {
    let all = stat.lines().next()?.strip_prefix("cpu ")?;
    let all: Vec<u64> = all.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    Some(Spent { idle: all.get(3)? + all.get(4)?, all: all.iter().sum() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_a_share_of_all() {
        let line = "cpu  10 1 5 70 4 2 3 5 9 0\ncpu0 1 2 3 4\n";
        assert_eq!(spent(line), Some(Spent { idle: 74, all: 100 }));
        assert_eq!(spent("cpu0 1 2 3 4"), None);
        assert_eq!(spent("cpu  1 2 x"), None);
    }

    #[test]
    fn what_nobody_asked_for_ends_nothing() {
        let stop = |text: &str| toml::from_str(text).unwrap();
        let mut stops = Stops::default();
        assert!(stops.look(&Caution::default(), 9).is_ok());
        assert!(stops.last.is_none());
        let stop_if = vec![stop("measure = \"agents.lost\"\nabove = 1")];
        let caution = Caution { ramp: None, stop_if };
        assert!(stops.look(&caution, 1).is_ok());
        let why = stops.look(&caution, 2).unwrap_err().to_string();
        assert!(why.contains("agents.lost is 2, above 1"), "{why}");
    }
}
