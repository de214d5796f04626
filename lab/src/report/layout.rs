//! Where routers stand in a drawing: columns by hops from the victim, bands by nation.
//!
//! ```text
//! XA                          br1 - core1 - gw - victim
//! XB    acc1 - tr1 - br
//!       farthest                            nearest
//! ```
//! Within a band and column, routers stand in the order of their neighbours nearer to the victim,
//! which keeps most links from crossing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use traceback::RouterId;
use traceback::map::Map;

/// Height of a box.
pub(super) const BOX: f64 = 22.0;
/// From one row to the next.
pub(super) const ROW: f64 = 38.0;
/// Between two columns, and around everything.
const GAP: f64 = 38.0;
const MARGIN: f64 = 10.0;
/// Room above the first row of a band, for the nation's name.
const HEAD: f64 = 18.0;
/// Width of a letter, on the safe side.
const LETTER: f64 = 7.0;
/// Of larger maps, only routers that a path touches are drawn.
const MANY: usize = 60;
/// The band of what was found and is no router of the plan.
const STRANGERS: &str = "not on the map";

/// A box: a router, or the victim.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spot {
    /// Its name.
    pub name: String,
    /// Its nation.
    pub nation: String,
    /// Hops from the victim's gateway.
    pub column: usize,
    /// Middle.
    pub at: (f64, f64),
    /// Width.
    pub width: f64,
}

/// The stripe of one nation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Band {
    /// Two letters.
    pub nation: String,
    /// Upper edge.
    pub top: f64,
    /// From upper to lower edge.
    pub height: f64,
}

/// Everything that both sides of a drawing share.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Every router that is drawn.
    pub spots: BTreeMap<RouterId, Spot>,
    /// The victim.
    pub victim: Spot,
    /// Nations, top down.
    pub bands: Vec<Band>,
    /// Links between drawn routers.
    pub links: Vec<(RouterId, RouterId)>,
    /// Width and height of the whole.
    pub size: (f64, f64),
}

impl Layout {
    /// Places the routers of a map on which `gateway` delivers to the victim. `named` are those on true or
    /// found paths, with their distance.
    pub(super) fn of(
        map: &Map,
        (gateway, victim): (RouterId, &str),
        named: &BTreeMap<RouterId, u16>,
    ) -> Self {
        let mut spots = spots(map, gateway, named);
        let mut links = links(map);
        links.retain(|(a, b)| spots.contains_key(a) && spots.contains_key(b));
        let name = victim.to_owned();
        let nation = spots.get(&gateway).map_or_else(String::new, |s| s.nation.clone());
        let mut victim = spot(name, nation, 0);
        let width = set_columns(&mut spots, &mut victim);
        let bands = bands(map, &spots);
        set_rows(&mut spots, &bands, &links);
        victim.at.1 = spots.get(&gateway).map_or(0.0, |s| s.at.1);
        let height = bands.last().map_or(0.0, |b| b.top + b.height) + MARGIN;
        Self { spots, victim, bands, links, size: (width, height) }
    }
}

fn spot(name: String, nation: String, column: usize) -> Spot {
    let width = name.chars().count() as f64 * LETTER + 12.0;
    Spot { name, nation, column, at: (0.0, 0.0), width }
}

/// Who is drawn, not placed yet.
fn spots(
    map: &Map,
    gateway: RouterId,
    named: &BTreeMap<RouterId, u16>,
) -> BTreeMap<RouterId, Spot> {
    let distance = distances(gateway, &links(map));
    let beyond = distance.values().max().map_or(0, |most| most + 1);
    let mut spots = BTreeMap::new();
    for router in map.routers() {
        if map.routers().len() <= MANY || named.contains_key(&router.id) {
            let column = distance.get(&router.id).copied().unwrap_or(beyond);
            spots.insert(router.id, spot(router.name.clone(), router.nation.clone(), column));
        }
    }
    for (id, distance) in named {
        let stranger = || spot(id.to_string(), STRANGERS.into(), usize::from(*distance));
        spots.entry(*id).or_insert_with(stranger);
    }
    spots
}

