//! Packets until a path stood, by the path's length, and the mean over lengths beside them: a scheme that is
//! quick on short paths may be slow on long ones, and a number over both says so only with its label.

use super::measure::{Better, Measure, Reading};
use super::observe::Observation;
use super::pairs::Estimate;
use crate::summary::SchemeRow;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::scheme::{Card, Names};

/// What is read at each length.
const PACKETS: Measure = Measure {
    id: "packets_to_path",
    about: "packets of the case, from its first on, until a path stood exactly",
    better: Better::Less,
};

/// One contender at one length, or over all of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Length {
    /// Routers of the paths; null is the mean over all lengths, each of which counts once.
    pub hops: Option<usize>,
    /// Packets until such a path stood, over blocks; in a block, the mean over its paths of this length.
    pub packets: Estimate,
}

impl Length {
    /// The label of a column: "10 hops", or what the mean is over.
    pub fn label(&self, all: &[usize]) -> String {
        let each: Vec<String> = all.iter().map(ToString::to_string).collect();
        self.hops.map_or_else(|| format!("mean over {}", each.join(", ")), |d| format!("{d} hops"))
    }
}

/// What a turn says of every length that its true paths have; nothing where its scheme names no paths.
pub(super) fn read(
    row: &SchemeRow,
    card: &Card,
    truth: &BTreeSet<Vec<RouterId>>,
) -> BTreeMap<usize, Reading> {
    let each = &row.packets_to_path.each;
    if card.names != Names::Paths || each.len() != truth.len() {
        return BTreeMap::new();
    }
    let mut lengths: BTreeMap<usize, Vec<Reading>> = BTreeMap::new();
    for (path, packets) in truth.iter().zip(each) {
        let reading = packets.map_or(Reading::Censored, |n| Reading::Is(n as f64));
        lengths.entry(path.len()).or_default().push(reading);
    }
    lengths.into_iter().map(|(d, all)| (d, Reading::joined(all.into_iter()))).collect()
}

/// One contender's turns by length, the mean last; with one length there is no mean.
pub(super) fn lengths(turns: &[&&Observation], blocks: usize) -> Vec<Length> {
    let known: BTreeSet<usize> = turns.iter().flat_map(|o| o.lengths.keys().copied()).collect();
    let column = |hops: usize| -> Vec<Reading> {
        let here = |b| turns.iter().filter(move |o| o.block == b);
        let at = |o: &&&Observation| o.lengths.get(&hops).copied().unwrap_or(Reading::Absent);
        (0..blocks).map(|b| Reading::joined(here(b).map(at))).collect()
    };
    let columns: Vec<(usize, Vec<Reading>)> = known.into_iter().map(|d| (d, column(d))).collect();
    let estimate =
        |hops, of: &[Reading]| Some(Length { hops, packets: Estimate::of(&PACKETS, of)? });
    let mut all: Vec<Length> = columns.iter().filter_map(|(d, c)| estimate(Some(*d), c)).collect();
    if columns.len() > 1 {
        // A block that lacks a length has no mean over all of them.
        let mean = |b: usize| {
            let each = columns.iter().map(|(_, column)| column[b]);
            let whole = each.clone().all(|r| r != Reading::Absent);
            if whole { Reading::joined(each) } else { Reading::Absent }
        };
        all.extend(estimate(None, &(0..blocks).map(mean).collect::<Vec<_>>()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_labelled() {
        let estimate = |n| Estimate::of(&PACKETS, &[Reading::Is(n)]).unwrap();
        let of = |hops| Length { hops, packets: estimate(3.0) };
        assert_eq!(of(Some(7)).label(&[5, 7]), "7 hops");
        assert_eq!(of(None).label(&[5, 7]), "mean over 5, 7");
    }
}
