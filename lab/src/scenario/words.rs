//! Words in messages: the nearest known one, and what a scenario's own words may look like.

/// Longest word for a node, a domain, a traffic or a scenario.
pub(super) const LONGEST: usize = 24;

/// "did you mean" the nearest of `known`, or all of them where none is near.
pub(super) fn nearest(word: &str, known: &[&str]) -> String {
    let score = |k: &&&str| strsim::damerau_levenshtein(word, k);
    let best = known.iter().min_by_key(score);
    match best {
        None => "there are none".to_owned(),
        Some(best) if strsim::damerau_levenshtein(word, best) <= 1 + best.len() / 4 => {
            format!("did you mean \"{best}\"?")
        }
        Some(_) => format!("known here: {}", listed(known)),
    }
}

/// Some words, comma-separated; the rest counted.
pub(super) fn listed(words: &[&str]) -> String {
    const SHOWN: usize = 16;
    let shown = words[..words.len().min(SHOWN)].join(", ");
    match words.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Whether a word suits a scenario: names of network namespaces and files are made of them.
pub(super) fn suits(word: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    word.len() <= LONGEST
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(inner)
        && !word.ends_with('-')
}