fn links(map: &Map) -> Vec<(RouterId, RouterId)> {
    let id = |at: u32| map.by_index(at).map(|router| router.id);
    map.links().iter().filter_map(|(a, b)| Some((id(*a)?, id(*b)?))).collect()
}

/// Hops from the gateway, by breadth-first search.
fn distances(gateway: RouterId, links: &[(RouterId, RouterId)]) -> BTreeMap<RouterId, usize> {
    let mut found = BTreeMap::from([(gateway, 0)]);
    let mut queue = VecDeque::from([(gateway, 0)]);
    while let Some((router, distance)) = queue.pop_front() {
        for next in neighbours(router, links) {
            found.entry(next).or_insert_with(|| {
                queue.push_back((next, distance + 1));
                distance + 1
            });
        }
    }
    found
}

fn neighbours(
    router: RouterId,
    links: &[(RouterId, RouterId)],
) -> impl Iterator<Item = RouterId> + '_ {
    links.iter().filter_map(move |(a, b)| match (*a == router, *b == router) {
        (true, _) => Some(*b),
        (_, true) => Some(*a),
        (false, false) => None,
    })
}

/// Sets every box's horizontal place, the farthest column leftmost, and returns the whole width.
fn set_columns(spots: &mut BTreeMap<RouterId, Spot>, victim: &mut Spot) -> f64 {
    let mut widths: BTreeMap<usize, f64> = BTreeMap::new();
    for spot in spots.values() {
        let width = widths.entry(spot.column).or_default();
        *width = width.max(spot.width);
    }
    let mut left = MARGIN;
    let mut middles = BTreeMap::new();
    for (column, width) in widths.iter().rev() {
        middles.insert(*column, left + width / 2.0);
        left += width + GAP;
    }
    for spot in spots.values_mut() {
        spot.at.0 = middles[&spot.column];
    }
    victim.at.0 = left + victim.width / 2.0;
    left + victim.width + MARGIN
}

/// The nations in the map's order, each as high as its fullest column.
fn bands(map: &Map, spots: &BTreeMap<RouterId, Spot>) -> Vec<Band> {
    let mut fullest: BTreeMap<&str, BTreeMap<usize, usize>> = BTreeMap::new();
    for spot in spots.values() {
        *fullest.entry(&spot.nation).or_default().entry(spot.column).or_default() += 1;
    }
    let known = map.routers().iter().map(|r| r.nation.as_str());
    let mut top = MARGIN;
    let mut bands = vec![];
    for nation in known.chain([STRANGERS]) {
        let Some(columns) = fullest.remove(nation) else { continue };
        let rows = columns.into_values().max().unwrap_or(0);
        let height = HEAD + rows as f64 * ROW;
        bands.push(Band { nation: nation.into(), top, height });
        top += height;
    }
    bands
}

/// Sets every box's vertical place, column by column away from the victim.
fn set_rows(spots: &mut BTreeMap<RouterId, Spot>, bands: &[Band], links: &[(RouterId, RouterId)]) {
    let columns: BTreeSet<usize> = spots.values().map(|s| s.column).collect();
    for column in columns {
        for band in bands {
            let here = |s: &Spot| s.column == column && s.nation == band.nation;
            let ids = spots.iter().filter(|(_, s)| here(s)).map(|(id, _)| *id);
            let mut ids: Vec<(f64, RouterId)> =
                ids.map(|id| (pull(id, column, spots, links), id)).collect();
            ids.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            let free = band.height - HEAD - ids.len() as f64 * ROW;
            for (row, (_, id)) in ids.into_iter().enumerate() {
                let y = band.top + HEAD + free / 2.0 + (row as f64 + 0.5) * ROW - (ROW - BOX) / 4.0;
                spots.entry(id).and_modify(|s| s.at.1 = y);
            }
        }
    }
}

/// The mean height of a router's neighbours in the next column.
fn pull(
    id: RouterId,
    column: usize,
    spots: &BTreeMap<RouterId, Spot>,
    links: &[(RouterId, RouterId)],
) -> f64 {
    let nearer = neighbours(id, links).filter_map(|n| spots.get(&n)).filter(|s| s.column < column);
    let heights: Vec<f64> = nearer.map(|s| s.at.1).collect();
    traceback::stats::mean(&heights).unwrap_or(0.0)
}
