//! Scenarios: from a file and the command line to a checked description of an experiment.
//!
//! Three types for three truths: a [`Document`] is what was typed, with places; a [`Spec`] is what
//! is meant, with defaults; a [`crate::plan::Plan`] is what will happen ([`crate::resolve`]).

mod adversary;
mod check;
mod document;
mod faults;
mod links;
mod networks;
mod outcomes;
mod overrides;
pub mod policies;
mod problems;
mod report;
mod shape;
pub mod spec;
pub mod streams;
mod words;

pub use document::Document;
pub use overrides::Overrides;
pub use report::{Place, Problem, Report};
pub use spec::Spec;

pub(crate) use networks::{Ranges, net_of, overlap};
pub(crate) use problems::Problems;

use std::collections::BTreeMap;
use std::path::Path;
use traceback::disclose::Policy;

/// Largest scenario file in bytes: more is a mistake, such as a capture given instead.
const LARGEST: u64 = 4 << 20;

/// A scenario that is sound in itself.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What is meant.
    pub spec: Spec,
    /// What was typed.
    pub document: Document,
    /// What domains show and tell, of those that say so.
    pub policies: BTreeMap<String, Policy>,
}

impl Scenario {
    /// The same without adversaries, faults of the network, or missing deployment.
    #[must_use]
    pub fn calm(&self) -> Self {
        Self { spec: self.spec.calm(), ..self.clone() }
    }
}

/// Reads a scenario file and puts the command line's values over it.
///
/// # Errors
/// Everything that is wrong with it, as far as one pass can tell.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Scenario, Report> {
    let name = path.display().to_string();
    let unreadable = |e: std::io::Error| {
        Report::whole(format!("cannot read {name}: {e}"), "give the path of a scenario file")
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > LARGEST {
        let what = format!("{name} has {size} bytes, which no scenario needs");
        return Err(Report::whole(what, format!("scenarios have at most {LARGEST} bytes")));
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Report::whole(format!("{name} is not UTF-8: {e}"), "save it as UTF-8"))?;
    parse(&name, &text, overrides)
}

/// The same for a text at hand; `name` stands in messages.
///
/// # Errors
/// As [`load`].
pub fn parse(name: &str, text: &str, overrides: &Overrides) -> Result<Scenario, Report> {
    let mut document = Document::parse(name, text)?;
    overrides.apply(&mut document)?;
    let schema = schema();
    let problems = shape::check(&document, &schema);
    if !problems.is_empty() {
        return Err(Report::new(problems));
    }
    let spec = serde_json::from_value::<Spec>(document.root.to_json());
    let spec = spec.map_err(|e| Report::whole(format!("{name}: {e}"), ""))?;
    check::check(&spec, &document)?;
    let mut problems = Problems::new(&document);
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    let policies = policies::all(&spec, folder, &mut problems);
    problems.end()?;
    Ok(Scenario { spec, document, policies })
}

/// The JSON Schema of scenario files.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Spec).to_value()
}
