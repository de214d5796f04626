//! What links do to packets, and the law by which every world does it.

#[cfg(doc)]
use super::LinkPlan;
use super::flow::is_usual;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use traceback::Nanos;
use traceback::invariant::{Key, mix2};

/// Conditions of one way of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Conditions {
    /// Packets of a million that are lost, where it is not [`LinkPlan::loss_ppm`].
    #[serde(default, skip_serializing_if = "is_usual")]
    pub loss_ppm: Option<u32>,
    /// Bits of IP packets per second; 0: without limit.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub rate_bps: u64,
    /// Bytes that wait at most where there is a rate.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub queue_bytes: u32,
    /// Time under way.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "u64")]
    pub delay: Nanos,
    /// How far that of a packet may differ, either way.
    #[serde(default, skip_serializing_if = "is_usual")]
    #[schemars(with = "u64")]
    pub jitter: Nanos,
}

/// Bytes that wait at a link which says a rate and nothing more.
pub const USUAL_QUEUE: u32 = 64 << 10;
/// Sets draws of jitter apart from those of loss.
pub const JITTER: u64 = 0x6a69_7474_6572;

impl Conditions {
    /// Whether packets take longer than the link itself.
    pub fn is_timed(&self) -> bool {
        self.rate_bps > 0 || self.delay.0 > 0 || self.jitter.0 > 0
    }

    /// Time that so many bytes take at the link's rate; 0 without one.
    pub fn time_of(&self, bytes: u64) -> u64 {
        let bits = u128::from(bytes) * 8 * 1_000_000_000;
        let time = bits.checked_div(u128::from(self.rate_bps)).unwrap_or(0);
        u64::try_from(time).unwrap_or(u64::MAX)
    }

    /// How far from the usual delay a packet with this draw comes out, in nanoseconds.
    ///
    /// `lab/bpf/wire.bpf.c` has the same steps: 24 bits of the draw, so that no product overflows.
    pub fn shift(&self, draw: u64) -> i64 {
        let width = 2 * self.jitter.0 + 1;
        let shift = ((draw >> 40) * width) >> 24;
        i64::try_from(shift).unwrap_or(0) - i64::try_from(self.jitter.0).unwrap_or(0)
    }
}

/// The draw that decides a packet's jitter on one way of a link: the same in every turn and world.
pub fn jitter_draw(key: Key, way: u64, flow: u32, seq: u64) -> u64 {
    mix2(mix2(key.1 ^ JITTER, way << 32 | u64::from(flow)), seq)
}

/// One way of a link at work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strait {
    /// When all that was let in has been sent at the link's rate.
    free: u64,
    /// When the last packet comes out: none overtakes another.
    last: u64,
}

impl Strait {
    /// When a packet that comes now comes out at the other end; `None` where the queue is full.
    pub fn pass(
        &mut self,
        conditions: &Conditions,
        now: Nanos,
        bytes: u64,
        draw: Option<u64>,
    ) -> Option<Nanos> {
        let mut due = now.0;
        if conditions.rate_bps > 0 {
            let start = self.free.max(now.0);
            if start - now.0 > conditions.time_of(conditions.queue_bytes.into()) {
                return None;
            }
            self.free = start + conditions.time_of(bytes);
            due = self.free;
        }
        due += conditions.delay.0;
        due = due.saturating_add_signed(draw.map_or(0, |draw| conditions.shift(draw)));
        self.last = self.last.max(due);
        Some(Nanos(self.last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions() -> Conditions {
        Conditions {
            rate_bps: 8_000_000,
            queue_bytes: 2_000,
            delay: Nanos(5_000_000),
            jitter: Nanos(1_000_000),
            loss_ppm: None,
        }
    }

    #[test]
    fn a_queue_holds_what_it_says_and_drops_the_rest() {
        let calm = Conditions { jitter: Nanos(0), ..conditions() };
        let mut strait = Strait::default();
        // 1000 bytes take a millisecond; one is being sent, two wait, the fourth finds more before it.
        let mut pass = |now| strait.pass(&calm, Nanos(now), 1000, None).map(|t| t.0);
        assert_eq!(pass(0), Some(6_000_000));
        assert_eq!(pass(0), Some(7_000_000));
        assert_eq!(pass(0), Some(8_000_000));
        assert_eq!(pass(0), None);
        assert_eq!(pass(1_000_000), Some(9_000_000));
        assert_eq!(pass(100_000_000), Some(106_000_000));
    }

    #[test]
    fn jitter_is_even_around_the_delay_and_keeps_the_order() {
        let wide = Conditions { rate_bps: 0, ..conditions() };
        let shifts = (0..10_000).map(|seq| wide.shift(jitter_draw(Key(1, 2), 6, 0, seq)));
        let shifts: Vec<i64> = shifts.collect();
        assert!(shifts.iter().all(|s| (-1_000_000..=1_000_000).contains(s)));
        let mean = shifts.iter().sum::<i64>() / 10_000;
        // Its standard error is a millisecond / sqrt(3) / 100, 5773 ns.
        assert!(mean.abs() < 25_000, "{mean}");
        let mut strait = Strait::default();
        let mut before = Nanos(0);
        for seq in 0..1000 {
            let draw = Some(jitter_draw(Key(1, 2), 6, 0, seq));
            let out = strait.pass(&wide, Nanos(seq * 10_000), 100, draw).unwrap();
            assert!(out >= before);
            before = out;
        }
    }
}
