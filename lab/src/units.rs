//! Quantities with their unit in the text: a bare number is no quantity.
//!
//! Each type reads what a person writes (`"900 pkt/s"`), writes the same back, and knows an example
//! for messages. Decimal fractions are read exactly, so that equal texts mean equal plans.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use traceback::Nanos;

/// Why a text is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadUnit {
    /// A number, and nothing behind it.
    #[error("the unit is missing")]
    Missing,
    /// No number in front.
    #[error("no number in front of the unit")]
    NoNumber,
    /// A unit of something else.
    #[error("unit \"{0}\" is unknown here")]
    Unknown(String),
    /// Too large, or not a whole number of the smallest unit.
    #[error("out of range")]
    Range,
}

/// A quantity with a unit.
pub trait Quantity: Sized {
    /// Word in JSON Schema's `format`.
    const FORMAT: &'static str;
    /// Units and how many of the smallest each is worth, the smallest first.
    const UNITS: &'static [(&'static str, u64)];
    /// An example for messages, its number replaced by `number`.
    fn example(number: &str) -> String {
        format!("{number} {}", Self::UNITS[Self::USUAL].0)
    }
    /// Position in [`Self::UNITS`] of the unit that people write most.
    const USUAL: usize;
    /// From a number of the smallest unit.
    fn of(amount: u64) -> Self;
    /// The number of the smallest unit.
    fn amount(&self) -> u64;
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $format:literal, $usual:literal, [$($unit:literal = $worth:literal),+]) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(u64);

        impl Quantity for $name {
            const FORMAT: &'static str = $format;
            const UNITS: &'static [(&'static str, u64)] = &[$(($unit, $worth)),+];
            const USUAL: usize = $usual;
            fn of(amount: u64) -> Self {
                Self(amount)
            }
            fn amount(&self) -> u64 {
                self.0
            }
        }
        impl FromStr for $name {
            type Err = BadUnit;
            fn from_str(text: &str) -> Result<Self, BadUnit> {
                read(text, Self::UNITS).map(Self)
            }
        }
        impl TryFrom<String> for $name {
            type Error = BadUnit;
            fn try_from(text: String) -> Result<Self, BadUnit> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(it: $name) -> Self {
                it.to_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&write(self.0, Self::UNITS))
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                schema(Self::FORMAT, Self::UNITS)
            }
        }
    };
}

quantity! {
    /// Packets per second, kept in thousandths.
    Rate, "rate", 0, ["pkt/s" = 1_000, "kpkt/s" = 1_000_000]
}
quantity! {
    /// A length of time, kept in nanoseconds.
    Span, "span", 3, ["ns" = 1, "us" = 1_000, "ms" = 1_000_000, "s" = 1_000_000_000, "min" = 60_000_000_000]
}
quantity! {
    /// A number of bytes.
    Size, "size", 0, ["B" = 1, "kB" = 1_000, "KiB" = 1_024]
}

quantity! {
    /// Bits per second.
    BitRate, "bit-rate", 2, ["bit/s" = 1, "kbit/s" = 1_000, "Mbit/s" = 1_000_000, "Gbit/s" = 1_000_000_000]
}

quantity! {
    /// A part of a whole, kept in millionths.
    Share, "share", 1, ["ppm" = 1, "%" = 10_000]
}

impl Share {
    /// As a number from 0 to 1.
    pub fn part(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

/// A change of a clock: a length of time with its sign, kept in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Step(i64);

impl Step {
    /// Word in JSON Schema's `format`.
    pub const FORMAT: &'static str = "step";

    /// In nanoseconds; positive makes the clock fast.
    pub fn nanos(self) -> i64 {
        self.0
    }
}

impl FromStr for Step {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let text = text.trim();
        let (sign, length) = match text.strip_prefix('-') {
            Some(length) => (-1, length),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let length = i64::try_from(length.parse::<Span>()?.0).map_err(|_| BadUnit::Range)?;
        Ok(Self(sign * length))
    }
}

impl TryFrom<String> for Step {
    type Error = BadUnit;
    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}

impl From<Step> for String {
    fn from(it: Step) -> Self {
        it.to_string()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Span(self.0.unsigned_abs()))
    }
}

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = Span::UNITS.iter().map(|(name, _)| *name).collect();
        let pattern = format!("^[+-]?[0-9][0-9_]*(\\.[0-9]+)? ?({})$", names.join("|"));
        json_schema!({ "type": "string", "format": Self::FORMAT, "pattern": pattern })
    }
}

