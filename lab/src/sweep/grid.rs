//! The grid of a sweep: axes, each a key of the scenario and values for it.

use serde::{Deserialize, Serialize};

/// One axis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Axis {
    /// A key as `--set` takes it.
    pub key: String,
    /// Values as `--set` takes them.
    pub values: Vec<String>,
}

impl Axis {
    /// Reads `key=v1,v2,...`; commas inside brackets and quotes part nothing. A value may be a range
    /// `from..to..step` of numbers, both ends included.
    ///
    /// # Errors
    /// What is wrong, and how to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let write = "write it as key=v1,v2, such as --vary scheme.fms.p=0.02,0.04,0.1";
        let (key, list) =
            text.split_once('=').ok_or(format!("\"{text}\" has no \"=\": {write}"))?;
        let mut values = vec![];
        for value in split(list) {
            let value = value.trim();
            match range(value) {
                Some(range) => values.extend(range?),
                None => values.push(value.to_owned()),
            }
        }
        let empty = key.trim().is_empty() || values.iter().any(String::is_empty);
        if empty || values.is_empty() {
            return Err(format!("\"{text}\" has an empty key or value: {write}"));
        }
        if let Some(twice) = values.iter().enumerate().find(|(i, v)| values[..*i].contains(v)) {
            return Err(format!("\"{text}\" names {} twice", twice.1));
        }
        Ok(Self { key: key.trim().to_owned(), values })
    }

    /// Values as numbers, where all start with one: "2 kpkt/s" counts as 2.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let number = |v: &String| {
            let plain = v.trim_matches('"');
            let end = plain.find(|c: char| !c.is_ascii_digit() && !".-".contains(c));
            plain[..end.unwrap_or(plain.len())].parse::<f64>().ok()
        };
        let units: Vec<_> = self.values.iter().map(|v| unit(v)).collect();
        let same = units.iter().all(|u| *u == units[0]);
        self.values.iter().map(number).collect::<Option<Vec<_>>>().filter(|_| same)
    }
}

fn unit(value: &str) -> &str {
    value.trim_matches('"').trim_start_matches(|c: char| c.is_ascii_digit() || ".- ".contains(c))
}

/// Parts between commas outside of brackets and quotes.
fn split(list: &str) -> Vec<String> {
    let (mut parts, mut depth, mut quoted) = (vec![String::new()], 0_i32, false);
    for c in list.chars() {
        match c {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        match (c, parts.last_mut()) {
            (',', _) if depth == 0 && !quoted => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

/// The numbers of `from..to..step`; `None` where it is no range.
fn range(text: &str) -> Option<Result<Vec<String>, String>> {
    let numbers: Vec<f64> = text.split("..").map(str::parse).collect::<Result<_, _>>().ok()?;
    let [from, to, step] = numbers[..] else { return None };
    let steps = (to - from) / step;
    if !(0.0..=MOST_VALUES).contains(&steps) {
        return Some(Err(format!("\"{text}\" is no range of at most {MOST_VALUES} steps")));
    }
    let at = |i: u32| {
        let value = from + step * f64::from(i);
        ((value * 1e9).round() / 1e9).to_string()
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Some(Ok((0..=(steps + 1e-9) as u32).map(at).collect()))
}

/// Steps of a range, at most.
const MOST_VALUES: f64 = 10_000.0;

/// The product of axes; the last one changes fastest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grid {
    /// Its axes.
    pub axes: Vec<Axis>,
}

impl Grid {
    /// Number of points, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a grid is never empty")]
    pub fn len(&self) -> usize {
        self.axes.iter().map(|a| a.values.len()).product()
    }

    /// Values of a point, one for each axis.
    pub fn values(&self, point: usize) -> Vec<&str> {
        let mut rest = point;
        let mut values = vec![];
        for axis in self.axes.iter().rev() {
            values.push(axis.values[rest % axis.values.len()].as_str());
            rest /= axis.values.len();
        }
        values.reverse();
        values
    }

    /// A point as overrides.
    pub fn sets(&self, point: usize) -> Vec<String> {
        let pair = |(axis, value): (&Axis, &str)| format!("{}={value}", axis.key);
        self.axes.iter().zip(self.values(point)).map(pair).collect()
    }

    /// A point in words.
    pub fn label(&self, point: usize) -> String {
        self.sets(point).join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_read_and_multiplied() {
        let axis = |text| Axis::parse(text).unwrap();
        let froms = axis(r#"traffic.flood.from=["a"],["a","b"]"#);
        assert_eq!(froms.values, [r#"["a"]"#, r#"["a","b"]"#]);
        assert_eq!(froms.numbers(), None);
        assert_eq!(axis("p=0.1..0.3..0.1").values, ["0.1", "0.2", "0.3"]);
        assert_eq!(axis("rate=1 kpkt/s,2 kpkt/s").numbers(), Some(vec![1.0, 2.0]));
        assert_eq!(axis("rate=900 pkt/s,2 kpkt/s").numbers(), None);
        let grid = Grid { axes: vec![axis("a=1,2"), axis("b=x,y,z")] };
        assert_eq!(grid.len(), 6);
        assert_eq!((grid.label(0), grid.label(5)), ("a=1 b=x".into(), "a=2 b=z".into()));
        for bad in ["p", "p=", "=1", "p=1,,2", "p=1,1", "p=0..1..0", "p=0..9..-1"] {
            assert!(Axis::parse(bad).is_err(), "{bad}");
        }
    }
}
