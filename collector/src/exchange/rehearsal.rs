//! An exchange within one process, for simulations: the same questions, checks, policies and answers, without
//! a network or hours. Only people take time, as they are told to; it is counted from 0, and nobody waits.
//!
//! Where domains ask on, each does so when it is asked, and all that comes of it is known before the next
//! question is put: of two questions that meet in one domain, that which was put first is answered.

use super::check::{No, check};
use super::domain::Domain;
use super::incoming::question;
use super::join::Branch;
use super::joined::{Begin, Joined, owners};
use super::look::search;
use super::people::Verdict;
use super::pursuit::{Errand, Pursuit};
use super::tell::{resolve, tell};
use super::work::{around, own, quest};
use super::{Exhibit, Inquiry, Justification, Mode, Reply, Status, Subject};
use crate::operator;
use crate::trace::Followed;
use std::collections::{BTreeMap, BTreeSet};
use traceback::case::{Case, Gap, Sample};
use traceback::disclose::{Approval, Detail, Terms};
use traceback::graph::Finding;
use traceback::scheme::Keeper;
use traceback::schemes::AnyScheme;

/// Rebuilds a case from the evidence of one of the domains, by its position.
pub type Rebuild<'a> = dyn FnMut(usize, &dyn AnyScheme, &Case) -> Followed + 'a;

/// A domain of a simulation.
#[derive(Debug)]
pub struct Member {
    /// The domain.
    pub domain: Domain,
    /// What its people say to questions that its policy leaves to them; nothing: they never answer.
    pub verdict: Option<Verdict>,
    /// How long that takes them, in milliseconds.
    pub after_ms: u64,
}

