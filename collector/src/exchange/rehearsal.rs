//! An exchange within one process, for simulations: the same questions, checks, policies and answers, without
//! a network, people, hours or time.

use super::check::{No, check};
use super::domain::Domain;
use super::join::Branch;
use super::joined::{Begin, Joined, owners};
use super::look::{Found, search};
use super::pursuit::{Pursuit, Quest};
use super::tell::{resolve, tell};
use super::work::{around, own, quest};
use super::{Exhibit, Inquiry, Justification, Mode, Reply, Status, Subject};
use crate::operator;
use crate::trace::Followed;
use traceback::case::{Case, Gap, Sample};
use traceback::graph::Finding;
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;

/// Rebuilds a case from the evidence of one of the domains, by its position.
pub type Rebuild<'a> = dyn FnMut(usize, &dyn AnyScheme, &Case) -> Followed + 'a;

/// What comes of an inquiry that the domain at `me` begins.
///
/// # Errors
/// What is wrong with it, for people.
pub fn rehearse(
    domains: &[Domain],
    me: usize,
    begin: &Begin,
    rebuild: &mut Rebuild<'_>,
) -> Result<Joined, String> {
    let params = begin.params.as_ref().map(ToString::to_string).unwrap_or_default();
    let scheme = operator::scheme(&begin.scheme, &params)?;
    let mut joined = Joined::new("rehearsal", &domains[me], begin, 0);
    let mut hall = Hall { domains, rebuild };
    if scheme.card().keeper == Keeper::Routers {
        let shown = |s: &Sample| domains[me].exhibit(&*scheme, &s.bytes, s.at.0);
        let shown: Option<Vec<_>> = begin.case.samples.iter().map(shown).collect();
        hall.follow(me, begin, shown.ok_or("a sample is no IP packet")?, &mut joined);
    } else {
        let finding = (hall.rebuild)(me, scheme.as_ref(), &begin.case).0.finding;
        hall.name(me, begin, &finding, &mut joined);
        joined.finding = Some(finding);
    }
    Ok(joined)
}

/// All domains, side by side.
struct Hall<'a, 'r> {
    domains: &'a [Domain],
    rebuild: &'a mut Rebuild<'r>,
}

impl Hall<'_, '_> {
    fn follow(
        &mut self,
        me: usize,
        begin: &Begin,
        shown: Vec<(Exhibit, usize)>,
        joined: &mut Joined,
    ) {
        joined.hidden_bytes = shown.iter().map(|(_, hidden)| *hidden as u64).sum();
        let packets: Vec<Exhibit> = shown.into_iter().map(|(exhibit, _)| exhibit).collect();
        joined.packets = u32::try_from(packets.len()).unwrap_or(u32::MAX);
        let gateway = [begin.case.gateway];
        let home = &self.domains[me];
        let found = search(home, &begin.scheme, (&gateway, ""), &packets, &mut |scheme, case| {
            (self.rebuild)(me, scheme, case)
        });
        let blind = found.as_ref().err().cloned();
        let found = found.unwrap_or_default();
        let root = own(home, &joined.id, &found.stretches, begin.tlp);
        let quest = joined.quest(begin, (packets, found.handed), home.config.bounds.patience_ms);
        joined.settle(self.pursue(me, quest, root));
        joined.blind(blind);
    }

    /// Asks from domain to domain, beginning at one.
    fn pursue(&mut self, at: usize, quest: Quest, own: Reply) -> Pursuit {
        let (mut pursuit, mut errands) = Pursuit::begin(quest, around(&self.domains[at]), own, 0);
        while let Some(errand) = errands.pop() {
            let reply = self.answer(&errand.inquiry, &errand.to);
            errands.extend(pursuit.take(errand.node, reply, 0));
        }
        pursuit
    }

    /// What those say whom a domain asks on.
    fn further(&mut self, at: usize, inquiry: &Inquiry, found: &Found) -> Vec<Reply> {
        if inquiry.mode == Mode::Star || found.stretches.is_empty() {
            return vec![];
        }
        let domain = &self.domains[at];
        let own = own(domain, &inquiry.id, &found.stretches, inquiry.tlp);
        let quest = quest(domain, inquiry, inquiry.mode, found.handed.clone());
        self.pursue(at, quest, own).finish().0.into_reply().further
    }

    fn name(
        &mut self,
        me: usize,
        begin: &Begin,
        finding: &Result<Finding, Gap>,
        joined: &mut Joined,
    ) {
        let wanted = owners(&self.domains[me], begin, finding);
        for (at, (domain, names)) in (1..).zip(wanted) {
            let inquiry = joined.naming(at, begin, names);
            let reply = self.answer(&inquiry, &domain);
            joined.name(&Branch {
                towards: String::new(),
                packets: vec![],
                asked_ms: Some(0),
                acknowledged_ms: None,
                answered_ms: Some(0),
                reply,
                further: vec![],
            });
        }
    }

    /// What a domain answers.
    fn answer(&mut self, inquiry: &Inquiry, to: &str) -> Reply {
        let bare = |status| Reply::bare(inquiry.id.clone(), to, status, inquiry.tlp, 0);
        let Some(at) = self.domains.iter().position(|d| d.id() == to) else {
            return bare(Status::Silent);
        };
        let domain = &self.domains[at];
        match check(domain, &inquiry.asker, inquiry, 0) {
            Ok(()) => {}
            Err(No::Seen) => return bare(Status::AlreadySeen),
            Err(No::Refused(justification, why)) => {
                return bare(Status::Refused { justification, why });
            }
        }
        let Some(terms) = domain.policy.at_best(&inquiry.origin, &inquiry.purpose) else {
            let why = format!("the policy of {to} tells {} nothing", inquiry.origin);
            return bare(Status::Refused { justification: Justification::Other, why });
        };
        match &inquiry.subject {
            Subject::Names { names } => resolve(domain, inquiry, &terms, names).reply,
            Subject::Packets { scheme, towards, packets } => {
                let facing = (domain.facing(towards), towards.as_str());
                let mut rebuild =
                    |scheme: &dyn AnyScheme, case: &Case| (self.rebuild)(at, scheme, case);
                match search(domain, scheme, facing, packets, &mut rebuild) {
                    Ok(found) => {
                        let further = self.further(at, inquiry, &found);
                        tell(domain, inquiry, &terms, &found.stretches, further).reply
                    }
                    Err(why) => bare(Status::Failed { why }),
                }
            }
        }
    }
}
