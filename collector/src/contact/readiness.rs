//! How ready a domain is to answer: a questionnaire that programs read, scored section by section.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the format.
pub const SCHEMA: &str = "ashiato.readiness/1";

/// A question: its section, its word, what it is worth, and how it is put to people.
pub const QUESTIONS: [(&str, &str, u32, &str); 16] = [
    ("law", "may-log", 3, "May packets' digests be logged for traceback?"),
    ("law", "may-tell", 3, "May another nation be told where packets came from?"),
    ("law", "secrecy-examined", 2, "Has a lawyer examined the secrecy of communications?"),
    ("law", "retention-set", 1, "Is it decided how long records are kept?"),
    ("people", "desk-named", 3, "Is there a desk with a name in the directory?"),
    ("people", "around-the-clock", 2, "Is somebody there at all hours?"),
    ("people", "second-language", 1, "Does the desk speak a language that partners speak?"),
    ("people", "exercised", 2, "Was a request exercised within the last year?"),
    ("technology", "borders-log", 3, "Do all routers at the border log or mark?"),
    ("technology", "inner-routers-log", 1, "Do inner routers, too?"),
    ("technology", "clocks-agree", 2, "Are clocks within a second of UTC, and watched?"),
    (
        "technology",
        "source-checked",
        2,
        "Are forged source addresses filtered at customers' links?",
    ),
    ("exchange", "rid-reachable", 3, "Does the domain answer RID?"),
    (
        "exchange",
        "policy-written",
        3,
        "Is the disclosure policy a file that the collector applies?",
    ),
    ("exchange", "keys-pinned", 2, "Have partners pinned the domain's key?"),
    ("exchange", "answers-within-hour", 2, "Are requests answered within an hour?"),
];

/// A domain's answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// [`SCHEMA`].
    pub schema: String,
    /// The domain's word.
    pub domain: String,
    /// Yes or no, by the question's word; what is left out is not known, which counts as no.
    #[serde(default)]
    pub answers: BTreeMap<String, bool>,
}

/// Points of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Points of what was answered with yes.
    pub points: u32,
    /// Points of all questions.
    pub of: u32,
    /// Questions without an answer.
    pub unknown: u32,
}

impl Readiness {
    /// Points by section.
    ///
    /// # Errors
    /// Where the format is another, or an answer belongs to no question.
    pub fn scores(&self) -> Result<BTreeMap<String, Score>, String> {
        if self.schema != SCHEMA {
            return Err(format!("schema must be \"{SCHEMA}\", not \"{}\"", self.schema));
        }
        let known = |word: &&String| !QUESTIONS.iter().any(|(_, id, ..)| id == word);
        if let Some(odd) = self.answers.keys().find(known) {
            return Err(format!(
                "\"{odd}\" is no question; see `ashiato poc readiness --questions`"
            ));
        }
        let mut scores: BTreeMap<String, Score> = BTreeMap::new();
        for (section, word, worth, _) in QUESTIONS {
            let score = scores.entry(section.into()).or_default();
            score.of += worth;
            match self.answers.get(word) {
                Some(true) => score.points += worth,
                Some(false) => {}
                None => score.unknown += 1,
            }
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_points_and_silence_is_none() {
        let answers = [("may-log", true), ("may-tell", false), ("exercised", true)];
        let answers = answers.map(|(word, yes)| (word.to_owned(), yes)).into();
        let ready = Readiness { schema: SCHEMA.into(), domain: "xa".into(), answers };
        let scores = ready.scores().unwrap();
        assert_eq!(scores["law"], Score { points: 3, of: 9, unknown: 2 });
        assert_eq!(scores["people"].points, 2);
        assert_eq!(scores.len(), 4);
        let mut odd = ready.clone();
        odd.answers.insert("may-fly".into(), true);
        assert!(odd.scores().unwrap_err().contains("may-fly"));
        assert!(Readiness { schema: "x".into(), ..ready }.scores().is_err());
    }
}