/// What comes of an inquiry that the member at `me` begins at time 0.
///
/// # Errors
/// What is wrong with it, for people.
pub fn rehearse(
    members: &[Member],
    me: usize,
    begin: &Begin,
    rebuild: &mut Rebuild<'_>,
) -> Result<Joined, String> {
    let params = begin.params.as_ref().map(ToString::to_string).unwrap_or_default();
    let scheme = operator::scheme(&begin.scheme, &params)?;
    let mut joined = Joined::new("rehearsal", &members[me].domain, begin, 0);
    let mut hall = Hall { members, rebuild, known: BTreeSet::new() };
    if scheme.card().keeper == Keeper::Routers {
        let shown = |s: &Sample| members[me].domain.exhibit(&*scheme, &s.bytes, s.at.0);
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
    members: &'a [Member],
    rebuild: &'a mut Rebuild<'r>,
    /// Questions that each domain has looked into, by its position.
    known: BTreeSet<(usize, String)>,
}

/// What comes back to a question, and when.
struct Answer {
    /// The word that people must decide.
    acknowledged_ms: Option<u64>,
    /// The answer, where one comes.
    reply: Option<(u64, Reply)>,
}

impl Answer {
    fn at_once(now: u64, reply: Reply) -> Self {
        Self { acknowledged_ms: None, reply: Some((now, reply)) }
    }
}

/// Something that a pursuit hears.
enum News {
    Acknowledged(usize),
    Reply(usize, Box<Reply>),
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
        let home = &self.members[me].domain;
        let found = search(home, &begin.scheme, (&gateway, ""), &packets, &mut |scheme, case| {
            (self.rebuild)(me, scheme, case)
        });
        let blind = found.as_ref().err().cloned();
        let found = found.unwrap_or_default();
        let root = own(home, &joined.id, &found.stretches, begin.tlp);
        let quest = joined.quest(begin, (packets, found.handed), home.config.bounds.patience_ms);
        let (pursuit, errands) = Pursuit::begin(quest, around(home), root, 0);
        let (pursuit, ended_ms) = self.drive(pursuit, errands, 0);
        joined.ended_ms = ended_ms;
        joined.settle(pursuit);
        joined.blind(blind);
    }

    /// Drives a pursuit to its end; that, and when it is.
    fn drive(
        &mut self,
        mut pursuit: Pursuit,
        mut errands: Vec<Errand>,
        mut now: u64,
    ) -> (Pursuit, u64) {
        let (mut news, mut order) = (BTreeMap::new(), 0..);
        loop {
            for Errand { node, to, inquiry } in errands {
                let answer = self.answer(&inquiry, &to, now);
                let word = answer.acknowledged_ms.map(|at| (at, News::Acknowledged(node)));
                let reply = answer.reply.map(|(at, reply)| (at, News::Reply(node, reply.into())));
                // What comes at one time is heard in the order in which it was asked.
                for ((at, what), turn) in word.into_iter().chain(reply).zip(&mut order) {
                    news.insert((at, turn), what);
                }
            }
            let Some(deadline) = pursuit.next_deadline() else { return (pursuit, now) };
            let next = news.first_entry().filter(|next| next.key().0 < deadline);
            errands = match next.map(|next| next.remove_entry()) {
                Some(((at, _), what)) => {
                    now = at;
                    hear(&mut pursuit, what, now)
                }
                None => {
                    now = deadline;
                    pursuit.expire(now)
                }
            };
        }
    }

    fn name(
        &mut self,
        me: usize,
        begin: &Begin,
        finding: &Result<Finding, Gap>,
        joined: &mut Joined,
    ) {
        let wanted = owners(&self.members[me].domain, begin, finding);
        for (at, (domain, names)) in (1..).zip(wanted) {
            let inquiry = joined.naming(at, begin, names);
            let Answer { acknowledged_ms, reply } = self.answer(&inquiry, &domain, 0);
            let deadline = inquiry.deadline_ms;
            let reply = reply.filter(|(at, _)| *at < deadline);
            let answered_ms = reply.as_ref().map(|(at, _)| *at);
            joined.ended_ms = joined.ended_ms.max(answered_ms.unwrap_or(deadline));
            let silent =
                || Reply::bare(inquiry.id.clone(), &domain, Status::Silent, inquiry.tlp, deadline);
            joined.name(&Branch {
                towards: String::new(),
                packets: vec![],
                asked_ms: Some(0),
                acknowledged_ms,
                answered_ms,
                reply: reply.map_or_else(silent, |(_, reply)| reply),
                further: vec![],
            });
        }
    }

    /// What a domain answers.
    fn answer(&mut self, inquiry: &Inquiry, to: &str, now: u64) -> Answer {
        let bare = |status| Reply::bare(inquiry.id.clone(), to, status, inquiry.tlp, 0);
        let Some(at) = self.members.iter().position(|member| member.domain.id() == to) else {
            return Answer::at_once(now, bare(Status::Silent));
        };
        let Member { domain, verdict, after_ms } = &self.members[at];
        let refused = |justification, why| bare(Status::Refused { justification, why });
        let asked = (at, question(inquiry));
        if self.known.contains(&asked) {
            return Answer::at_once(now, bare(Status::AlreadySeen));
        }
        match check(domain, &inquiry.asker, inquiry, now) {
            Ok(()) => {}
            Err(No::Seen) => return Answer::at_once(now, bare(Status::AlreadySeen)),
            Err(No::Refused(why, what)) => return Answer::at_once(now, refused(why, what)),
        }
        let Some(terms) = at_best(domain, inquiry) else {
            let why = format!("the policy of {to} tells {} nothing", inquiry.origin);
            return Answer::at_once(now, refused(Justification::Other, why));
        };
        self.known.insert(asked);
        if terms.approval == Approval::Auto {
            return Answer {
                acknowledged_ms: None,
                reply: Some(self.work(at, inquiry, &terms, now)),
            };
        }
        let decided = now.saturating_add(*after_ms);
        let reply = match verdict {
            None => None,
            Some(Verdict::Deny { why }) => {
                Some((decided, refused(Justification::Other, why.clone())))
            }
            Some(Verdict::Approve | Verdict::Answer { .. }) => {
                Some(self.work(at, inquiry, &terms, decided))
            }
        };
        Answer { acknowledged_ms: Some(now), reply }
    }

    /// Looks into a question, and at the next domains where questions are handed on; the answer, and when it is
    /// ready.
    fn work(&mut self, at: usize, inquiry: &Inquiry, terms: &Terms, now: u64) -> (u64, Reply) {
        let domain = &self.members[at].domain;
        let (scheme, towards, packets) = match &inquiry.subject {
            Subject::Names { names } => return (now, resolve(domain, inquiry, terms, names).reply),
            Subject::Packets { scheme, towards, packets } => (scheme, towards, packets),
        };
        let facing = (domain.facing(towards), towards.as_str());
        let mut rebuild = |scheme: &dyn AnyScheme, case: &Case| (self.rebuild)(at, scheme, case);
        let found = match search(domain, scheme, facing, packets, &mut rebuild) {
            Ok(found) => found,
            Err(why) => {
                let (id, status) = (inquiry.id.clone(), Status::Failed { why });
                return (now, Reply::bare(id, domain.id(), status, inquiry.tlp, 0));
            }
        };
        let (mut further, mut ended) = (vec![], now);
        if inquiry.mode == Mode::Recursive && !found.stretches.is_empty() {
            let root = own(domain, &inquiry.id, &found.stretches, inquiry.tlp);
            let quest = quest(domain, inquiry, Mode::Recursive, found.handed);
            let (pursuit, errands) = Pursuit::begin(quest, around(domain), root, now);
            let (pursuit, end) = self.drive(pursuit, errands, now);
            (further, ended) = (pursuit.finish().0.into_reply().further, end);
        }
        let reply = tell(domain, inquiry, terms, &found.stretches, further).reply;
        (ended, Reply { took_ms: ended - now, ..reply })
    }
}

/// Tells a pursuit what came; what is to be asked next.
fn hear(pursuit: &mut Pursuit, what: News, now: u64) -> Vec<Errand> {
    match what {
        News::Reply(node, reply) => pursuit.take(node, *reply, now),
        News::Acknowledged(node) => {
            pursuit.acknowledge(node, now);
            vec![]
        }
    }
}

/// The terms for who asks and for who began, outside of hours and rates.
fn at_best(domain: &Domain, inquiry: &Inquiry) -> Option<Terms> {
    let for_whom = |who: &str| domain.policy.at_best(who, &inquiry.purpose);
    let terms = for_whom(&inquiry.origin)?;
    if inquiry.asker == inquiry.origin {
        return Some(terms);
    }
    let terms = terms.meet(for_whom(&inquiry.asker)?);
    // Two rules may have nothing in common.
    Some(terms).filter(|terms| terms.shown() != Detail::None)
}
