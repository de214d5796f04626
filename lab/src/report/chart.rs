//! Curves over a numeric axis, each with a band for its interval: what sweeps draw.
//!
//! A chart is the same inside a page and as a file of its own ([`Chart::file`]), which carries the
//! page's style along.

use crate::csv;
use maud::{Markup, PreEscaped, html};

/// The field of the curves: left, top, right, bottom. Numbers stand left of it and below, names right.
pub(super) const FIELD: (f64, f64, f64, f64) = (62.0, 10.0, 566.0, 316.0);
/// Width and height of a drawing.
pub(super) const SIZE: (f64, f64) = (640.0, 360.0);
/// Colours in the style; with more curves they come again, dotted.
const COLOURS: usize = 8;
/// Names closer than this would touch.
pub(super) const APART: f64 = 14.0;
/// Width of a letter in a name, about.
const LETTER: f64 = 7.0;
/// Room for what a file shows.
const CAPTION: f64 = 20.0;
/// Lines of a grid, about.
const LINES: f64 = 6.0;

/// What an axis spans, in a drawing or beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// An even axis that holds these values.
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        Self::over(values, false)
    }

    /// An axis by powers of ten where values are above 0 and span more than two of them, else an even one.
    pub fn fitting(values: &[f64]) -> Self {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        Self::over(values.iter().copied(), low > 0.0 && high / low > 100.0)
    }

    fn over(values: impl Iterator<Item = f64>, log: bool) -> Self {
        let ends = |(low, high): (f64, f64), v: f64| (low.min(v), high.max(v));
        let finite = values.filter(|v| v.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), ends);
        match (low <= high, low < high) {
            (false, _) => Self { low: 0.0, high: 1.0, log: false },
            (true, false) => Self { low: low - 0.5, high: high + 0.5, log: false },
            (true, true) => Self { low, high, log },
        }
    }

    /// Where a value lies, 0 being the low end and 1 the high one.
    pub fn at(&self, value: f64) -> f64 {
        if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }

    /// Round values for lines of a grid.
    pub fn ticks(&self) -> Vec<f64> {
        let (low, high) = (self.low, self.high);
        let mut ticks = vec![];
        if self.log {
            let mut power = 10_f64.powf(low.log10().floor());
            while power <= high {
                let crowded = high / low > 1e4;
                let leads = if crowded { &[1.0][..] } else { &[1.0, 2.0, 5.0] };
                ticks.extend(leads.iter().map(|lead| lead * power));
                power *= 10.0;
            }
        } else {
            let rough = (high - low) / LINES;
            let power = 10_f64.powf(rough.log10().floor());
            let step = [1.0, 2.0, 5.0, 10.0].map(|s| s * power);
            let step = step.into_iter().find(|s| *s >= rough * 0.999).unwrap_or(rough);
            let mut at = (low / step - 1e-9).ceil();
            while at * step <= high + step * 1e-9 {
                // Rounding up to zero leaves a negative one.
                ticks.push(at * step + 0.0);
                at += 1.0;
            }
        }
        let inside = |t: &f64| (-1e-9..=1.0 + 1e-9).contains(&self.at(*t));
        ticks.into_iter().filter(inside).collect()
    }
}

/// A point of a curve with the ends of its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How high.
    pub y: f64,
    /// Its interval, lower end first.
    pub range: Option<(f64, f64)>,
}

/// A named curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// What stands at its end.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<Point>,
    /// How it is drawn.
    pub look: Look,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
    /// Points joined by a line, in a colour of its own.
    #[default]
    Joined,
    /// The line alone, in this colour: a law.
    Line(usize),
    /// Points alone, in this colour: measurements.
    Dots(usize),
    /// Crosses alone, in this colour: somebody else's figures.
    Crosses(usize),
}

impl Look {
    /// What stands before a name, so that curves of one colour can be told apart.
    fn sign(self) -> &'static str {
        match self {
            Self::Joined => "",
            Self::Line(_) => "\u{2014} ",
            Self::Dots(_) => "\u{2022} ",
            Self::Crosses(_) => "\u{d7} ",
        }
    }

    /// The style of a curve by its number in the chart.
    fn class(self, number: usize) -> String {
        match self {
            Self::Joined => class(number),
            Self::Line(colour) | Self::Dots(colour) | Self::Crosses(colour) => class(colour),
        }
    }
}

