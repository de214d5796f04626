//! Whether a question is one that this domain looks into at all, before its policy is asked.

use super::domain::{Domain, destination};
use super::{Exhibit, Inquiry, Justification, Mode, Subject};
use traceback::disclose::Tlp;

/// Longest word of an inquiry.
const WORD: usize = 255;
/// Most words of one inquiry.
const NAMES: usize = 4_096;

/// Why a question is not looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum No {
    /// It is refused.
    Refused(Justification, String),
    /// It has been here.
    Seen,
}

/// Checks a question that a peer put.
///
/// # Errors
/// [`No`] with the reason.
pub(super) fn check(domain: &Domain, peer: &str, inquiry: &Inquiry, now_ms: u64) -> Result<(), No> {
    use Justification::{Authentication, AuthenticationOrigin, CannotProcess, UnrecognizedFormat};
    let refuse = |why, what: &str| Err(No::Refused(why, what.into()));
    if inquiry.asker != peer {
        return refuse(Authentication, "the asker is not who the certificate says");
    }
    let star = inquiry.mode == Mode::Star;
    if star && inquiry.origin != peer {
        return refuse(AuthenticationOrigin, "in the star, who asks must be who began");
    }
    if !is_word(&inquiry.id) {
        return refuse(UnrecognizedFormat, "the word of the inquiry has 1 to 255 visible letters");
    }
    if inquiry.visited.iter().any(|id| id == domain.id()) {
        return Err(No::Seen);
    }
    if inquiry.visited.len() > domain.config.bounds.hops {
        return refuse(CannotProcess, "the question came through too many domains");
    }
    if inquiry.deadline_ms <= now_ms {
        return refuse(CannotProcess, "the deadline is over: the question has expired");
    }
    // A question for the named recipients only cannot be handed on.
    if inquiry.tlp == Tlp::Red && !star {
        return refuse(CannotProcess, "TLP:RED is not handed on; ask every domain yourself");
    }
    subject(domain, inquiry)
}

/// Whether what is asked can be looked into here.
fn subject(domain: &Domain, inquiry: &Inquiry) -> Result<(), No> {
    let refuse = |why, what: String| Err(No::Refused(why, what));
    match &inquiry.subject {
        Subject::Names { names } if names.is_empty() || names.len() > NAMES => {
            let what = format!("1 to {NAMES} words can be asked about");
            refuse(Justification::UnrecognizedFormat, what)
        }
        Subject::Names { .. } => Ok(()),
        Subject::Packets { scheme, towards, packets } => {
            let relays = !domain.config.members.is_empty();
            if !relays && !domain.schemes.contains_key(scheme) {
                let what = format!("the logs of {scheme} are not searched here");
                return refuse(Justification::CannotProcess, what);
            }
            if !relays && domain.facing(towards).is_empty() {
                let what = format!("{towards} is not next to this domain");
                return refuse(Justification::CannotProcess, what);
            }
            anchored(domain, inquiry, towards, packets)
        }
    }
}

/// Whether every packet is one, and goes to whom the asker may speak for.
fn anchored(
    domain: &Domain,
    inquiry: &Inquiry,
    towards: &str,
    packets: &[Exhibit],
) -> Result<(), No> {
    let refuse = |why, what: String| Err(No::Refused(why, what));
    let most = domain.config.bounds.packets;
    if packets.is_empty() || packets.len() > most {
        let what = format!("show 1 to {most} packets; without one nothing is looked for");
        return refuse(Justification::UnrecognizedFormat, what);
    }
    // Whom we do not know is vouched for by the peer that got the packets from us.
    let vouched = domain.peer(&inquiry.origin).is_none()
        && inquiry.mode == Mode::Recursive
        && inquiry.asker == towards;
    for (packet, at) in packets.iter().zip(1..) {
        let Some(address) = destination(packet) else {
            let what = format!("packet {at} is no IP packet");
            return refuse(Justification::UnrecognizedFormat, what);
        };
        if !vouched && !domain.may_ask(&inquiry.origin, address) {
            let what = format!("packet {at} goes to an address that is not {}'s", inquiry.origin);
            return refuse(Justification::AuthenticationOrigin, what);
        }
    }
    Ok(())
}

fn is_word(text: &str) -> bool {
    (1..=WORD).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_graphic())
}
