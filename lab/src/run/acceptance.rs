//! What a filter by fingerprints would let in, for schemes that name classes of paths.
//!
//! The victim learns marks from the packets complained about in the first half of its tape, drops every
//! packet with such a mark in the second half, and is judged by what each packet really was.
//!
//! Source: yaar2003 section 5, with a threshold of 0: one attack packet condemns a mark.

use crate::plan::{Class, Plan};
use crate::traffic;
use crate::world::Arrival;
use std::collections::BTreeMap;
use traceback::case::{Case, Filter, Step};
use traceback::graph::Finding;
use traceback::packet::Packet;
use traceback::scheme::Names;
use traceback::schemes::{Answers, AnyScheme};
use traceback::score::{Acceptance, acceptance};
use traceback::vantage::{Draws, Setting};

/// The acceptance gap of a turn; `None` where the scheme names no classes or either kind of packet is
/// missing.
pub(super) fn gap(
    plan: &Plan,
    scheme: &dyn AnyScheme,
    case: &Case,
    tape: &[Arrival],
) -> Option<Acceptance> {
    if scheme.card().names != Names::Classes {
        return None;
    }
    let (learning, judged) = tape.split_at(tape.len() / 2);
    let classes = |tape: &[Arrival], filter: Option<Filter>, class: Option<Class>| {
        let wanted = |a: &&Arrival| class.is_none() || class_of(plan, a) == class;
        classes(scheme, case, tape.iter().filter(wanted), filter)
    };
    let learned = classes(learning, Some(case.filter), None)?;
    let honest = classes(judged, None, Some(Class::Legit))?;
    let attack = classes(judged, None, Some(Class::Attack))?;
    acceptance(&learned, &honest, &attack)
}

fn class_of(plan: &Plan, arrival: &Arrival) -> Option<Class> {
    let packet = Packet::parse(&arrival.bytes[..]).ok()?;
    let tag = traffic::tag(plan.key.0, &packet)?;
    Some(plan.flows.iter().find(|f| f.id == tag.flow)?.class)
}

/// Packets by class, as the victim's observer sees them.
fn classes<'a>(
    scheme: &dyn AnyScheme,
    case: &Case,
    tape: impl Iterator<Item = &'a Arrival>,
    filter: Option<Filter>,
) -> Option<BTreeMap<u32, u64>> {
    let place = case.map.place(case.gateway)?;
    let setting = Setting { place, key: case.key, draws: Draws::Keyed, filter };
    let mut observer = scheme.vantage(setting);
    for arrival in tape {
        if let Ok(packet) = Packet::parse(&arrival.bytes[..]) {
            observer.see(arrival.at, &packet);
        }
    }
    let ledger = observer.cut()?;
    match scheme.reconstruct(case, &[(case.gateway, &ledger)], &Answers::new()) {
        Ok(Step::Done(Finding::Classes { packets })) => Some(packets),
        Ok(_) | Err(_) => None,
    }
}
