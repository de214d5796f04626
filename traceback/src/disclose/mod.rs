//! What a domain lets out of what it knows about itself.
//!
//! A path leads through domains that tell more or less of their part of it. What they tell is a row of
//! [`Shown`] hops; what they do not is said to be missing, never guessed. Labels ([`Tlp`]) travel with
//! everything told and are never lowered.

pub mod cut;
mod detail;
pub mod policy;
mod show;
mod terms;
mod tlp;
mod words;
mod writing;

pub use cut::{Cut, Estate};
pub use detail::Detail;
pub use policy::{Exhibits, Policy};
#[cfg(test)]
use show::is_alias;
pub use show::{Grounds, aliases, is_hashed};
pub use terms::{Approval, Ask, Field, Justification, Refusal, Region, Terms, Treatment, Withheld};
pub use tlp::Tlp;
pub use words::{BadWord, Hours, Lapse, PerHour};
pub use writing::{Unfit, changes, logs_only, suits, written};

use crate::scheme::RouterId;
use serde::{Deserialize, Serialize};

/// One hop of a path as its domain shows it, or a row of hops that it does not show.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "shown", rename_all = "kebab-case")]
pub enum Shown {
    /// A router by its name; at [`Detail::Border`] only routers at the domain's border are.
    Router {
        /// Its loopback.
        id: RouterId,
    },
    /// All hops within one autonomous system.
    As {
        /// Its number.
        asn: u32,
    },
    /// All hops within the domain, by its nation.
    Nation {
        /// Two letters.
        nation: String,
    },
    /// A router by a word that only its domain resolves.
    Alias {
        /// The word: an identity that no router has.
        id: RouterId,
    },
    /// The packet passed here; nothing more is told.
    Present,
    /// Hops that are there and not shown.
    Hidden {
        /// How many, where that is told.
        hops: Option<u16>,
    },
}

/// Hops that a domain does not show, for people.
/// `None` where their number is not told either.
pub fn not_disclosed(hops: Option<u16>, domain: &str) -> String {
    let count = match hops {
        None => "hops".into(),
        Some(1) => "1 hop".into(),
        Some(n) => format!("{n} hops"),
    };
    format!("{count}, not disclosed by {domain}")
}

/// Where packets came from when they reached a domain's part of the path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Origin {
    /// From a host within the domain.
    Inside,
    /// From another domain, by its word.
    Domain {
        /// Its word.
        id: String,
    },
    /// From one of several, or the domain cannot tell.
    Unknown {
        /// Domains that may have handed them over; none where not even that is known.
        maybe: Vec<String>,
    },
}
