//! `ashiato-agent`: serves vantages, or does their work on capture files.

use anyhow::{Context, ensure};
use ashiato_agent::capture::{self, Counts, file::Broken};
use ashiato_agent::config::Config;
use ashiato_agent::selftest::{self, Kind};
use ashiato_agent::{enrol, journal, run};
use clap::{Args, CommandFactory, Parser, Subcommand};
use serde_json::Value;
use std::fs::File;
use std::io::BufWriter;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use traceback::case::Filter;
use traceback::invariant::Key;
use traceback::schemes;
use traceback::vantage::{Draws, Setting, Vantage};
use traceback::{Place, RouterId};

/// Marks or logs the packets that a host forwards, and reports to a collector.
#[derive(Debug, Parser)]
#[command(name = "ashiato-agent", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serve the vantages of a configuration until SIGTERM.
    Run(Run),
    /// Get this machine a certificate for a key of its own, by a token.
    Enrol(Enrol),
    /// Get the next certificate by the one that this machine has, before that ends.
    Renew(Renew),
    /// Prove by packets through namespaces which datapaths this host can run.
    Selftest(Selftest),
    /// Give interfaces back what killed agents changed on them.
    Gc,
    /// Pass a capture through one router's step into a new capture.
    Mark(Mark),
    /// Make an observer's report from a capture.
    Observe(Observe),
    /// Print what makes a shell complete verbs and flags.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder; for packages.
    #[command(hide = true)]
    Manual {
        /// An existing folder.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Run {
    /// Configuration, TOML.
    #[arg(long, env = "ASHIATO_AGENT_RUN_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// End when the parent process ends or closes standard input.
    #[arg(long, env = "ASHIATO_AGENT_RUN_DIE_WITH_PARENT")]
    die_with_parent: bool,
}

#[derive(Debug, Args)]
struct Enrol {
    /// The token's file, as `ashiato-collector token` printed it. It opens once.
    #[arg(long, env = "ASHIATO_AGENT_ENROL_TOKEN", value_name = "FILE")]
    token: PathBuf,
    /// Folder for ca.pem, own.pem and own.key; those of an earlier enrolment are replaced.
    #[arg(
        long,
        env = "ASHIATO_AGENT_ENROL_DIR",
        value_name = "DIR",
        default_value = "/etc/ashiato"
    )]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct Renew {
    /// Folder of the enrolment.
    #[arg(
        long,
        env = "ASHIATO_AGENT_ENROL_DIR",
        value_name = "DIR",
        default_value = "/etc/ashiato"
    )]
    dir: PathBuf,
    /// Where `authority serve` listens, if elsewhere than at enrolment.
    #[arg(long, env = "ASHIATO_AGENT_RENEW_AUTHORITY", value_name = "ADDRESS:PORT")]
    authority: Option<SocketAddr>,
    /// Make a new key. What the old one was pinned for, such as a signed manifest, does not hold for the new one.
    #[arg(long, env = "ASHIATO_AGENT_RENEW_ROTATE")]
    rotate: bool,
    /// Do nothing while the certificate is good for more days than this: for timers.
    #[arg(long, env = "ASHIATO_AGENT_RENEW_WITHIN", value_name = "DAYS")]
    within: Option<u32>,
}

#[derive(Debug, Args)]
struct Selftest {
    /// Try only this datapath; may be given several times.
    #[arg(long, value_name = "NAME")]
    datapath: Vec<Kind>,
    /// How to print what was found.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// One JSON document.
    Json,
}

#[derive(Debug, Args)]
struct Choice {
    /// Scheme by its id.
    #[arg(long, env = "ASHIATO_AGENT_SCHEME", value_name = "ID")]
    scheme: String,
    /// The scheme's parameters as a JSON object; keys left out take the paper's values.
    #[arg(long, env = "ASHIATO_AGENT_PARAMS", value_name = "JSON", default_value = "{}")]
    params: String,
    /// The run's key: two words of up to 16 hexadecimal digits.
    #[arg(long, env = "ASHIATO_AGENT_KEY", value_name = "K0,K1", default_value = "0,0", value_parser = parse_key)]
    key: Key,
    /// Capture to read, pcap or pcapng.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
}

