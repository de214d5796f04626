use super::*;
use proptest::prelude::*;
use std::net::Ipv4Addr;

fn n(i: usize) -> u32 {
    u32::try_from(i).unwrap()
}

/// A random map: routers of four domains with two systems each, in a tree with some links more.
#[derive(Debug, Clone)]
struct World {
    map: Map,
    homes: Vec<usize>,
    details: Vec<Detail>,
}

impl World {
    fn cut(&self) -> Cut {
        let estate = |(i, detail): (u64, &Detail)| Estate { detail: *detail, key: Key(i, 7) };
        let estates = (0..).zip(&self.details).map(estate).collect();
        Cut::new(self.map.clone(), self.homes.clone(), estates).unwrap()
    }

    /// A way of fewest hops between two routers.
    fn way(&self, from: usize, to: usize) -> Vec<RouterId> {
        let count = self.map.routers().len();
        let (from, to) = (n(from % count), n(to % count));
        let mut before = BTreeMap::from([(to, to)]);
        let mut front = std::collections::VecDeque::from([to]);
        while let Some(at) = front.pop_front() {
            for next in self.map.linked(at) {
                if !before.contains_key(next) {
                    before.insert(*next, at);
                    front.push_back(*next);
                }
            }
        }
        let mut way = vec![from];
        while *way.last().unwrap() != to {
            way.push(before[way.last().unwrap()]);
        }
        way.iter().map(|i| self.map.by_index(*i).unwrap().id).collect()
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let router = (0..1_000_usize, 0..2_u32);
    let details = proptest::collection::vec((0..7_usize).prop_map(|i| Detail::ALL[i]), 4);
    let more = proptest::collection::vec((0..40_u32, 0..40_u32), 0..8);
    (proptest::collection::vec(router, 4..40), more, details).prop_map(
        |(routers, more, details)| {
            let mut homes: Vec<usize> = vec![];
            let mut links = vec![];
            for (i, (near, _)) in routers.iter().enumerate() {
                // Domains are connected: a router is of the one before it or begins the next.
                let near = if i == 0 { 0 } else { near % i };
                homes.push(if i < 4 { i } else { homes[near] });
                if i > 0 {
                    links.push((n(near), n(i)));
                }
            }
            let count = n(routers.len());
            links.extend(more.into_iter().filter(|(a, b)| a != b && *a.max(b) < count));
            let router = |(i, (_, system)): (usize, &(usize, u32))| MapRouter {
                id: RouterId(0xc612_0000 + n(i)),
                name: format!("r{i}"),
                asn: 64_500 + 2 * n(homes[i]) + system,
                nation: format!(
                    "X{}",
                    char::from_digit(10 + n(homes[i]), 36).unwrap().to_ascii_uppercase()
                ),
                aliases: vec![Ipv4Addr::from(0xc612_0000 + n(i)).into()],
            };
            let routers = routers.iter().enumerate().map(router).collect();
            World { map: Map::new(routers, links).unwrap(), homes, details }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// The disclosed map names only routers of domains that show them, and only systems and nations likewise.
    #[test]
    fn the_disclosed_map_names_nobody_undisclosed(world in worlds()) {
        let cut = world.cut();
        for (router, at) in world.map.routers().iter().zip(0..) {
            let foreign = |n: &&u32| world.homes[**n as usize] != world.homes[at as usize];
            let detail = world.details[world.homes[at as usize]];
            let may = match detail {
                Detail::Router => true,
                Detail::Border => world.map.linked(at).iter().find(foreign).is_some(),
                _ => false,
            };
            prop_assert_eq!(cut.shown().index(router.id).is_some(), may);
            let named = |n: &MapRouter| n.name == router.name || n.aliases.contains(&router.aliases[0]);
            prop_assert!(may || !cut.shown().routers().iter().any(named));
            let systems = [Detail::Router, Detail::Border, Detail::As];
            let tells = |details: &[Detail]| {
                let own = world.map.routers().iter().zip(&world.homes).filter(|(r, _)| r.asn == router.asn);
                own.map(|(_, h)| world.details[*h]).any(|d| details.contains(&d))
            };
            if !tells(&systems) {
                prop_assert!(cut.shown().routers().iter().all(|n| n.asn != router.asn));
            }
            if !tells(&[Detail::Router, Detail::Border, Detail::As, Detail::Nation]) {
                prop_assert!(cut.shown().routers().iter().all(|n| n.nation != router.nation));
            }
        }
    }

    /// A path's projection is a path of the disclosed map, or passes a system in two parts; and is projected
    /// to itself.
    #[test]
    fn projections_are_paths_and_stay_as_they_are(
        world in worlds(), from in 0..1_000_usize, to in 0..1_000_usize,
    ) {
        let cut = world.cut();
        let path = world.way(from, to);
        let shown: Vec<RouterId> = cut.project(&path).into_iter().map(|(_, id)| id).collect();
        for pair in shown.windows(2) {
            let linked = cut.shown().neighbours(pair[0]).any(|n| n == pair[1]);
            prop_assert!(linked || pair[0] == pair[1] && super::super::is_alias(pair[0]), "{:?}", shown);
        }
        let again: Vec<RouterId> = cut.project(&shown).into_iter().map(|(_, id)| id).collect();
        prop_assert_eq!(again, shown);
    }

    /// What a router says of the one before it is what that one wrote, or nothing.
    #[test]
    fn routers_name_those_who_acted_before_them(
        world in worlds(), from in 0..1_000_usize, to in 0..1_000_usize,
    ) {
        let cut = world.cut();
        let path = world.way(from, to);
        let at = |id: RouterId| world.map.index(id).unwrap();
        let mut last = None;
        for (i, id) in path.iter().enumerate() {
            let before = i.checked_sub(1).map(|i| at(path[i]));
            let beyond = cut.beyond(at(*id), before);
            prop_assert_eq!(beyond.name.is_none(), i == 0);
            prop_assert_eq!(!beyond.silent, cut.acts(at(*id), before));
            if beyond.silent {
                continue;
            }
            if let Some(name) = beyond.name.filter(|name| name.0 > 0) {
                prop_assert_eq!(Some(name), last);
                let place = cut.place(at(*id)).unwrap();
                prop_assert!(beyond.link.unwrap() < place.degree);
            }
            last = Some(cut.node(at(*id)).unwrap().id);
        }
    }

    /// Where all show their routers, nothing is cut.
    #[test]
    fn who_shows_all_changes_nothing(
        world in worlds(), from in 0..1_000_usize, to in 0..1_000_usize,
    ) {
        let whole = World { details: vec![Detail::Router; 4], ..world }.cut();
        prop_assert!(whole.is_whole() && whole.opens_everywhere() && whole.skips_nobody());
        prop_assert_eq!(whole.shown(), whole.whole());
        let way = World { map: whole.whole().clone(), homes: vec![], details: vec![] }.way(from, to);
        let shown: Vec<_> = whole.project(&way).into_iter().map(|(_, id)| id).collect();
        prop_assert_eq!(shown, way);
    }
}

/// a - b - c - d - e, where b, c and d are one domain.
fn line(detail: Detail) -> Cut {
    let router = |i: u32| MapRouter {
        id: RouterId(10 + i),
        name: format!("r{i}"),
        asn: [1, 2, 2, 3, 4][i as usize],
        nation: ["XA", "XB", "XB", "XB", "XC"][i as usize].into(),
        aliases: vec![],
    };
    let map = Map::new((0..5).map(router).collect(), (0..4).map(|i| (i, i + 1)).collect());
    let open = Estate { detail: Detail::Router, key: Key(0, 0) };
    let estates = vec![open, Estate { detail, key: Key(1, 2) }, open];
    Cut::new(map.unwrap(), vec![0, 1, 1, 1, 2], estates).unwrap()
}

#[test]
fn a_line_through_a_domain_is_shown_by_its_detail() {
    let path: Vec<RouterId> = (10..15).map(RouterId).collect();
    let names = |detail| {
        let cut = line(detail);
        let node = |(_, id): (usize, RouterId)| cut.shown().router(id).unwrap().name.clone();
        cut.project(&path).into_iter().map(node).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(Detail::Router), "r0 r1 r2 r3 r4");
    assert_eq!(names(Detail::Border), "r0 r1 r3 r4");
    assert_eq!(names(Detail::As), "r0 as2 as3 r4");
    assert_eq!(names(Detail::Nation), "r0 xb r4");
    assert_eq!(names(Detail::None), "r0 r4");
    assert_eq!(names(Detail::Presence), "r0 r4");
    assert_eq!(names(Detail::Hash).split(' ').count(), 5);
    // The domain beyond is a neighbour across what stays silent, but its packets may come from within.
    let hidden = line(Detail::None);
    assert_eq!(hidden.shown().links(), [(0, 1)]);
    assert_eq!(hidden.beyond(4, Some(3)).name, Some(RouterId(0)));
    assert!(!hidden.opens_everywhere() && line(Detail::As).opens_everywhere());
    assert!(!line(Detail::As).skips_nobody());
}