/// A drawing of curves.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the lower axis is.
    pub across: String,
    /// Values that the lower axis holds besides those of points.
    pub reach: Vec<f64>,
    /// Whether heights are shares, whose axis goes from 0 to 1.
    pub share: bool,
    /// The curves.
    pub curves: Vec<Curve>,
}

impl Chart {
    /// As a file of its own.
    pub fn file(&self) -> String {
        self.svg(Some(super::page::STYLE)).into_string() + "\n"
    }

    /// Every point as comma-separated values, with a line of names.
    pub fn csv(&self) -> String {
        let head = csv::line(["series", "x", "y", "low", "high"]);
        let points = self.curves.iter().flat_map(|c| c.points.iter().map(move |p| (c, p)));
        let line = |(curve, p): (&Curve, &Point)| {
            let (low, high) = p.range.unzip();
            let numbers = [Some(p.x), Some(p.y), low, high].map(csv::number);
            csv::line(std::iter::once(curve.name.clone()).chain(numbers))
        };
        std::iter::once(head).chain(points.map(line)).collect()
    }

    /// As part of a page.
    pub fn html(&self) -> Markup {
        html! {
            figure { figcaption { b { (self.title) } } div class="wide" { (self.svg(None)) } }
        }
    }

    fn svg(&self, style: Option<&str>) -> Markup {
        let (left, top, right, bottom) = FIELD;
        let points = || self.curves.iter().flat_map(|c| &c.points);
        let reach = self.reach.iter().copied();
        let across = Scale::fitting(&points().map(|p| p.x).chain(reach).collect::<Vec<_>>());
        let ranges = points().filter_map(|p| p.range).flat_map(|(low, high)| [low, high]);
        let heights: Vec<f64> = points().map(|p| p.y).chain(ranges).collect();
        let up = if self.share {
            Scale::linear([0.0, 1.0].into_iter())
        } else {
            Scale::fitting(&heights)
        };
        let x = |v: f64| left + (right - left) * across.at(v);
        let y = |v: f64| bottom - (bottom - top) * up.at(v);
        let longest = self.curves.iter().map(|c| c.name.chars().count() + 2).max().unwrap_or(0);
        let width = SIZE.0.max(right + LETTER * (longest as f64 + 4.0));
        // A page says what it shows beside the drawing, a file has to do so itself.
        let above = if style.is_some() { CAPTION } else { 0.0 };
        html! {
            svg class="plot" xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(self.title)
                viewBox=(format!("0 {:.0} {width:.0} {:.0}", -above, SIZE.1 + above))
                style=(format!("min-width:{:.0}px;max-width:{:.0}px", width * 0.8, width * 1.3)) {
                @if let Some(style) = style { style { (PreEscaped(style)) } }
                title { (self.title) }
                @if style.is_some() {
                    text class="nation" x=(left) y=(top - 12.0) { (self.title) }
                }
                (grid(&self.across, (&across, &x), (&up, &y)))
                @for (i, curve) in self.curves.iter().enumerate() {
                    (line(curve, &curve.look.class(i), &x, &y))
                }
                @for (i, at) in self.names(&y) {
                    text class=(format!("{} name", self.curves[i].look.class(i))) x=(right + 12.0) y=(format!("{at:.1}")) {
                        (self.curves[i].look.sign()) (self.curves[i].name)
                    }
                }
            }
        }
    }

    /// Where the names of curves stand.
    fn names(&self, y: &dyn Fn(f64) -> f64) -> Vec<(usize, f64)> {
        let end = |c: &Curve| c.points.last().map_or(FIELD.3, |p| y(p.y) + 4.0);
        spread(self.curves.iter().map(end).collect())
    }
}

/// An axis and where its values stand in the drawing.
type Axis<'a> = (&'a Scale, &'a dyn Fn(f64) -> f64);

/// Lines and what stands beside them; `what` names the lower axis.
fn grid(what: &str, (across, x): Axis<'_>, (up, y): Axis<'_>) -> Markup {
    let (left, top, right, bottom) = FIELD;
    html! {
        @for tick in up.ticks() {
            path class="link" d=(format!("M{left} {:.1}H{right}", y(tick))) {}
            text x=(left - 6.0) y=(format!("{:.1}", y(tick) + 4.0)) text-anchor="end" { (number(tick)) }
        }
        @for tick in across.ticks() {
            path class="link" d=(format!("M{:.1} {top}V{bottom}", x(tick))) {}
            text x=(format!("{:.1}", x(tick))) y=(bottom + 18.0) text-anchor="middle" { (number(tick)) }
        }
        text class="nation" x=(f64::midpoint(left, right)) y=(bottom + 38.0) text-anchor="middle" {
            (what)
        }
    }
}

