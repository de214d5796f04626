//! Relaying for members (an ISAC): they are asked in turn, and nobody learns who they are.
//!
//! The requester sees the relay alone, and members see neither the requester nor one another: questions go on
//! in the relay's own name. What members tell is told as the relay's own policy allows, which knows no routers:
//! that packets passed, and where they came from when they reached the first member.

use super::join::Branch;
use super::office::{Office, now_ms};
use super::pursuit::{Pursuit, Quest};
use super::tell::Told;
use super::work::{around, quest};
use super::{Inquiry, Mode, Passage, Reply, Status, drive};
use std::sync::Arc;
use traceback::disclose::{Origin, Shown, Terms};

/// Asks the members about an inquiry's packets, which went on to `towards`.
pub(super) async fn relay(
    office: &Arc<Office>,
    inquiry: &Inquiry,
    terms: &Terms,
    towards: &str,
) -> Told {
    let (domain, members) = (&office.domain, &office.domain.config.members);
    let quest = Quest {
        origin: domain.id().to_owned(),
        // Nobody is told through whom the question came.
        visited: vec![],
        towards: Some(towards.to_owned()),
        ..quest(domain, inquiry, Mode::Star, None)
    };
    let all = (0..).take(quest.packets.len()).collect();
    let maybe = Origin::Unknown { maybe: members.clone() };
    let own = Passage { packets: all, hops: vec![], origin: maybe };
    let bare = Reply::bare(inquiry.id.clone(), domain.id(), Status::Answered, inquiry.tlp, 0);
    let own = Reply { passages: vec![own], ..bare };
    let mut around = around(domain);
    // Members are asked, and nobody beyond them: that is for the requester to do.
    around.reachable.retain(|id| members.contains(id));
    around.next.clear();
    let (pursuit, errands) = Pursuit::begin(quest, around, own, now_ms());
    let (tree, _) = drive::drive(office, pursuit, errands).await.finish();
    told(inquiry, terms, (office.domain.id(), members), &tree)
}

/// What the relay's own terms let out of what members told.
fn told(inquiry: &Inquiry, terms: &Terms, (me, members): (&str, &[String]), tree: &Branch) -> Told {
    let (ways, _) = tree.ways();
    let mut passages = vec![];
    for way in ways.iter().filter(|way| way.stretches.len() > 1) {
        let origin = hide(&way.origin, members);
        let hops = vec![Shown::Hidden { hops: None }];
        passages.push(Passage { packets: way.packets.clone(), hops, origin: terms.origin(origin) });
    }
    let dumb = tree.further.iter().all(|member| member.reply.status.says_nothing());
    let status = match (passages.is_empty(), dumb) {
        (false, _) => Status::Answered,
        (true, true) => Status::Failed { why: "no member answered".into() },
        (true, false) => Status::NotSeen,
    };
    let label = tree.tlp().max(terms.tlp);
    let bare = Reply::bare(inquiry.id.clone(), me, status, label, 0);
    let reply = Reply { passages, rule: terms.rule.clone(), withheld: terms.withheld(), ..bare };
    Told { reply, retain_s: terms.retain.0, detail: "presence".into() }
}

/// An origin without members' names.
fn hide(origin: &Origin, members: &[String]) -> Origin {
    match origin {
        Origin::Domain { id } if members.contains(id) => Origin::Inside,
        Origin::Unknown { maybe } => {
            let outside = maybe.iter().filter(|id| !members.contains(id)).cloned().collect();
            Origin::Unknown { maybe: outside }
        }
        other => other.clone(),
    }
}
