//! Attack graphs as SVG: what was true beside what a scheme found, over the map of the plan.

use super::layout::{BOX, Layout, ROW, Spot};
use crate::plan::{Node, Plan};
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};
use traceback::RouterId;
use traceback::case::Gap;
use traceback::disclose::{Cut, not_disclosed};
use traceback::graph::{Edge, Finding, path_edges};

/// How far a line bows.
const BOW: f64 = 34.0;

/// Pixels of half a page on a common screen.
const HALF_PAGE: f64 = 560.0;

/// What one scheme's drawing shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// Scheme id.
    pub scheme: String,
    /// The true attack paths, the router nearest the attacker first.
    pub truth: BTreeSet<Vec<RouterId>>,
    /// What the scheme found.
    pub finding: Result<Finding, Gap>,
}

/// How a thing is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ink {
    /// True and found.
    Right,
    /// True and not found.
    Missing,
    /// Found and not true.
    Wrong,
}

impl Ink {
    const ALL: [Self; 3] = [Self::Missing, Self::Right, Self::Wrong];

    /// Also the name of its style.
    fn word(self) -> &'static str {
        match self {
            Self::Right => "correct",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// Routers and edges that truth or a scheme names.
#[derive(Debug, Clone, Default)]
struct Facts {
    routers: BTreeMap<RouterId, u16>,
    edges: BTreeSet<Edge>,
}

impl Facts {
    fn of_edges(edges: BTreeSet<Edge>) -> Self {
        Self { routers: edges.iter().map(|e| (e.from, e.distance)).collect(), edges }
    }

    fn of_routers(routers: impl IntoIterator<Item = RouterId>) -> Self {
        Self { routers: routers.into_iter().map(|r| (r, 0)).collect(), edges: BTreeSet::new() }
    }
}

impl Drawing {
    /// Both sides under a heading.
    pub(super) fn html(&self, plan: &Plan) -> Markup {
        let edges = self.truth.iter().flat_map(|p| path_edges(p)).collect();
        let truth = Facts::of_edges(edges);
        let shown = self.cut(plan).map(|cut| Shown::of(plan, cut, &self.truth));
        let (wanted, said, note) = self.compared(&truth, shown.as_ref());
        let mut named = said.routers.clone();
        named.extend(shown.as_ref().map_or(&truth.routers, |shown| &shown.wanted.routers));
        let victim = plan.node_name(Node::Host(plan.case.victim));
        let whole = plan.map().unwrap_or_default();
        let layout = |map, gateway, named| Layout::of(map, (gateway, victim), named);
        let (place, found) = match &shown {
            None => (layout(&whole, plan.gateway(), &named), None),
            Some(shown) => {
                let found = layout(shown.cut.shown(), shown.gateway, &named);
                (layout(&whole, plan.gateway(), &truth.routers), Some(found))
            }
        };
        let (left, right) = (Side::new(&truth, &truth), Side::new(&wanted, &said));
        let right = Side { notes: shown.map(|shown| shown.notes).unwrap_or_default(), ..right };
        let found = found.as_ref().unwrap_or(&place);
        // Drawings that would have to scroll in half the page stand one above the other.
        let narrow = [&place, found].iter().all(|layout| least_width(layout) <= HALF_PAGE);
        let count = self.truth.len();
        let paths = format!("{count} attack path{}", if count == 1 { "" } else { "s" });
        html! {
            h3 { (self.scheme) }
            div class=(if narrow { "pair" } else { "stack" }) {
                (left.figure(&place, "Truth", &paths, None))
                (right.figure(found, "Found", &right.tally(), note))
            }
        }
    }

    /// What is shown of the plan's map, where that is not all.
    fn cut(&self, plan: &Plan) -> Option<Cut> {
        let at = plan.schemes.iter().position(|s| s.id == self.scheme)?;
        let cut = plan.disclosed(&*crate::run::scheme(plan, at).ok()?).ok()?;
        Some(cut).filter(|cut| !cut.is_whole())
    }

    /// What the scheme should have named, what it named, and what is to be said besides.
    fn compared(&self, whole: &Facts, shown: Option<&Shown>) -> (Facts, Facts, Option<String>) {
        let truth = shown.map_or(whole, |shown| &shown.wanted);
        match &self.finding {
            Ok(Finding::Paths(graph)) => {
                let note = match graph.set_aside {
                    0 => None,
                    n => Some(format!("{n} candidates beyond these were set aside.")),
                };
                (truth.clone(), Facts::of_edges(graph.edges.clone()), note)
            }
            Ok(Finding::Ingress { routers }) => {
                let name = |id| shown.map_or(Some(id), |shown| shown.cut.name(id));
                let entries = self.truth.iter().filter_map(|p| name(*p.first()?));
                let note = "The scheme names where attack traffic entered, not its paths.";
                let said = Facts::of_routers(routers.iter().copied());
                (Facts::of_routers(entries), said, Some(note.into()))
            }
            Ok(Finding::AsPaths { paths }) => {
                let text = |path: &Vec<u32>| {
                    let systems: Vec<String> = path.iter().map(|asn| format!("AS{asn}")).collect();
                    systems.join(" > ")
                };
                let paths: Vec<String> = paths.iter().map(text).collect();
                let note = format!(
                    "The scheme names autonomous systems and no router: {}.",
                    paths.join("; ")
                );
                (Facts::default(), Facts::default(), Some(note))
            }
            Ok(Finding::Classes { packets }) => {
                let classes = packets.len();
                let note = format!("The scheme tells {classes} classes apart and names no router.");
                (Facts::default(), Facts::default(), Some(note))
            }
            Err(gap) => (truth.clone(), Facts::default(), Some(format!("No finding: {gap}."))),
        }
    }
}

/// The truth as it is shown.
struct Shown {
    cut: Cut,
    gateway: RouterId,
    wanted: Facts,
    /// What lies between two names, for people.
    notes: BTreeMap<Edge, String>,
}

impl Shown {
    fn of(plan: &Plan, cut: Cut, truth: &BTreeSet<Vec<RouterId>>) -> Self {
        let mut edges = BTreeSet::new();
        let mut notes = BTreeMap::new();
        for path in truth {
            let shown = cut.project(path);
            let names: Vec<RouterId> = shown.iter().map(|(_, name)| *name).collect();
            for (edge, pair) in path_edges(&names).zip(shown.windows(2)) {
                notes.extend(between(plan, &cut, path, (pair[0].0, pair[1].0)).map(|n| (edge, n)));
            }
            edges.extend(path_edges(&names));
        }
        let gateway = plan.shown_gateway(&cut).unwrap_or_else(|| plan.gateway());
        Self { cut, gateway, wanted: Facts::of_edges(edges), notes }
    }
}

/// What is hidden of a path between two of its hops.
fn between(
    plan: &Plan,
    cut: &Cut,
    path: &[RouterId],
    (from, to): (usize, usize),
) -> Option<String> {
    // Routers behind a name that is shown are not missing.
    let mut hidden: BTreeMap<&str, u16> = BTreeMap::new();
    for id in &path[from + 1..to] {
        let at = plan.routers.iter().position(|r| r.id == *id)?;
        if cut.node(u32::try_from(at).ok()?).is_none() {
            *hidden.entry(&plan.routers[at].domain).or_default() += 1;
        }
    }
    let say = |(domain, n): (&str, u16)| not_disclosed(Some(n), domain);
    let said: Vec<String> = hidden.into_iter().map(say).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

/// One side of a drawing.
struct Side {
    routers: BTreeMap<RouterId, Ink>,
    edges: Vec<(Edge, Ink)>,
    notes: BTreeMap<Edge, String>,
}

impl Side {
    fn new(wanted: &Facts, said: &Facts) -> Self {
        let ink = |wanted, said| match (wanted, said) {
            (true, true) => Ink::Right,
            (true, false) => Ink::Missing,
            (false, _) => Ink::Wrong,
        };
        let router = |r| (r, ink(wanted.routers.contains_key(&r), said.routers.contains_key(&r)));
        let edge = |e: &Edge| (*e, ink(wanted.edges.contains(e), said.edges.contains(e)));
        Self {
            routers: wanted
                .routers
                .keys()
                .chain(said.routers.keys())
                .copied()
                .map(router)
                .collect(),
            edges: wanted.edges.union(&said.edges).map(edge).collect(),
            notes: BTreeMap::new(),
        }
    }

    /// Such as "5 edges correct, 1 missing, 0 wrong", or the same of routers where no edge is named.
    fn tally(&self) -> String {
        let (what, inks): (_, Vec<Ink>) = if self.edges.is_empty() {
            ("router", self.routers.values().copied().collect())
        } else {
            ("edge", self.edges.iter().map(|(_, ink)| *ink).collect())
        };
        let count = |ink| inks.iter().filter(|i| **i == ink).count();
        let [missing, right, wrong] = Ink::ALL.map(count);
        let plural = if right == 1 { "" } else { "s" };
        format!("{right} {what}{plural} correct, {missing} missing, {wrong} wrong")
    }

    fn figure(&self, layout: &Layout, title: &str, what: &str, note: Option<String>) -> Markup {
        let (width, height) = layout.size;
        let label = format!("{title}: {what}");
        // Letters stay readable on a phone, where the drawing scrolls, and do not grow huge.
        let least = least_width(layout);
        let style = format!("min-width:{least:.0}px;max-width:{:.0}px", width * 1.3);
        html! {
            figure {
                figcaption { b { (title) } " " (what) @if let Some(note) = note { br; em { (note) } } }
                div class="wide" {
                    svg viewBox=(format!("0 0 {width:.0} {height:.0}")) role="img"
                        aria-label=(label) style=(style) {
                        title { (label) }
                        (bands(layout))
                        @for (a, b) in &layout.links {
                            path class="link" d=(line(&layout.spots[a], &layout.spots[b]).0) {}
                        }
                        @for ink in Ink::ALL { (self.edges(layout, ink)) }
                        @for (id, spot) in &layout.spots { (node(spot, self.routers.get(id))) }
                        (node(&layout.victim, Some(&Ink::Right)))
                    }
                }
            }
        }
    }

    /// The edges of one ink; what is wrong comes last, over everything else.
    fn edges(&self, layout: &Layout, ink: Ink) -> Markup {
        html! {
            @for (edge, _) in self.edges.iter().filter(|(_, i)| *i == ink) {
                @let to = edge.to.map_or(Some(&layout.victim), |to| layout.spots.get(&to));
                @if let (Some(from), Some(to)) = (layout.spots.get(&edge.from), to) {
                    @let (line, head) = line(from, to);
                    g class=(ink.word()) {
                        title { (ink.word()) ": " (from.name) " to " (to.name) }
                        path d=(line) {}
                        polygon points=(head) {}
                    }
                    @if let Some(note) = self.notes.get(edge) {
                        text class="hidden" text-anchor="middle" x=(f64::midpoint(from.at.0, to.at.0))
                            y=(from.at.1.max(to.at.1) + BOX / 2.0 + 10.0) { (note) }
                    }
                }
            }
        }
    }
}

/// Pixels below which letters are hard to read.
fn least_width(layout: &Layout) -> f64 {
    layout.size.0 * 0.8
}

fn bands(layout: &Layout) -> Markup {
    html! {
        @for (i, band) in layout.bands.iter().enumerate() {
            rect class=(format!("band n{}", i % 6)) x="0" y=(band.top) width=(layout.size.0)
                height=(band.height) {}
            text class="nation" x="6" y=(band.top + 14.0) { (band.nation) }
        }
    }
}

fn node(spot: &Spot, ink: Option<&Ink>) -> Markup {
    let (x, y) = spot.at;
    let class = ink.map_or("idle", |ink| ink.word());
    html! {
        g class=(class) {
            title { (spot.name) ", " (spot.nation) ": " (ink.map_or("not on a path", |i| i.word())) }
            rect class="box" x=(x - spot.width / 2.0) y=(y - BOX / 2.0) width=(spot.width)
                height=(BOX) rx="4" {}
            text x=(x) y=(y + 4.0) text-anchor="middle" { (spot.name) }
        }
    }
}

/// The way from one box to another, and the corners of its arrow's head.
fn line(from: &Spot, to: &Spot) -> (String, String) {
    if (from.at.0 - to.at.0).abs() > 1.0 && from.column.abs_diff(to.column) <= 1 {
        return swing(from, to);
    }
    let (a, b) = (from.at, to.at);
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let near = from.column == to.column && dy.abs() < 1.5 * ROW;
    // Past other boxes it bows, so that it does not hide behind them.
    let bow = if near { 0.0 } else { BOW / dx.hypot(dy).max(1.0) };
    let middle = (f64::midpoint(a.0, b.0) + bow * dy, f64::midpoint(a.1, b.1) - bow * dx);
    let (start, end) = (edge_of(from, middle), edge_of(to, middle));
    let ([sx, sy], [mx, my], [ex, ey]) = (start.into(), middle.into(), end.into());
    (format!("M{sx:.1} {sy:.1}Q{mx:.1} {my:.1} {ex:.1} {ey:.1}"), head(middle, end))
}

/// Between neighbouring columns, from side to side: the space between them is free of boxes.
fn swing(from: &Spot, to: &Spot) -> (String, String) {
    let side = (to.at.0 - from.at.0).signum();
    let (sx, sy) = (from.at.0 + side * from.width / 2.0, from.at.1);
    let (ex, ey) = (to.at.0 - side * to.width / 2.0, to.at.1);
    let mx = f64::midpoint(sx, ex);
    (
        format!("M{sx:.1} {sy:.1}C{mx:.1} {sy:.1} {mx:.1} {ey:.1} {ex:.1} {ey:.1}"),
        head((mx, ey), (ex, ey)),
    )
}

/// Where the way from a box's middle to a point leaves the box.
fn edge_of(spot: &Spot, towards: (f64, f64)) -> (f64, f64) {
    let (dx, dy) = (towards.0 - spot.at.0, towards.1 - spot.at.1);
    let share = |half: f64, d: f64| if d.abs() < 1e-9 { f64::INFINITY } else { half / d.abs() };
    let t = share(spot.width / 2.0, dx).min(share(BOX / 2.0, dy)).min(1.0);
    (spot.at.0 + dx * t, spot.at.1 + dy * t)
}

/// A triangle that points at `end`.
fn head(from: (f64, f64), end: (f64, f64)) -> String {
    let (dx, dy) = (end.0 - from.0, end.1 - from.1);
    let length = dx.hypot(dy).max(1e-9);
    let (ux, uy) = (dx / length * 8.0, dy / length * 8.0);
    let (x, y) = (end.0 - ux, end.1 - uy);
    let (wx, wy) = (uy / 2.0, ux / 2.0);
    let corners = [end, (x - wx, y + wy), (x + wx, y - wy)];
    corners.map(|(x, y)| format!("{x:.1},{y:.1}")).join(" ")
}
