//! Points in time, with the zone in which they were told.

use super::tag;
use crate::xml::{self, BadDocument, Element, Walk, parsed};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A point in time with its zone, as in RFC 3339. Two are equal only if their zones are, too.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp(OffsetDateTime);

/// A text that is no point in time, or has no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no time with a zone, such as 2026-11-22T01:00:00+09:00")]
pub struct BadStamp(String);

impl Stamp {
    /// From nanoseconds since the Unix epoch, in UTC. All of `u64` lies before the year 2555.
    pub fn from_unix_ns(ns: u64) -> Self {
        let at = OffsetDateTime::from_unix_timestamp_nanos(ns.into());
        Self(at.expect("invariant: 64 bits of nanoseconds end in 2554"))
    }

    /// From milliseconds since the Unix epoch, in UTC; none beyond the year 9999, which has no text.
    pub fn from_unix_ms(ms: u64) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok()?;
        (at.year() <= 9999).then_some(Self(at))
    }

    /// Nanoseconds since the Unix epoch; none before it, or beyond 64 bits.
    pub fn unix_ns(&self) -> Option<u64> {
        u64::try_from(self.0.unix_timestamp_nanos()).ok()
    }

    /// Milliseconds since the Unix epoch, none before it.
    pub fn unix_ms(&self) -> Option<u64> {
        u64::try_from(self.0.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
    }

    pub(super) fn write(&self, name: &str) -> Element {
        tag(name).text(&self.to_string())
    }
}

impl PartialEq for Stamp {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.0.offset()) == (other.0, other.0.offset())
    }
}

impl Eq for Stamp {}

impl xml::Read for Stamp {
    fn read(walk: &mut Walk<'_>) -> Result<Self, BadDocument> {
        let text = walk.text();
        parsed(walk.name(), &text)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Stamp {
    type Err = BadStamp;

    fn from_str(text: &str) -> Result<Self, BadStamp> {
        let bad = || BadStamp(text.chars().take(64).collect());
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
        // A zone that cannot be written again, such as one with seconds, would panic later.
        at.format(&Rfc3339).map_err(|_| bad())?;
        Ok(Self(at))
    }
}

impl TryFrom<String> for Stamp {
    type Error = BadStamp;
    fn try_from(text: String) -> Result<Self, BadStamp> {
        text.parse()
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_kept() {
        let tokyo: Stamp = "2026-11-22T10:00:00.25+09:00".parse().unwrap();
        assert_eq!(tokyo.to_string(), "2026-11-22T10:00:00.25+09:00");
        assert_eq!(tokyo.unix_ms(), Some(1_795_309_200_250));
        let utc = Stamp::from_unix_ms(1_795_309_200_250).unwrap();
        assert_eq!(utc.to_string(), "2026-11-22T01:00:00.25Z");
        assert!(utc.unix_ns() == tokyo.unix_ns() && utc != tokyo);
        assert_eq!(Stamp::from_unix_ns(u64::MAX).unix_ns(), Some(u64::MAX));
        assert_eq!(Stamp::from_unix_ms(u64::MAX), None);
        for bad in ["2026-11-22T10:00:00", "2026-11-22", "", "2026-13-01T00:00:00Z"] {
            assert!(bad.parse::<Stamp>().is_err(), "{bad}");
        }
    }
}
