//! Times as the numbers that plans, messages and the kernel have: nanoseconds. For times that people read
//! and sign see [`crate::safety::clock`].

use std::time::{Duration, SystemTime};

/// Nanoseconds since the Unix epoch, by this host's clock.
pub(crate) fn unix_ns() -> u64 {
    nanos(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// A time in nanoseconds; the largest number where it is longer than 584 years.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
