//! The field of a percentile drawing: what it spans, where things stand in it, and its grid.

use super::chart::FIELD;
use maud::{Markup, html};

/// With more powers of ten than this, 2 and 5 between them would touch.
const ROOM: f64 = 4.5;

/// What the field spans.
pub(super) struct Axes {
    /// Powers of ten from every step to the rarest.
    rarest: f64,
    /// Powers of ten of nanoseconds.
    low: f64,
    high: f64,
}

impl Axes {
    /// Room for points (how rare, how high) and a line at a height.
    pub(super) fn of(points: &[(f64, f64)], line: Option<f64>) -> Self {
        let heights = || points.iter().map(|p| p.1).chain(line);
        let low = round(heights().fold(f64::INFINITY, f64::min), false);
        let high = round(heights().fold(0.0, f64::max), true);
        let rarest = points.iter().map(|p| p.0).fold(1.0, f64::max);
        Self { rarest, low, high: high.max(low + 0.3) }
    }

    pub(super) fn x(&self, rare: f64) -> f64 {
        FIELD.0 + (FIELD.2 - FIELD.0) * rare / self.rarest
    }

    pub(super) fn y(&self, height: f64) -> f64 {
        FIELD.3 - (FIELD.3 - FIELD.1) * (height - self.low) / (self.high - self.low)
    }

    /// Times with a line and a label.
    fn levels(&self) -> impl Iterator<Item = u64> {
        let crowded = self.high - self.low > ROOM;
        let leads = if crowded { &[1][..] } else { &[1, 2, 5] };
        let all = (0..12).flat_map(|power| leads.iter().map(move |lead| lead * 10_u64.pow(power)));
        let (low, high) = (self.low - 1e-9, self.high + 1e-9);
        all.filter(move |ns| (low..=high).contains(&height(*ns)))
    }

    /// Percentiles with a line, and what stands there.
    fn rarities(&self) -> impl Iterator<Item = (f64, String)> {
        let nines = |power: usize| match power {
            0 => "0 %".into(),
            1 => "90 %".into(),
            2 => "99 %".into(),
            more => format!("99.{} %", "9".repeat(more - 2)),
        };
        let whole = (0..10_u8).map(move |p| (f64::from(p), nines(p.into())));
        let median = (0.5_f64.recip().log10(), "50 %".into());
        let rarest = self.rarest;
        whole.chain([median]).filter(move |(rare, _)| *rare <= rarest)
    }
}

/// The nearest of 1, 2, 5, 10, 20 ... below or above, as a power of ten.
fn round(height: f64, up: bool) -> f64 {
    let (whole, rest) = (height.floor(), height - height.floor());
    let steps = [0.0, 2_f64.log10(), 5_f64.log10(), 1.0];
    let step = if up {
        steps.into_iter().find(|s| *s >= rest - 1e-9)
    } else {
        steps.into_iter().rev().find(|s| *s <= rest + 1e-9)
    };
    whole + step.unwrap_or_default()
}

/// Lines and what stands beside them.
pub(super) fn grid(axes: &Axes) -> Markup {
    let (left, top, right, bottom) = FIELD;
    html! {
        @for ns in axes.levels() {
            @let y = axes.y(height(ns));
            path class="link" d=(format!("M{left} {y:.1}H{right}")) {}
            text x=(left - 6.0) y=(format!("{:.1}", y + 4.0)) text-anchor="end" {
                (time(ns))
            }
        }
        @for (rare, percent) in axes.rarities() {
            @let x = axes.x(rare);
            path class="link" d=(format!("M{x:.1} {top}V{bottom}")) {}
            text x=(format!("{x:.1}")) y=(bottom + 18.0) text-anchor="middle" { (percent) }
        }
        text class="nation" x=(f64::midpoint(left, right)) y=(bottom + 38.0) text-anchor="middle" {
            "share of all that took no longer"
        }
    }
}

/// Where a time stands, as a power of ten of nanoseconds. A step below the clock's resolution reads 0,
/// which a logarithmic axis does not have.
pub(super) fn height(ns: u64) -> f64 {
    (ns.max(1) as f64).log10()
}

/// A time in the unit that keeps it short.
pub(super) fn time(ns: u64) -> String {
    let (unit, name) = match ns {
        0..1_000 => (1.0, "ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..1_000_000_000 => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let value = ns as f64 / unit;
    let shown = if value < 10.0 { (value * 10.0).round() / 10.0 } else { value.round() };
    format!("{shown} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_everything() {
        let axes = Axes::of(&[(0.0, 2.1), (3.5, 4.4)], Some(1.4));
        assert!(axes.y(1.4) <= FIELD.3 && axes.y(4.4) >= FIELD.1);
        assert!((axes.x(3.5) - FIELD.2).abs() < 1e-9);
        let marks: Vec<_> = axes.rarities().map(|r| r.1).collect();
        assert_eq!(marks, ["0 %", "90 %", "99 %", "99.9 %", "50 %"]);
    }

    #[test]
    fn times_are_short() {
        let shown = [0, 999, 1_250, 12_345, 2_000_000, 3_000_000_000].map(time);
        assert_eq!(shown, ["0 ns", "999 ns", "1.3 µs", "12 µs", "2 ms", "3 s"]);
    }

    #[test]
    fn bounds_are_round() {
        let near = |a: f64, b: f64| (a - b.log10()).abs() < 1e-9;
        assert!(
            near(round(130_f64.log10(), false), 100.0) && near(round(130_f64.log10(), true), 200.0)
        );
        assert!(near(round(2.0, false), 100.0) && near(round(2.0, true), 100.0));
        assert!(near(round(700_f64.log10(), true), 1000.0));
    }
}
