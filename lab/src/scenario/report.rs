//! What is wrong with a scenario: where, and how to mend it. Several problems at once.

use std::fmt;

/// All problems found, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// At least one, where a report is an error.
    pub problems: Vec<Problem>,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where; `None` where the file as a whole is at fault.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// What to do about it; may be empty.
    pub mend: String,
}

/// A place in a scenario file or in a value given on the command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name, or the option as given, such as `--set seed=x`.
    pub source: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Characters that the caret marks, at least 1.
    pub width: usize,
    /// The source line.
    pub text: String,
}

impl Report {
    /// A report of one problem without a place.
    pub fn whole(what: impl fmt::Display, mend: impl fmt::Display) -> Self {
        let problem = Problem { place: None, what: what.to_string(), mend: mend.to_string() };
        Self { problems: vec![problem] }
    }

    /// Sorted by place, without repetitions.
    pub fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by(|a, b| a.place.cmp(&b.place));
        problems.dedup();
        Self { problems }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut margin = 0;
        match &self.place {
            None => f.write_str(&self.what)?,
            // An option of the command line is a line of its own: its name says everything.
            Some(p) if p.source.starts_with("--") => write!(f, "{}: {}", p.source, self.what)?,
            Some(p) => {
                margin = p.line.to_string().len();
                writeln!(f, "{}:{}:{}: {}", p.source, p.line, p.column, self.what)?;
                writeln!(f, "{:margin$} |", "")?;
                writeln!(f, "{} | {}", p.line, p.text)?;
                let caret = "^".repeat(p.width);
                write!(f, "{:margin$} | {:indent$}{caret}", "", "", indent = p.column - 1)?;
            }
        }
        if !self.mend.is_empty() {
            write!(f, "\n{:margin$} = {}", "", self.mend)?;
        }
        Ok(())
    }
}
