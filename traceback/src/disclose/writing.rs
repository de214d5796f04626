//! What schemes make of a domain's detail: what their routers then write, and whether their answers are
//! still sound.

use super::{Cut, Detail};
use crate::scheme::{Keeper, Names, Reliance};
use crate::schemes::AnyScheme;
use crate::slot::Slot;

/// Why a scheme cannot be used with what domains show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Hops are numbered by the TTL.
    #[error("it numbers hops by the TTL, which routers lower that stay silent")]
    Hops,
    /// The first router begins the mark.
    #[error("the first router begins its mark, and may be one that stays silent")]
    Entrance,
    /// Logs are kept under what marks say.
    #[error("what marks say is looked up in the logs of routers that stay silent or share a name")]
    Logs,
}

/// Whether a scheme's routers keep logs and write nothing.
pub fn logs_only(scheme: &dyn AnyScheme) -> bool {
    let card = scheme.card();
    let written =
        [card.v4, card.v6].into_iter().any(|s| !matches!(s, Slot::None | Slot::IoamExport));
    card.keeper == Keeper::Routers && !written
}

/// Whether a scheme's routers keep logs and write into packets as well, so that a packet is another at every hop.
pub fn changes(scheme: &dyn AnyScheme) -> bool {
    scheme.card().keeper == Keeper::Routers && !logs_only(scheme)
}

/// The detail that a scheme's routers show of a domain that lets them show this much. Logs stay where they
/// are, so who only logs does it everywhere. Schemes of systems write numbers of systems, at borders.
/// Messages bear addresses, so only routers that may be known send any.
pub fn written(scheme: &dyn AnyScheme, detail: Detail) -> Detail {
    if logs_only(scheme) || detail == Detail::Router {
        return Detail::Router;
    }
    if scheme.speaks() {
        return Detail::None;
    }
    match (scheme.card().names, detail.meet(Detail::As)) {
        (Names::AsPaths, Detail::As) => Detail::As,
        (Names::AsPaths, _) => Detail::None,
        _ => detail,
    }
}

/// Whether a scheme's answers are sound over a map that was cut by what its routers write.
///
/// # Errors
/// [`Unfit`] says why not.
pub fn suits(scheme: &dyn AnyScheme, cut: &Cut) -> Result<(), Unfit> {
    if cut.is_whole() {
        return Ok(());
    }
    if scheme.card().keeper == Keeper::Routers {
        return Err(Unfit::Logs);
    }
    match scheme.relies_on() {
        Reliance::Everybody if !cut.skips_nobody() => Err(Unfit::Hops),
        Reliance::Entrance if !cut.opens_everywhere() => Err(Unfit::Entrance),
        Reliance::Nobody | Reliance::Entrance | Reliance::Everybody => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemes;

    #[test]
    fn schemes_show_no_more_than_they_may() {
        for entry in schemes::SCHEMES {
            let scheme = entry.build(&entry.defaults()).unwrap();
            for detail in Detail::ALL {
                let shown = written(&*scheme, detail);
                assert!(logs_only(&*scheme) || detail.allows(shown), "{}", scheme.card().id);
            }
        }
        let spie = schemes::find("spie").unwrap().build(&serde_json::json!({})).unwrap();
        assert!(logs_only(&*spie));
        assert_eq!(written(&*spie, Detail::None), Detail::Router);
    }
}
