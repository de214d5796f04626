//! Times that people sign: whole seconds of UTC.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A time as `2026-11-22T22:30:00Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Utc(
    /// Seconds since the Unix epoch.
    pub u64,
);

/// Why a text is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no time; write it as 2026-11-22T22:30:00Z")]
pub struct BadTime(String);

impl Utc {
    /// This host's clock.
    pub fn now() -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(now.as_secs())
    }

    /// Minutes since midnight.
    pub fn minute_of_day(self) -> u32 {
        u32::try_from(self.0 / 60 % (24 * 60)).expect("invariant: a day has 1440 minutes")
    }
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time =
            i64::try_from(self.0).ok().and_then(|s| OffsetDateTime::from_unix_timestamp(s).ok());
        match time.and_then(|time| time.format(&Rfc3339).ok()) {
            Some(text) => f.write_str(&text),
            None => write!(f, "second {}", self.0),
        }
    }
}

impl FromStr for Utc {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        let bad = || BadTime(text.into());
        let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| bad())?;
        u64::try_from(time.unix_timestamp()).map(Self).map_err(|_| bad())
    }
}

impl TryFrom<String> for Utc {
    type Error = BadTime;

    fn try_from(text: String) -> Result<Self, BadTime> {
        text.parse()
    }
}

impl From<Utc> for String {
    fn from(time: Utc) -> Self {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back() {
        let time: Utc = "2026-11-22T22:30:00Z".parse().unwrap();
        assert_eq!(time.to_string(), "2026-11-22T22:30:00Z");
        assert_eq!(time.minute_of_day(), 22 * 60 + 30);
        assert_eq!("2026-11-22T23:30:00+01:00".parse(), Ok(time));
        assert!("tomorrow".parse::<Utc>().unwrap_err().to_string().contains("write it as"));
    }
}
