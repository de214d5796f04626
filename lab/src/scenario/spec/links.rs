//! Links, and what they do to packets: rate, queue, delay, jitter, loss, each way by itself where need be.

use crate::units::{BitRate, Quantity, Share, Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A link between two routers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// One router.
    pub a: String,
    /// The other router.
    pub b: String,
    /// Largest IP packet on the link.
    #[serde(default = "ethernet")]
    pub mtu: Size,
    /// Share of packets that are lost on it.
    #[serde(default = "nothing")]
    pub loss: Share,
    /// Bits of IP packets per second that it carries; without limit where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<BitRate>,
    /// Bytes that wait for their turn at most where there is a rate; 64 KiB where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Size>,
    /// Time that packets are under way on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// How far the delay of a packet may differ from `delay`, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// What is otherwise on the way from `b` to `a`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Direction>,
}

impl Link {
    /// What holds from `a` to `b`.
    pub fn there(&self) -> Direction {
        let Self { rate, queue, delay, jitter, loss, .. } = *self;
        Direction { rate, queue, delay, jitter, loss: Some(loss) }
    }

    /// Takes all conditions away.
    pub(super) fn calm(&mut self) {
        self.loss = nothing();
        (self.rate, self.queue, self.delay, self.jitter, self.back) =
            (None, None, None, None, None);
    }
}

/// Conditions of a host's link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostLink {
    /// Share of packets that are lost on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// Bits of IP packets per second that it carries; without limit where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<BitRate>,
    /// Bytes that wait for their turn at most where there is a rate; 64 KiB where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Size>,
    /// Time that packets are under way on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// How far the delay of a packet may differ from `delay`, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
    /// What is otherwise on the way from the router to the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<Direction>,
}

impl HostLink {
    /// What holds from the host to its router.
    pub fn there(&self) -> Direction {
        let Self { rate, queue, delay, jitter, loss, .. } = *self;
        Direction { rate, queue, delay, jitter, loss }
    }
}

/// Conditions of one way of a link, as far as they differ from those of the other way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Direction {
    /// Share of packets that are lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Share>,
    /// Bits of IP packets per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<BitRate>,
    /// Bytes that wait for their turn at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Size>,
    /// Time that packets are under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<Span>,
    /// How far the delay of a packet may differ, either way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Span>,
}

impl Direction {
    /// The same with what `other` says over it.
    #[must_use]
    pub fn under(&self, other: Option<&Self>) -> Self {
        let other = other.copied().unwrap_or_default();
        Self {
            loss: other.loss.or(self.loss),
            rate: other.rate.or(self.rate),
            queue: other.queue.or(self.queue),
            delay: other.delay.or(self.delay),
            jitter: other.jitter.or(self.jitter),
        }
    }
}

fn ethernet() -> Size {
    Quantity::of(1500)
}

fn nothing() -> Share {
    Quantity::of(0)
}
