//! How carefully a run begins, and what ends it early.

use super::Flow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traceback::Nanos;

/// What a scenario asks for beside what is compiled in, sites' policies and the manifest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Caution {
    /// How long a run between hosts goes at a hundredth before it goes on; [`RAMP`] where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u64>")]
    pub ramp: Option<Nanos>,
    /// What ends the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop_if: Vec<StopIf>,
}

/// One thing that must not become too much or too little.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopIf {
    /// What is measured.
    pub measure: Measure,
    /// The run ends above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// The run ends below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
}

/// What may end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Measure {
    /// Share of honest packets that reached the host they were for, after each turn.
    #[serde(rename = "goodput")]
    Goodput,
    /// Seconds between the clocks of director and host, when the run begins.
    #[serde(rename = "clock.offset")]
    ClockOffset,
    /// Bytes that are free where a host keeps its logs.
    #[serde(rename = "disk.free")]
    DiskFree,
    /// Agents on one host that faults have killed and that are not back.
    #[serde(rename = "agents.lost")]
    AgentsLost,
    /// Share of time in which a host's processors had nothing to do, over each second.
    #[serde(rename = "cpu.idle")]
    CpuIdle,
}

impl Measure {
    /// Its word in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::ClockOffset => "clock.offset",
            Self::DiskFree => "disk.free",
            Self::AgentsLost => "agents.lost",
            Self::CpuIdle => "cpu.idle",
        }
    }
}

/// When a packet that goes slowly leaves, after the slow beginning's own start.
pub fn slow_departure(flow: &Flow, seq: u64) -> Nanos {
    Nanos(flow.gap.0.saturating_mul(SLOWER).saturating_mul(seq / flow.at_once()))
}

/// How long a run between hosts goes at a hundredth where its scenario does not say.
pub const RAMP: Nanos = Nanos(2_000_000_000);
/// How much slower than the plan.
const SLOWER: u64 = 100;

impl Caution {
    /// Packets of a flow that go slowly, before the others.
    pub fn slow(&self, flow: &Flow) -> u64 {
        let ramp = self.ramp.unwrap_or(RAMP).0;
        let gap = flow.gap.0.saturating_mul(SLOWER).max(1);
        if ramp == 0 { 0 } else { (ramp / gap).max(1).min(flow.departures()) * flow.at_once() }
    }

    /// Why a run ends where something measures this much, if it does.
    pub fn stops_at(&self, measure: Measure, is: f64) -> Option<String> {
        let over = |stop: &&StopIf| {
            stop.measure == measure
                && (stop.above.is_some_and(|most| is > most)
                    || stop.below.is_some_and(|least| is < least))
        };
        let word = measure.word();
        self.stop_if.iter().find(over).map(|stop| match (stop.above, stop.below) {
            (Some(most), _) => format!("{word} is {is}, above {most} (safety.stop_if)"),
            (_, least) => {
                format!("{word} is {is}, below {} (safety.stop_if)", least.unwrap_or(0.0))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_condition_has_a_side() {
        let stop = |text: &str| toml::from_str::<StopIf>(text).unwrap();
        let stop_if = vec![
            stop("measure = \"goodput\"\nbelow = 0.5"),
            stop("measure = \"clock.offset\"\nabove = 2.0"),
        ];
        let caution = Caution { ramp: None, stop_if };
        assert!(caution.stops_at(Measure::Goodput, 0.5).is_none());
        assert!(caution.stops_at(Measure::Goodput, 0.4).unwrap().contains("below 0.5"));
        assert!(caution.stops_at(Measure::ClockOffset, 3.0).unwrap().contains("above 2"));
        assert!(caution.stops_at(Measure::DiskFree, 0.0).is_none());
    }
}
