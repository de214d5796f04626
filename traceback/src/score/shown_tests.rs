use super::*;
use crate::disclose::Estate;
use crate::graph::AttackGraph;
use crate::invariant::Key;
use crate::map::{Map, MapRouter};
use crate::score::whole::score;

/// Two ways that join: 5 - 4 - 3 - 2 - 1 - 0 and 6 - 4 -...; 3 to 5 are the domain XB in systems 2 and 3, 6 is XC.
fn cut(detail: Detail) -> Cut {
    let router = |i: u32| MapRouter {
        id: RouterId(100 + i),
        name: format!("r{i}"),
        asn: [1, 1, 1, 2, 2, 3, 4][i as usize],
        nation: ["XA", "XA", "XA", "XB", "XB", "XB", "XC"][i as usize].into(),
        aliases: vec![],
    };
    let links = vec![(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (4, 6)];
    let map = Map::new((0..7).map(router).collect(), links).unwrap();
    let open = Estate { detail: Detail::Router, key: Key(0, 0) };
    let estates = vec![open, Estate { detail, key: Key(1, 2) }, open];
    Cut::new(map, vec![0, 0, 0, 1, 1, 1, 2], estates).unwrap()
}

fn path(ids: &[u32]) -> Vec<RouterId> {
    ids.iter().map(|i| RouterId(100 + i)).collect()
}

fn truth() -> BTreeSet<Vec<RouterId>> {
    [path(&[5, 4, 3, 2, 1, 0]), path(&[6, 4, 3, 2, 1, 0])].into()
}

/// All that is shown of the truth.
fn best(cut: &Cut) -> Finding {
    let shown =
        truth().into_iter().map(|p| cut.project(&p).into_iter().map(|(_, id)| id).collect());
    Finding::Paths(AttackGraph::from_paths(shown))
}

#[test]
fn where_all_is_shown_both_scores_are_one() {
    let cut = cut(Detail::Router);
    let sight = Sight::of_marks(&cut);
    let half = Finding::Paths(AttackGraph::from_paths([path(&[5, 3, 2, 1, 0])]));
    let systems = Finding::AsPaths { paths: [vec![3, 2, 1], vec![9, 1]].into() };
    let ingress = Finding::Ingress { routers: [RouterId(105), RouterId(102)].into() };
    for said in [Some(best(&cut)), Some(half), Some(systems), Some(ingress), None] {
        let (a, b) = (said.as_ref(), said.as_ref());
        assert_eq!(score_shown(&truth(), a, &sight), score(&truth(), b, cut.whole()));
    }
}

#[test]
fn what_is_shown_is_right_and_no_more_than_that_is_found() {
    let of = |detail| {
        let cut = cut(detail);
        let l = score_shown(&truth(), Some(&best(&cut)), &Sight::of_marks(&cut)).levels;
        let levels = [l.router, l.edge, l.r#as, l.nation, l.source];
        assert!(levels.iter().all(|level| level.wrong == 0), "{detail} {levels:?}");
        levels.map(|level| level.found)
    };
    // Of 7 routers, 7 links, 4 systems, 3 nations and 2 sources.
    assert_eq!(of(Detail::Router), [7, 7, 4, 3, 2]);
    // 4 and 3 stand at the border, 5 does not; its packets seem to begin at 4.
    assert_eq!(of(Detail::Border), [6, 6, 3, 3, 1]);
    assert_eq!(of(Detail::As), [4, 3, 4, 3, 1]);
    assert_eq!(of(Detail::Nation), [4, 3, 2, 3, 1]);
    assert_eq!(of(Detail::Hash), [4, 3, 2, 2, 1]);
    assert_eq!(of(Detail::None), [4, 3, 2, 2, 1]);
}

#[test]
fn what_is_not_shown_is_wrong_even_where_it_is_true() {
    let cut = cut(Detail::As);
    let said = Finding::Paths(AttackGraph::from_paths(truth()));
    let levels = score_shown(&truth(), Some(&said), &Sight::of_marks(&cut)).levels;
    // The disclosed distances of 6 and those of XB's routers are others.
    assert_eq!((levels.router.found, levels.router.wrong), (3, 4));
}

#[test]
fn answers_resolve_what_only_their_domain_can() {
    let cut = cut(Detail::Hash);
    let said = best(&cut);
    let found = |answers| {
        let sight = Sight::of_answered_marks(&cut, |_| answers);
        let levels = score_shown(&truth(), Some(&said), &sight).levels;
        [levels.router.found, levels.r#as.found, levels.nation.found]
    };
    assert_eq!(found(Detail::Router), [7, 4, 3]);
    assert_eq!(found(Detail::Border), [6, 3, 3]);
    assert_eq!(found(Detail::As), [4, 4, 3]);
    assert_eq!(found(Detail::None), [4, 2, 2]);
}