impl Rate {
    /// The time between two packets, rounded to the nearest nanosecond.
    pub fn gap(self) -> Nanos {
        let second = u128::from(1_000_000_000_000_u64);
        let gap = (second + u128::from(self.0) / 2) / u128::from(self.0.max(1));
        Nanos(u64::try_from(gap).unwrap_or(u64::MAX))
    }

    /// Packets per second.
    pub fn per_second(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

impl Span {
    /// In nanoseconds.
    pub fn nanos(self) -> Nanos {
        Nanos(self.0)
    }
}

impl Size {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

fn read(text: &str, units: &[(&str, u64)]) -> Result<u64, BadUnit> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && !"._".contains(c)).unwrap_or(text.len());
    let (number, unit) = (text[..end].replace('_', ""), text[end..].trim());
    if number.is_empty() || number.starts_with('.') {
        return Err(BadUnit::NoNumber);
    }
    if unit.is_empty() {
        return Err(BadUnit::Missing);
    }
    let known = units.iter().find(|(name, _)| *name == unit);
    let (_, worth) = known.ok_or_else(|| BadUnit::Unknown(unit.to_owned()))?;
    exact(&number, *worth).ok_or(BadUnit::Range)
}

/// `number` times `worth` where that is a whole number.
fn exact(number: &str, worth: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(worth)?;
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = fraction.parse::<u64>().ok()?.checked_mul(worth)?;
    part.is_multiple_of(scale).then(|| whole.checked_add(part / scale))?
}

/// The largest unit that leaves a whole number; the first unit with decimals where none does.
fn write(amount: u64, units: &[(&str, u64)]) -> String {
    let whole = units.iter().rev().find(|(_, worth)| amount.is_multiple_of(*worth));
    match whole {
        Some(_) if amount == 0 => format!("0 {}", units[0].0),
        Some((unit, worth)) => format!("{} {unit}", amount / worth),
        None => {
            let (unit, worth) = units[0];
            let digits = usize::try_from(worth.ilog10()).unwrap_or(0);
            let fraction = format!("{:0digits$}", amount % worth);
            format!("{}.{} {unit}", amount / worth, fraction.trim_end_matches('0'))
        }
    }
}

fn schema(format: &str, units: &[(&str, u64)]) -> Schema {
    let names: Vec<_> = units.iter().map(|(name, _)| *name).collect();
    let pattern = format!("^[0-9][0-9_]*(\\.[0-9]+)? ?({})$", names.join("|"));
    json_schema!({ "type": "string", "format": format, "pattern": pattern })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_exactly_and_written_back() {
        for (text, gap) in
            [("900 pkt/s", 1_111_111), ("4 kpkt/s", 250_000), ("2.5 pkt/s", 400_000_000)]
        {
            let rate: Rate = text.parse().unwrap();
            assert_eq!((rate.gap().0, rate.to_string().as_str()), (gap, text));
        }
        assert_eq!("1.5 s".parse::<Span>().unwrap().nanos(), Nanos(1_500_000_000));
        assert_eq!("1.5s".parse::<Span>().unwrap().to_string(), "1500 ms");
        assert_eq!("0 s".parse::<Span>().unwrap().to_string(), "0 ns");
        assert_eq!("1_500 B".parse::<Size>().unwrap().bytes(), 1500);
    }

    #[test]
    fn steps_have_a_sign() {
        for (text, nanos, back) in [
            ("+1500 ms", 1_500_000_000, "+1500 ms"),
            ("-2 s", -2_000_000_000, "-2 s"),
            ("3 us", 3_000, "+3 us"),
        ] {
            let step: Step = text.parse().unwrap();
            assert_eq!((step.nanos(), step.to_string().as_str()), (nanos, back));
        }
        assert!("+-1 s".parse::<Step>().is_err() && "- s".parse::<Step>().is_err());
    }

    #[test]
    fn what_is_no_quantity_says_why() {
        let no = |text: &str| text.parse::<Span>().unwrap_err();
        assert_eq!(no("5"), BadUnit::Missing);
        assert_eq!(no("s"), BadUnit::NoNumber);
        assert_eq!(no("-1 s"), BadUnit::NoNumber);
        assert_eq!(no("5 parsec"), BadUnit::Unknown("parsec".into()));
        assert_eq!(no("0.5 ns"), BadUnit::Range);
        assert_eq!(no("99999999999999999999 s"), BadUnit::Range);
        assert_eq!(no("1.2.3 s"), BadUnit::Range);
    }
}
