//! Where an operator's collector is, and with which keys it is called.

use crate::exit::Exit;
use anyhow::{Context, Result};
use ashiato_collector::authority::Tls;
use ashiato_collector::client::{ClientError, Operator};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The domain's collector and the operator's keys.
#[derive(Debug, clap::Args)]
pub struct Desk {
    /// The domain's collector.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        env = "ASHIATO_COLLECTOR",
        default_value = "127.0.0.1:4750"
    )]
    collector: SocketAddr,
    /// Folder with `ca.pem`, `operator-NAME.pem` and `operator-NAME.key`.
    #[arg(long, value_name = "DIR", env = "ASHIATO_KEYS", default_value = "keys")]
    keys: PathBuf,
    /// The operator's name.
    #[arg(long = "as", value_name = "NAME", env = "ASHIATO_OPERATOR", default_value = "local")]
    name: String,
}

impl Desk {
    /// Calls the collector.
    ///
    /// # Errors
    /// Where it cannot be reached, or refuses.
    pub(super) fn call<R>(
        &self,
        work: impl AsyncFnOnce(Operator) -> Result<R, ClientError>,
    ) -> Result<R> {
        let file = |ending: &str| self.keys.join(format!("operator-{}.{ending}", self.name));
        let tls = Tls { ca: self.keys.join("ca.pem"), cert: file("pem"), key: file("key") };
        let called = async { work(Operator::connect(self.collector, &tls).await?).await };
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = threads.enable_all().build().context("cannot start threads")?;
        runtime.block_on(called).map_err(said)
    }
}

/// Anything that goes wrong with a collector's answer.
fn said(error: ClientError) -> anyhow::Error {
    use ClientError::{Call, Read};
    match error {
        Read { .. } => Exit::Usage.refuse(error),
        Call(_) => Exit::Policy.refuse(error),
        other => anyhow::Error::new(other).context("cannot speak with the collector"),
    }
}
