//! `trace`: a reconstruction from files, without a network.

use super::{Failure, INTERNAL, OK, PARTIAL, USAGE};
use anyhow::{Context, anyhow};
use ashiato_collector::operator;
use ashiato_collector::server::read_map;
use ashiato_collector::trace::{self, Gathered};
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use traceback::RouterId;
use traceback::case::Case;
use traceback::report::Report;
use traceback::schemes::AnyScheme;

/// Flags of `trace`.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// Scheme by its id.
    #[arg(long, env = "ASHIATO_COLLECTOR_SCHEME", value_name = "ID")]
    scheme: String,
    /// The scheme's parameters as a JSON object; those of its paper, where left out.
    #[arg(long, env = "ASHIATO_COLLECTOR_PARAMS", value_name = "JSON", default_value = "")]
    params: String,
    /// Routers and links, JSON; the case's own, where left out.
    #[arg(long, env = "ASHIATO_COLLECTOR_MAP", value_name = "FILE")]
    map: Option<PathBuf>,
    /// The case: victim, gateway, window, samples, key, JSON.
    #[arg(long, env = "ASHIATO_COLLECTOR_CASE", value_name = "FILE")]
    case: PathBuf,
    /// Reports as agents and `ashiato-agent observe` write them. Nobody is asked, so schemes that ask
    /// routers take them to be silent.
    #[arg(long, env = "ASHIATO_COLLECTOR_LEDGER", value_name = "FILE", num_args = 1.., value_delimiter = ',', required = true)]
    ledger: Vec<PathBuf>,
}

impl Trace {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        let (scheme, case, gathered) = self.load().map_err(Failure::of(USAGE))?;
        let traced = trace::trace(scheme.as_ref(), &case, &gathered.ledgers, &mut |questions| {
            vec![None; questions.len()]
        });
        let by_name = |counts: &BTreeMap<RouterId, u64>| -> BTreeMap<String, u64> {
            counts.iter().map(|(router, n)| (router.to_string(), *n)).collect()
        };
        let shown = serde_json::json!({
            "scheme": self.scheme,
            "params": scheme.params(),
            "finding": traced.finding.as_ref().ok(),
            "gap": traced.finding.as_ref().err(),
            "why": traced.finding.as_ref().err().map(ToString::to_string),
            "seconds": traced.seconds,
            "ledger_bytes": traced.ledger_bytes,
            "report_bytes": gathered.report_bytes,
            "asked": by_name(&traced.asked),
            "malformed": traced.malformed + gathered.malformed,
        });
        let text = serde_json::to_string_pretty(&shown).map_err(Failure::of(INTERNAL))?;
        println!("{text}");
        Ok(if traced.finding.is_ok() { OK } else { PARTIAL })
    }

    fn load(&self) -> anyhow::Result<(std::sync::Arc<dyn AnyScheme>, Case, Gathered)> {
        let scheme = operator::scheme(&self.scheme, &self.params).map_err(|e| anyhow!(e))?;
        let map = self.map.as_deref().map(read_map).transpose()?;
        let text = std::fs::read_to_string(&self.case).with_context(|| cannot_read(&self.case))?;
        let mut case = operator::case(&text, map.as_ref())
            .map_err(|e| anyhow!("{}: {e}", self.case.display()))?;
        if let Some(map) = map {
            case.map = map;
        }
        let mut gathered = Gathered::default();
        for path in &self.ledger {
            let bytes = std::fs::read(path).with_context(|| cannot_read(path))?;
            let report = Report::decode(&bytes)
                .with_context(|| format!("{} is no report of an agent", path.display()))?;
            if report.scheme != self.scheme {
                let (path, other) = (path.display(), report.scheme);
                return Err(anyhow!("{path} is a report of {other}, not of {}", self.scheme));
            }
            let agent = path.to_string_lossy();
            gathered.add(scheme.as_ref(), &case, &agent, report, bytes.len());
        }
        Ok((scheme, case, gathered))
    }
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}
