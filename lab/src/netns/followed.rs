//! Ways of packets, which the wires follow: what a packet's number says.
//!
//! Beside each packet the wires' program keeps one number, 0 at first. Where the packet reaches the router
//! at position r, the number n becomes n * 0x100000001b3 + r + 1, modulo 2^64. Two ways of one flow would
//! have to be very many to share a number. Of several hosts each keeps numbers of the routers that stand there, and a
//! way is what all of its numbers say.

use crate::plan::{Flow, Plan};
use crate::resolve::ways::possible;
use crate::world::{Followed, Taken};
use anyhow::{Result, ensure};
use std::collections::{BTreeSet, HashMap};
use traceback::RouterId;

/// The factor of a step. Source: FNV-1a's prime for 64 bits.
const FACTOR: u64 = 0x100_0000_01b3;

/// What one host's wires say of packets.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// Routers that stand there.
    pub routers: BTreeSet<usize>,
    /// A number for each packet of the plan, flow by flow.
    pub each: Vec<u64>,
}

/// Reads what became of all packets.
///
/// # Errors
/// When a host says it of more or fewer packets than the plan has.
pub(crate) fn read(plan: &Plan, hosts: &[Numbers]) -> Result<Followed> {
    let mut followed = Followed::default();
    let packets: u64 = plan.flows.iter().map(|f| f.packets).sum();
    let all = usize::try_from(packets)?;
    ensure!(
        hosts.iter().all(|h| h.each.len() == all),
        "ways of more or fewer packets than the plan's"
    );
    let mut next = 0..;
    for flow in &plan.flows {
        let book = Book::of(plan, flow, hosts);
        let mut each = vec![];
        let mut mixed = 0;
        let (mut whole, mut cut) = (book.whole.clone(), book.cut.clone());
        for at in next.by_ref().take(usize::try_from(flow.packets)?) {
            let number: Vec<u64> = hosts.iter().map(|host| host.each[at]).collect();
            let place = book.places.get(&number);
            each.push(place.and_then(|p| p.whole));
            match place {
                Some(Place { whole: Some(at), .. }) => whole[*at].1 += 1,
                Some(Place { cut: Some(at), .. }) => cut[*at].1 += 1,
                Some(_) => {}
                None => mixed += u64::from(number.iter().any(|n| *n != 0)),
            }
        }
        let taken = |ways: &[Taken]| ways.iter().filter(|(_, n)| *n > 0).cloned().collect();
        followed.cut.insert(flow.id, taken(&cut));
        followed.mixed.insert(flow.id, mixed);
        // Positions in `each` count ways that nobody took, too.
        followed.whole.insert(flow.id, whole);
        followed.each.insert(flow.id, each);
    }
    Ok(followed)
}

/// Where a number belongs.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    whole: Option<usize>,
    cut: Option<usize>,
}

/// The ways of one flow, whole ones and their beginnings, and their numbers, one for each host.
struct Book {
    whole: Vec<Taken>,
    cut: Vec<Taken>,
    places: HashMap<Vec<u64>, Place>,
}

impl Book {
    fn of(plan: &Plan, flow: &Flow, hosts: &[Numbers]) -> Self {
        let mut book = Self { whole: vec![], cut: vec![], places: HashMap::new() };
        let named =
            |way: &[usize]| -> Vec<RouterId> { way.iter().map(|r| plan.routers[*r].id).collect() };
        for way in possible(plan, flow) {
            let mut number = vec![0_u64; hosts.len()];
            for (steps, router) in (1..).zip(&way) {
                let there = |(host, _): &(&Numbers, _)| host.routers.contains(router);
                for (_, number) in hosts.iter().zip(&mut number).filter(there) {
                    *number = number.wrapping_mul(FACTOR).wrapping_add(*router as u64 + 1);
                }
                let place = book.places.entry(number.clone()).or_default();
                if steps == way.len() {
                    place.whole = Some(book.whole.len());
                } else if place.cut.is_none() {
                    place.cut = Some(book.cut.len());
                    book.cut.push((named(&way[..steps]), 0));
                }
            }
            book.whole.push((named(&way), 0));
        }
        book
    }
}
