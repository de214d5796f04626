//! What namespaces are called, and how to tell whose they may be.

use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where `ip netns` and everybody else look for named namespaces.
pub const NETNS_DIR: &str = "/run/netns";
/// What the name of each of our namespaces begins with. A name alone proves nothing: see
/// [`crate::journal`].
pub const PREFIX: &str = "ash-";

/// The file that names a namespace.
pub fn path_of(name: &str) -> PathBuf {
    PathBuf::from(NETNS_DIR).join(name)
}

/// What stands for a run in the names of its namespaces: the last six letters of its id, which are
/// its random part.
pub fn short(run: &str) -> String {
    let letters: Vec<char> = run.chars().filter(char::is_ascii_alphanumeric).collect();
    letters[letters.len().saturating_sub(6)..].iter().map(char::to_ascii_lowercase).collect()
}

/// Whether a namespace's name is one that `run` would give.
pub fn owns(run: &str, name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).and_then(|n| n.strip_prefix(short(run).as_str()));
    rest.is_some_and(|r| r.starts_with('-')) && !name.contains('/') && !name.contains("..")
}

/// A name that is legal as a file, unlike every other, and short.
pub(super) fn unique(
    taken: &mut BTreeSet<String>,
    run: &str,
    word: &str,
    kind: char,
    at: usize,
) -> String {
    let legal = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let word: String = word.chars().map(legal).take(40).collect();
    let mut name = format!("{PREFIX}{}-{word}", short(run));
    if word.is_empty() || taken.contains(&name) {
        name = format!("{PREFIX}{}-{word}.{kind}{at}", short(run));
    }
    taken.insert(name.clone());
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_legal_unique_and_owned() {
        let run = "01JABCDEFGHJKMNPQRSTVWXYZ0";
        let mut taken = BTreeSet::new();
        let first = unique(&mut taken, run, "a/../b", 'r', 0);
        assert_eq!(first, "ash-vwxyz0-a____b");
        assert_eq!(unique(&mut taken, run, "a/../b", 'h', 3), "ash-vwxyz0-a____b.h3");
        assert!(owns(run, &first));
        assert!(!owns(run, "ash-foo"));
        assert!(!owns(run, "ash-vwxyz0foo"));
        assert!(!owns("x", "ash-vwxyz0-r1"));
    }
}
