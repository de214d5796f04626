use super::*;
use crate::disclose::{Approval, Lapse, Origin, Tlp};
use crate::map::MapRouter;
use proptest::prelude::*;

/// Routers 1 and 9 belong to other domains; 2 to 5 are a domain of two systems, 2 and 5 at its border.
fn map() -> Map {
    let router = |id: u32| MapRouter {
        id: RouterId(id),
        name: format!("r{id}"),
        asn: match id {
            1 => 1,
            9 => 9,
            2 | 3 => 20,
            _ => 21,
        },
        nation: if (2..6).contains(&id) { "XB".into() } else { "XA".into() },
        aliases: vec![],
    };
    let ids = [1, 2, 3, 4, 5, 9];
    let links = (0..5).map(|i| (i, i + 1)).collect();
    Map::new(ids.iter().copied().map(router).collect(), links).unwrap()
}

fn terms(detail: Detail, fields: &[(Field, Treatment)]) -> Terms {
    Terms {
        rule: "r".into(),
        detail,
        tlp: Tlp::Amber,
        approval: Approval::Auto,
        time: Lapse(60),
        retain: Lapse(0),
        fields: fields.iter().copied().collect(),
    }
}

const PATH: [RouterId; 4] = [RouterId(5), RouterId(4), RouterId(3), RouterId(2)];
const KEY: Key = Key(1, 2);

fn shown(detail: Detail, fields: &[(Field, Treatment)]) -> Vec<Shown> {
    let map = map();
    Grounds::new(&map, [20, 21], KEY).show(&terms(detail, fields), &PATH)
}

#[test]
fn every_detail_shows_its_own() {
    let router = |id| Shown::Router { id: RouterId(id) };
    assert_eq!(shown(Detail::Router, &[]), [5, 4, 3, 2].map(router));
    let hidden = |hops| Shown::Hidden { hops };
    assert_eq!(shown(Detail::Border, &[]), [router(5), hidden(Some(2)), router(2)]);
    let silent = [(Field::Hops, Treatment::Withhold)];
    assert_eq!(shown(Detail::Border, &silent), [router(5), hidden(None), router(2)]);
    assert_eq!(shown(Detail::As, &[]), [Shown::As { asn: 21 }, Shown::As { asn: 20 }]);
    assert_eq!(shown(Detail::Nation, &[]), [Shown::Nation { nation: "XB".into() }]);
    assert_eq!(shown(Detail::Presence, &[]), [Shown::Present]);
    assert_eq!(shown(Detail::None, &[]), [hidden(None)]);
    let hashed = [(Field::Addresses, Treatment::Hash)];
    assert_eq!(shown(Detail::Router, &hashed), shown(Detail::Hash, &[]));
    assert_eq!(shown(Detail::Border, &hashed), [Shown::Present]);
}

#[test]
fn aliases_are_resolved_by_the_domain_alone() {
    let map = map();
    let own = Grounds::new(&map, [20, 21], KEY);
    let others = Grounds::new(&map, [20, 21], Key(1, 3));
    for id in PATH {
        let alias = own.alias(id).unwrap();
        assert!(
            is_alias(alias) && own.behind(alias) == Some(id) && others.alias(id) != Some(alias)
        );
    }
    assert_eq!((own.alias(RouterId(1)), own.behind(RouterId(5))), (None, None));
    assert!(
        own.at_border(RouterId(5)) && !own.at_border(RouterId(4)) && !own.at_border(RouterId(1))
    );
}

#[test]
fn times_origins_and_withheld_fields_follow_the_terms() {
    let plain = terms(Detail::As, &[]);
    let from = Origin::Domain { id: "xc".into() };
    assert_eq!((plain.when(119), plain.origin(from.clone())), (Some(60), from.clone()));
    let names = |t: &Terms| t.withheld().into_iter().map(|w| w.field).collect::<Vec<_>>();
    assert_eq!(names(&plain), ["payload", "subscriber-id"]);
    let fields = [
        (Field::Origin, Treatment::Withhold),
        (Field::Times, Treatment::Hash),
        (Field::Payload, Treatment::Pass),
    ];
    let less = terms(Detail::As, &fields);
    assert_eq!((less.when(119), less.origin(from)), (None, Origin::Unknown { maybe: vec![] }));
    assert_eq!(names(&less), ["origin", "times", "payload", "subscriber-id"]);
    assert!(less.withheld().iter().all(|w| w.rule == "r"));
}

proptest! {
    /// Nothing but router detail names an inner router, and nothing ever names a router of others.
    #[test]
    fn no_inner_name_is_shown(
        detail in 1..Detail::ALL.len(), path in proptest::collection::vec(0..6_usize, 0..9),
    ) {
        let map = map();
        let path: Vec<_> = path.iter().map(|i| map.routers()[*i].id).collect();
        let own = Grounds::new(&map, [20, 21], KEY);
        for shown in own.show(&terms(Detail::ALL[detail], &[]), &path) {
            if let Shown::Router { id } = shown {
                prop_assert!(detail == 1 && [RouterId(2), RouterId(5)].contains(&id), "{}", id);
            }
        }
    }
}
