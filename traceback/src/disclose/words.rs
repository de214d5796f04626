//! Quantities of a policy file, written with their units: `"7d"`, `"08:00-18:00"`, `"10/h"`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A text that is no such quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{got}\" is no {what}: write it like \"{example}\"")]
pub struct BadWord {
    got: String,
    what: &'static str,
    example: &'static str,
}

/// A span of time in whole seconds: `"90s"`, `"1m"`, `"12h"`, `"7d"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lapse(pub u64);

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

impl Lapse {
    /// A point of time, in seconds since the Unix epoch, rounded down to a multiple of this; as it is where
    /// this is 0.
    pub fn round(self, at_unix_s: u64) -> u64 {
        at_unix_s - at_unix_s.checked_rem(self.0).unwrap_or(0)
    }
}

impl fmt::Display for Lapse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, seconds): &&(&str, u64)| self.0 > 0 && self.0.is_multiple_of(*seconds);
        let (unit, seconds) = UNITS.iter().find(fits).unwrap_or(&("s", 1));
        write!(f, "{}{unit}", self.0 / seconds)
    }
}

impl FromStr for Lapse {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let bad = || BadWord { got: text.into(), what: "span of time", example: "7d" };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let unit = UNITS.iter().find(|(name, _)| *name == unit || *name == "m" && unit == "min");
        let seconds = unit.and_then(|(_, s)| number.parse::<u64>().ok()?.checked_mul(*s));
        seconds.map(Self).ok_or_else(bad)
    }
}

/// Hours of the day in UTC, the last minute left out: `"08:00-18:00"`; over midnight where the second is not
/// the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Whether a point of time lies within them.
    pub fn hold(self, at_unix_s: u64) -> bool {
        let minute = u16::try_from(at_unix_s / 60 % 1_440).unwrap_or(0);
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02} UTC", from / 60, from % 60, to / 60, to % 60)
    }
}

impl FromStr for Hours {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute) = (hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let plain = text.trim().trim_end_matches("UTC").trim();
        let ends = plain.split_once('-').and_then(|(a, b)| Some((minute(a)?, minute(b)?)));
        let (from, to) = ends.ok_or_else(|| BadWord {
            got: text.into(),
            what: "stretch of the day",
            example: "08:00-18:00",
        })?;
        Ok(Self { from, to })
    }
}

/// Requests in an hour at most: `"10/h"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PerHour(pub u32);

impl fmt::Display for PerHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/h", self.0)
    }
}

impl FromStr for PerHour {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let number = text.trim().strip_suffix("/h").and_then(|n| n.trim().parse().ok());
        let bad = || BadWord { got: text.into(), what: "number of requests", example: "10/h" };
        number.map(Self).ok_or_else(bad)
    }
}

macro_rules! as_text {
    ($($word:ty),*) => { $(
        impl TryFrom<String> for $word {
            type Error = BadWord;
            fn try_from(text: String) -> Result<Self, BadWord> {
                text.parse()
            }
        }
        impl From<$word> for String {
            fn from(word: $word) -> Self {
                word.to_string()
            }
        }
    )* };
}
as_text!(Lapse, Hours, PerHour);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_back_and_round_down() {
        for (text, seconds) in
            [("7d", 604_800), ("90s", 90), ("1m", 60), ("0s", 0), ("12h", 43_200)]
        {
            let lapse: Lapse = text.parse().unwrap();
            assert_eq!((lapse.0, lapse.to_string().as_str()), (seconds, text));
        }
        assert_eq!("5 min".parse(), Ok(Lapse(300)));
        assert_eq!((Lapse(60).round(119), Lapse(0).round(119)), (60, 119));
        for bad in ["7", "d", "7w", "99999999999999999999d", "-1s"] {
            assert!(bad.parse::<Lapse>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hours_may_lie_over_midnight() {
        let (day, night): (Hours, Hours) =
            ("08:00-18:00".parse().unwrap(), "22:00-06:00".parse().unwrap());
        let at = |hour: u64| 1_700_006_400 + hour * 3_600; // midnight of a day in 2023
        assert!(day.hold(at(8)) && day.hold(at(17)) && !day.hold(at(18)) && !day.hold(at(7)));
        assert!(night.hold(at(23)) && night.hold(at(5)) && !night.hold(at(6)));
        assert_eq!(day.to_string().parse(), Ok(day));
        assert!("8-18".parse::<Hours>().is_err() && "24:00-25:00".parse::<Hours>().is_err());
        assert_eq!("10/h".parse(), Ok(PerHour(10)));
        assert!("10".parse::<PerHour>().is_err() && "-1/h".parse::<PerHour>().is_err());
    }
}
