//! The arguments that name a scenario, shared by the verbs that read one.

use crate::exit::Exit;
use crate::plan::Plan;
use crate::resolve;
use crate::scenario::{self, Overrides, Report, Scenario};
use std::path::PathBuf;

/// A scenario file and what is put over it.
#[derive(Debug, Clone, clap::Args)]
pub struct Given {
    /// The scenario file.
    pub file: PathBuf,
    /// Another value for a key, such as `traffic.flood.packets=100`; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", env = "ASHIATO_SET", value_delimiter = ';')]
    pub set: Vec<String>,
    /// Another seed.
    #[arg(long, env = "ASHIATO_SEED")]
    pub seed: Option<u64>,
    /// The schemes that take turns, instead of the file's.
    #[arg(long, value_name = "ID,ID", env = "ASHIATO_SCHEME", value_delimiter = ',')]
    pub scheme: Vec<String>,
}

impl Given {
    /// A file with nothing put over it.
    pub fn of(file: &std::path::Path) -> Self {
        Self { file: file.to_path_buf(), set: vec![], seed: None, scheme: vec![] }
    }

    /// The same without the file, as words of a command line.
    pub fn words(&self) -> Vec<String> {
        let set = self.set.iter().map(|s| format!("--set={s}"));
        let seed = self.seed.map(|s| format!("--seed={s}"));
        let schemes = self.scheme.iter().map(|s| format!("--scheme={s}"));
        set.chain(seed).chain(schemes).collect()
    }

    /// Loads the scenario and makes its plan.
    ///
    /// # Errors
    /// [`Exit::Usage`] with everything that is wrong with it.
    pub fn plan(&self) -> anyhow::Result<(Scenario, Plan)> {
        let overrides =
            Overrides { set: self.set.clone(), seed: self.seed, schemes: self.scheme.clone() };
        let planned = scenario::load(&self.file, &overrides)
            .and_then(|scenario| resolve::plan(&scenario).map(|plan| (scenario, plan)));
        planned.map_err(|report| refuse(&report))
    }
}

fn refuse(report: &Report) -> anyhow::Error {
    match report.problems.len() {
        1 => Exit::Usage.refuse(report),
        n => Exit::Usage.refuse(format!("{report}\n\n{n} problems; nothing was run")),
    }
}