fn line(curve: &Curve, class: &str, x: &dyn Fn(f64) -> f64, y: &dyn Fn(f64) -> f64) -> Markup {
    let at = |p: &Point| format!("{:.1},{:.1}", x(p.x), y(p.y));
    let points: Vec<_> = curve.points.iter().map(at).collect();
    html! {
        @for p in &curve.points {
            @if let Some((low, high)) = p.range {
                path class=(class) style="opacity:.45"
                    d=(format!("M{0:.1} {1:.1}V{2:.1}", x(p.x), y(low), y(high))) {}
            }
        }
        @if matches!(curve.look, Look::Joined | Look::Line(_)) {
            polyline class=(class) points=(points.join(" ")) {
                title { (curve.name) }
            }
        }
        @for p in &curve.points {
            @match curve.look {
                Look::Line(_) => {}
                Look::Crosses(_) => path class=(class) style="stroke-width:1.5"
                    d=(format!("M{:.1} {:.1}m-4 -4l8 8m0 -8l-8 8", x(p.x), y(p.y))) {
                    title { (curve.name) ": " (number(p.x)) ", " (number(p.y)) }
                }
                Look::Joined | Look::Dots(_) => path class=(class)
                    style="stroke-width:6;stroke-linecap:round"
                    d=(format!("M{:.1} {:.1}h0", x(p.x), y(p.y))) {
                    title { (curve.name) ": " (number(p.x)) ", " (number(p.y)) }
                }
            }
        }
    }
}

/// The style of a curve by its number.
pub(super) fn class(number: usize) -> String {
    let again = if number >= COLOURS { " again" } else { "" };
    format!("curve c{}{again}", number % COLOURS)
}

/// Where names stand, from top to bottom: beside where they belong, but not on each other.
pub(super) fn spread(wanted: Vec<f64>) -> Vec<(usize, f64)> {
    let mut names: Vec<_> = wanted.into_iter().enumerate().collect();
    names.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut free = FIELD.1 + 4.0;
    for (_, y) in &mut names {
        *y = y.max(free);
        free = *y + APART;
    }
    let mut limit = FIELD.3 + 4.0;
    for (_, y) in names.iter_mut().rev() {
        *y = y.min(limit);
        limit = *y - APART;
    }
    names
}

fn number(value: f64) -> String {
    crate::reproduce::row::round((value * 1e9).round() / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let even = Scale::linear([0.0, 1.0].into_iter());
        assert_eq!(even.ticks().len(), 6);
        let wide = Scale::fitting(&[3.0, 900.0]);
        assert_eq!(wide.ticks(), [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]);
        for bad in [vec![], vec![f64::NAN], vec![4.0]] {
            let scale = Scale::fitting(&bad);
            assert!(scale.at(4.0).is_finite() && scale.ticks().len() < 20, "{bad:?}");
        }
    }

    #[test]
    fn names_do_not_touch() {
        let names = spread(vec![200.0, 200.0, 199.0, 12.0]);
        assert!(names.windows(2).all(|w| w[1].1 - w[0].1 >= APART - 1e-9));
        assert!(names.iter().all(|n| (FIELD.1..=FIELD.3 + 4.0).contains(&n.1)));
    }

    #[test]
    fn a_file_stands_alone() {
        let point = |x| Point { x, y: 0.5, range: Some((0.25, 0.75)) };
        let curves = vec![Curve {
            name: "a<b".into(),
            points: vec![point(1.0), point(2.0)],
            look: Look::Joined,
        }];
        let (title, across, reach) = ("t".into(), "x".into(), vec![0.5]);
        let chart = Chart { title, across, reach, share: true, curves };
        let file = chart.file();
        assert!(file.contains("<style>") && file.contains("a&lt;b"));
        assert!(!file.contains("NaN") && !file.contains(">-0<"));
        let numbers = chart.csv();
        assert_eq!(numbers.lines().nth(1), Some("a<b,1,0.5,0.25,0.75"));
    }
}
