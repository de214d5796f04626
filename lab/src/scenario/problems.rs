//! Gathers problems of meaning, each at a dotted path of the document.

use super::document::Document;
use super::report::{Problem, Report};
use std::fmt::Display;

/// Problems so far.
pub(crate) struct Problems<'d> {
    document: &'d Document,
    list: Vec<Problem>,
}

impl<'d> Problems<'d> {
    /// None yet.
    pub(crate) fn new(document: &'d Document) -> Self {
        Self { document, list: vec![] }
    }

    /// Adds one, at the value that the path leads to.
    pub(crate) fn add(&mut self, path: impl AsRef<str>, what: impl Display, mend: impl Display) {
        let place = Some(self.document.locate(path.as_ref()));
        self.list.push(Problem { place, what: what.to_string(), mend: mend.to_string() });
    }

    /// The report, where there is a problem.
    ///
    /// # Errors
    /// The report.
    pub(crate) fn end(self) -> Result<(), Report> {
        if self.list.is_empty() { Ok(()) } else { Err(Report::new(self.list)) }
    }
}