#[derive(Debug, Args)]
struct Mark {
    #[command(flatten)]
    choice: Choice,
    /// The router's loopback address.
    #[arg(long, value_name = "ADDRESS")]
    router: std::net::Ipv4Addr,
    /// The router's position in the map.
    #[arg(long, value_name = "N", default_value_t = 0)]
    index: u16,
    /// Links to other routers.
    #[arg(long, value_name = "N", default_value_t = 0)]
    degree: u16,
    /// The router's autonomous system.
    #[arg(long, default_value_t = 0)]
    asn: u32,
    /// Capture to write, in the format of the one that is read.
    #[arg(long = "out", value_name = "FILE")]
    output: PathBuf,
}

#[derive(Debug, Args)]
struct Observe {
    #[command(flatten)]
    choice: Choice,
    /// The router that delivers to the victim.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0")]
    gateway: std::net::Ipv4Addr,
    /// Count only packets to this address.
    #[arg(long, value_name = "ADDRESS")]
    victim: Option<IpAddr>,
    /// Count only packets of this transport protocol.
    #[arg(long, value_name = "NUMBER", requires = "victim")]
    protocol: Option<u8>,
    /// Count only packets to this port.
    #[arg(long, value_name = "PORT", requires = "victim")]
    port: Option<u16>,
    /// Report to write, for `ashiato-collector trace --ledger`.
    #[arg(long = "out", value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Exit codes, as the project's documents list them.
const INTERNAL: u8 = 1;
const USAGE: u8 = 2;
const NOT_READY: u8 = 3;
const PARTIAL: u8 = 9;

fn main() -> ExitCode {
    let log = tracing_subscriber::EnvFilter::try_from_env("ASHIATO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr).init();
    let done = match Cli::parse().verb {
        Verb::Run(run) => run.run(),
        Verb::Enrol(enrol) => enrol.run().map_err(|e| (NOT_READY, e)),
        Verb::Renew(renew) => renew.run().map_err(|e| (NOT_READY, e)),
        Verb::Selftest(selftest) => selftest.run().map_err(|e| (INTERNAL, e)),
        Verb::Gc => gc().map_err(|e| (INTERNAL, e)),
        Verb::Mark(mark) => mark.run().map_err(|e| (USAGE, e)),
        Verb::Observe(observe) => observe.run().map_err(|e| (USAGE, e)),
        Verb::Completion { shell } => Ok(completion(shell)),
        Verb::Manual { dir } => manual(&dir).map_err(|e| (INTERNAL, e)),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err((code, error)) => {
            eprintln!("ashiato-agent: {error:#}");
            ExitCode::from(code)
        }
    }
}

impl Run {
    fn run(&self) -> Result<u8, (u8, anyhow::Error)> {
        if self.die_with_parent {
            die_with_parent().map_err(|e| (INTERNAL, e))?;
        }
        let config = Config::read(&self.config).map_err(|e| (USAGE, e))?;
        let all = run::run(&config, self.die_with_parent).map_err(|e| (INTERNAL, e))?;
        Ok(if all { 0 } else { NOT_READY })
    }
}

impl Enrol {
    fn run(&self) -> anyhow::Result<u8> {
        let name = enrol::enrol(&self.token, &self.dir)?;
        println!("{name} is enrolled; its key is in {}", self.dir.display());
        Ok(0)
    }
}

impl Renew {
    fn run(&self) -> anyhow::Result<u8> {
        let within = self.within.map(|days| Duration::from_secs(u64::from(days) * 24 * 3600));
        let how = enrol::Renewal { authority: self.authority, rotate: self.rotate, within };
        let (ends, new) = enrol::renew(&self.dir, &how)?;
        let what = if new { "the new certificate" } else { "nothing to do: the certificate" };
        println!("{what} is good until {ends} (seconds since 1970)");
        Ok(0)
    }
}

impl Selftest {
    fn run(&self) -> anyhow::Result<u8> {
        let findings = selftest::selftest(&self.datapath);
        match self.format {
            Format::Table => print!("{}", findings.table()),
            Format::Json => println!("{}", serde_json::to_string_pretty(&findings)?),
        }
        Ok(match (findings.all(), self.datapath.is_empty() && findings.some()) {
            (true, _) => 0,
            (false, true) => PARTIAL,
            (false, false) => NOT_READY,
        })
    }
}

/// Takes back what killed agents left, and says so.
fn gc() -> anyhow::Result<u8> {
    for line in journal::recover()? {
        println!("{line}");
    }
    Ok(0)
}

/// Prints a shell's completions.
fn completion(shell: clap_complete::Shell) -> u8 {
    clap_complete::generate(shell, &mut Cli::command(), "ashiato-agent", &mut std::io::stdout());
    0
}

/// Writes the manual pages.
fn manual(dir: &Path) -> anyhow::Result<u8> {
    clap_mangen::generate_to(Cli::command(), dir)
        .with_context(|| format!("write into {}", dir.display()))?;
    Ok(0)
}

/// Asks the kernel for SIGTERM when the thread that started this process ends.
fn die_with_parent() -> anyhow::Result<()> {
    let parent = nix::unistd::getppid();
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM)
        .context("ask for a signal at the parent's end")?;
    // A parent that ended before the call sends no signal.
    ensure!(nix::unistd::getppid() == parent, "the parent has ended already");
    Ok(())
}

impl Mark {
    fn run(&self) -> anyhow::Result<u8> {
        let place =
            Place { id: self.router.into(), index: self.index, degree: self.degree, asn: self.asn };
        let mut vantage = self.choice.vantage(place, None)?;
        let input = open(&self.choice.input)?;
        ensure!(self.choice.input != self.output, "--in and --out are the same file");
        let output = File::create(&self.output)
            .with_context(|| format!("write {}", self.output.display()))?;
        let (counts, done) = capture::mark(input, BufWriter::new(output), place, &mut *vantage);
        Ok(tell(&self.choice.input, counts, done))
    }
}

impl Observe {
    fn run(&self) -> anyhow::Result<u8> {
        let place = Place { id: self.gateway.into(), index: 0, degree: 0, asn: 0 };
        let Self { protocol, port, .. } = *self;
        let filter = self.victim.map(|victim| Filter { victim, protocol, source_port: None, port });
        let mut vantage = self.choice.vantage(place, filter)?;
        let (scheme, gateway) = (&self.choice.scheme, RouterId::from(self.gateway));
        let input = open(&self.choice.input)?;
        let (counts, report, done) = capture::observe(input, scheme, gateway, &mut *vantage);
        if let Some(output) = &self.output {
            std::fs::write(output, report.encode())
                .with_context(|| format!("write {}", output.display()))?;
        }
        Ok(tell(&self.choice.input, counts, done))
    }
}

impl Choice {
    fn vantage(&self, place: Place, filter: Option<Filter>) -> anyhow::Result<Box<dyn Vantage>> {
        let entry = schemes::entry(&self.scheme)?;
        let params: Value = serde_json::from_str(&self.params).context("--params")?;
        let scheme = entry.build(&params).context("--params")?;
        Ok(scheme.vantage(Setting { place, key: self.key, draws: Draws::Keyed, filter }))
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("read {}", path.display()))
}

/// Prints what was found, and says how it ended.
fn tell(path: &Path, counts: Counts, done: Result<(), Broken>) -> u8 {
    let counts = serde_json::to_string(&counts).expect("invariant: counts are plain numbers");
    println!("{counts}");
    match done {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("ashiato-agent: {}: {e}; what came before is kept", path.display());
            if matches!(e, Broken::Format(_)) { USAGE } else { PARTIAL }
        }
    }
}

fn parse_key(text: &str) -> Result<Key, String> {
    let word = |t: &str| u64::from_str_radix(t.trim(), 16).map_err(|e| format!("{t:?}: {e}"));
    let (first, second) = text.split_once(',').ok_or("give two words with a comma between")?;
    Ok(Key(word(first)?, word(second)?))
}
