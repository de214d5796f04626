//! Times as SVG, of the marking step or of the whole way: one curve for each scheme, over a tail axis.
//!
//! To the right every step of the same width is ten times rarer (90, 99, 99.9 %): a mean hides what
//! happens to one packet in a thousand, and this shows it. Up goes the time, also by powers of ten.

use super::axes::{Axes, grid, height, time};
use super::chart::{FIELD, SIZE, class, spread};
use crate::summary::{Latency, SchemeRow, Summary};
use maud::{Markup, html};

/// One scheme's curve.
struct Curve<'a> {
    scheme: &'a str,
    times: &'a Latency,
    /// Its style.
    class: String,
    /// Powers of ten on both axes: how rare, and how many nanoseconds.
    points: Vec<(f64, f64)>,
}

/// Which times are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// A router's marking step.
    Mark,
    /// From sender to victim.
    EndToEnd,
}

impl Which {
    fn of(self, row: &SchemeRow) -> &Latency {
        match self {
            Self::Mark => &row.mark_latency_ns,
            Self::EndToEnd => &row.e2e_latency_ns,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mark => "Time of the marking step",
            Self::EndToEnd => "Time from sender to victim",
        }
    }
}

/// The drawing with its legend, or why there is none.
pub(super) fn html(summary: &Summary, which: Which) -> Markup {
    let curves = curves(summary, which);
    let Some(first) = curves.first() else {
        let why = summary.schemes.iter().find_map(|r| which.of(r).why.as_deref());
        return html! { p class="legend" { "Nothing to draw: " (why.unwrap_or("nothing was timed")) "." } };
    };
    let sampled = first.times.sampled_1_in;
    let clock = curves.iter().filter_map(|c| c.times.clock_cost).max();
    html! {
        figure {
            figcaption {
                @match sampled {
                    Some(n) => { b { "Sampled 1 packet in " (n) } ", all routers together. " }
                    None => { b { "Every packet" } " of the plan that reached the victim. " }
                }
                em { "Each curve ends at its slowest packet; the farther right, the rarer." }
            }
            div class="wide" { (svg(&curves, which, clock)) }
        }
        (legend(&curves, clock))
    }
}

/// Curves of all schemes that were timed, the control first so that it lies below the others.
fn curves(summary: &Summary, which: Which) -> Vec<Curve<'_>> {
    let timed = summary.schemes.iter().filter(|r| !which.of(r).percentiles.is_empty());
    let mut colour = 0;
    let mut curves: Vec<_> = timed
        .map(|row| {
            let class = if row.scheme == "none" {
                "curve control".into()
            } else {
                colour += 1;
                class(colour - 1)
            };
            let (scheme, times) = (row.scheme.as_str(), which.of(row));
            Curve { scheme, times, class, points: points(times) }
        })
        .collect();
    curves.sort_by_key(|c| c.scheme != "none");
    curves
}

fn points(times: &Latency) -> Vec<(f64, f64)> {
    let mut points: Vec<_> =
        times.percentiles.iter().map(|(q, ns)| (-(1.0 - q).log10(), height(*ns))).collect();
    // The slowest of n steps is as rare as one in n.
    points.extend(times.max.map(|max| ((times.count.max(1) as f64).log10(), height(max))));
    points
}

fn svg(curves: &[Curve<'_>], which: Which, clock: Option<u64>) -> Markup {
    let points: Vec<_> = curves.iter().flat_map(|c| c.points.iter().copied()).collect();
    let axes = Axes::of(&points, clock.map(height));
    let said: Vec<_> = curves.iter().map(|c| format!("{} {}", c.scheme, middle(c.times))).collect();
    let end = |c: &Curve<'_>| c.points.last().map_or(FIELD.3, |p| axes.y(p.1) + 4.0);
    let label = format!("{} by percentile: {}", which.name(), said.join("; "));
    let style = format!("min-width:{:.0}px;max-width:{:.0}px", SIZE.0 * 0.8, SIZE.0 * 1.3);
    html! {
        svg class="plot" viewBox=(format!("0 0 {:.0} {:.0}", SIZE.0, SIZE.1)) role="img"
            aria-label=(label) style=(style) {
            title { (label) }
            (grid(&axes))
            @if let Some(ns) = clock {
                @let y = format!("{:.1}", axes.y(height(ns)));
                path class="clock" d=(format!("M{} {y}H{}", FIELD.0, FIELD.2)) {
                    title { "Reading the clock twice: " (time(ns)) }
                }
            }
            @for curve in curves { (line(&axes, curve)) }
            @for (i, y) in spread(curves.iter().map(end).collect()) {
                text class=(format!("{} name", curves[i].class)) x=(FIELD.2 + 6.0) y=(format!("{y:.1}")) {
                    (curves[i].scheme)
                }
            }
        }
    }
}

fn line(axes: &Axes, curve: &Curve<'_>) -> Markup {
    let at = |(rare, high): &(f64, f64)| format!("{:.1},{:.1}", axes.x(*rare), axes.y(*high));
    let points: Vec<_> = curve.points.iter().map(at).collect();
    html! {
        polyline class=(curve.class) points=(points.join(" ")) {
            title { (curve.scheme) ": " (middle(curve.times)) }
        }
    }
}

fn legend(curves: &[Curve<'_>], clock: Option<u64>) -> Markup {
    let sample = |class: &str| {
        html! {
            svg class="plot" viewBox="0 0 34 12" width="34" height="12" aria-hidden="true" {
                path class=(class) d="M0 6H34" {}
            }
        }
    };
    html! {
        p class="legend" {
            @for curve in curves {
                @let what = if curve.scheme == "none" { " (unmarked control)" } else { "" };
                span { (sample(&curve.class)) " " (curve.scheme) (what) ": " (middle(curve.times)) }
            }
            @if let Some(ns) = clock {
                span { (sample("clock")) " reading the clock twice, contained in every curve: " (time(ns)) }
            }
        }
    }
}

/// Such as "p50 210 ns, p99 1.2 µs".
fn middle(times: &Latency) -> String {
    let show = |ns: Option<u64>| ns.map_or_else(|| "-".into(), time);
    format!("p50 {}, p99 {}", show(times.p50), show(times.p99))
}
