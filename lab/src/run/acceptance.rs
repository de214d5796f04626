//! What a filter by fingerprints would let in, for schemes that name classes of paths.
//!
//! The victim learns marks from the packets complained about in the first half of its tape, drops every
//! packet with such a mark in the second half, and is judged by what each packet really was.
//!
//! Source: yaar2003 section 5, with a threshold of 0: one attack packet condemns a mark.

use crate::plan::{Class, Plan};
use crate::tape::{Arrival, Tape};
use crate::traffic;
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
    tape: &Tape,
) -> Option<Acceptance> {
    if scheme.card().names != Names::Classes {
        return None;
    }
    let half = usize::try_from(tape.len() / 2).ok()?;
    let judged = |class: Class| {
        let of_class = |a: &Arrival| class_of(plan, a) == Some(class);
        classes(scheme, case, tape.iter().skip(half).filter(of_class), None)
    };
    let learned = classes(scheme, case, tape.iter().take(half), Some(case.filter))?;
    let (honest, attack) = (judged(Class::Legit)?, judged(Class::Attack)?);
    acceptance(&learned, &honest, &attack)
}

fn class_of(plan: &Plan, arrival: &Arrival) -> Option<Class> {
    let packet = Packet::parse(&arrival.bytes[..]).ok()?;
    let tag = traffic::tag(plan.key.0, &packet)?;
    Some(plan.flows.iter().find(|f| f.id == tag.flow)?.class)
}

/// Packets by class, as the victim's observer sees them.
fn classes(
    scheme: &dyn AnyScheme,
    case: &Case,
    tape: impl Iterator<Item = Arrival>,
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
