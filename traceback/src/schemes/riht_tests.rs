use super::*;
use crate::case::Query;
use crate::invariant::mix;
use crate::ledger::Ledger;
use crate::scheme::Nanos;

/// Passes one mark over routers of these links and degrees; each has a table of its own.
fn send(path: &[(u16, u16)], tables: &mut [Table]) -> Vec<u32> {
    let inv = Invariant::NONE;
    let mut mark = Mark(0xbad);
    let steps = path.iter().zip(tables).enumerate().map(|(i, ((link, degree), table))| {
        let hop = Hop { link: *link, degree: *degree, edge: u8::from(i == 0), ..Hop::default() };
        let first = Riht.mark(&(), &hop, &inv, mark);
        mark = first.need.map_or(first.mark, |key| {
            let cell = table.cell(key, Nanos(0));
            Riht.mark(&(), &Hop { cell, ..hop }, &inv, mark).mark
        });
        mark.0
    });
    steps.collect()
}

#[test]
fn marks_unwind_to_their_source_over_any_degrees() {
    for seed in 0..500_u64 {
        let hops = 1 + mix(seed) % 40;
        let path: Vec<(u16, u16)> = (0..hops)
            .map(|i| {
                let word = mix(seed << 8 | i);
                let degree = 1 + (word & 63) as u16;
                ((word >> 32) as u16 % degree, degree)
            })
            .collect();
        let mut tables = vec![Table::default(); path.len()];
        let marks = send(&path, &mut tables);
        // The same path again makes no new entry.
        let before: Vec<usize> = tables.iter().map(Table::len).collect();
        assert_eq!(send(&path, &mut tables), marks);
        assert_eq!(tables.iter().map(Table::len).collect::<Vec<_>>(), before);
        let mut mark = marks[marks.len() - 1];
        for (i, (link, degree)) in path.iter().enumerate().rev() {
            let back = match Riht.back(*degree, mark, 0) {
                Back::Ask(key, link) => {
                    let query = Query { keys: vec![key], from: Nanos(0), to: Nanos(0) };
                    let value = tables[i].answer(&query).values[0].unwrap();
                    let (link, mark) = Riht.told(value, link);
                    Back::By(link, mark)
                }
                back => back,
            };
            match back {
                Back::Source => assert_eq!(i, 0),
                Back::By(by, before) => {
                    assert_eq!((by, i > 0), (*link, true));
                    mark = before;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn with_four_links_the_fourteenth_or_fifteenth_router_is_the_first_to_log() {
    // Base 5: thirteen digits always fit, the fourteenth only where the first links are low.
    let first = |link| {
        let path: Vec<(u16, u16)> = (0..20).map(|_| (link, 4)).collect();
        let mut tables = vec![Table::default(); path.len()];
        send(&path, &mut tables);
        tables.iter().position(|t| !t.is_empty()).unwrap()
    };
    // Positions count the border router, which writes no digit.
    assert_eq!((first(0), first(3)), (15, 14));
}

#[test]
fn a_full_table_loses_the_packet_and_names_nobody() {
    let hop = Hop { link: 2, degree: 3, ..Hop::default() };
    let inv = Invariant::NONE;
    let full = Riht.mark(&(), &hop, &inv, Mark(u32::MAX - 1));
    assert_eq!(full.mark, Mark(LOST));
    assert_eq!(Riht.mark(&(), &hop, &inv, full.mark).mark, Mark(LOST));
    assert_eq!(Riht.back(3, LOST, 0), Back::Lost);
    // An index beyond what the field can hold is no better.
    let high = Hop { cell: u32::MAX, ..hop };
    assert_eq!(Riht.mark(&(), &high, &inv, Mark(u32::MAX - 1)).mark, Mark(LOST));
}
