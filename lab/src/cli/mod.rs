//! The command line: one file for each verb, one place that prints errors.
//!
//! Data goes to standard output, everything else to standard error. A verb's file holds its `Args`
//! and its `run`; to add one, write the file and name it in [`Verb`] and in [`Verb::run`].

pub mod actor;
pub mod behind_disk;
pub mod compare;
pub mod completion;
pub mod compose;
pub mod crooked;
pub mod demo;
pub mod desk;
pub mod doctor;
pub mod down;
pub mod export;
pub mod form;
pub mod gc;
pub mod harms;
pub mod host;
pub mod import;
pub mod load;
pub mod manifest;
pub mod manual;
pub mod new;
pub mod plan;
pub mod poc;
pub mod policy;
mod progress;
pub mod replay;
pub mod report;
pub mod reproduce;
pub mod run;
pub mod schema;
pub mod scheme;
pub mod stop;
pub mod sweep;
mod tables;
pub mod trace;
pub mod validate;
pub mod verify;

use crate::exit::Exit;
use clap::{Parser, Subcommand};
use std::io::{ErrorKind, IsTerminal, Write};
use tracing_subscriber::EnvFilter;

/// A field-experiment testbed for IP traceback: runs attacks whose truth it knows, and says how
/// much of it each scheme found.
#[derive(Debug, Parser)]
#[command(name = "ashiato", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs the built-in scenario and shows its result.
    Demo(demo::Args),
    /// Runs a scenario in a world, from plan to report.
    Run(run::Args),
    /// Shows a finished run again.
    Report(report::Args),
    /// Checks a finished run, one's own or another lab's: sums, commitments, scores again.
    Verify(verify::Args),
    /// Runs a finished run's plan again, and says what came out differently.
    Replay(replay::Args),
    /// Packs a finished run into one file.
    Export(export::Args),
    /// Unpacks a run that another lab packed, and checks it.
    Import(import::Args),
    /// Simulates a scenario over a grid of values and seeds, and draws curves.
    Sweep(sweep::Args),
    /// Measures what adversaries gain against each scheme, and what honest packets lose.
    Harms(harms::Args),
    /// Shows finished runs side by side: same packets, same truth, paired differences.
    Compare(compare::Args),
    /// Measures papers' figures and exact laws with this build, and says which are met.
    Reproduce(reproduce::Args),
    /// Writes a scenario file to start from.
    New(new::Args),
    /// Checks a scenario file.
    Validate(validate::Args),
    /// Shows everything that a run would make and send, and the best it could find.
    Plan(plan::Args),
    /// Shows a domain's policy, or what it would let out.
    Policy(policy::Args),
    /// Prints the JSON Schema of a file format.
    Schema(schema::Args),
    /// Lists the traceback schemes, or shows one.
    Scheme(scheme::Args),
    /// Tries what the worlds need on this host, and says how to mend what fails.
    Doctor(doctor::Args),
    /// Prints a scenario's compose file: the world `hosts` in containers.
    Compose(compose::Args),
    /// Prints what makes a shell complete this program's verbs and flags.
    Completion(completion::Args),
    /// Takes part in runs over several hosts: the daemon of one of them.
    Host(host::Args),
    /// Agrees on a run over several hosts: drafts, signs, checks, shows, revokes.
    Manifest(manifest::Args),
    /// Asks other domains where packets came from, and decides what they ask.
    Trace(trace::Args),
    /// Points of contact: whom to reach, and whether they answer.
    Poc(poc::Args),
    /// Ends the traffic of runs; evidence stays.
    Stop(stop::Args),
    /// Removes runs from this host.
    Down(down::Args),
    /// Removes what runs without a living owner left behind.
    Gc(gc::Args),
    /// Writes the manual pages; for packages.
    #[command(hide = true)]
    Manual(manual::Args),
    /// A traffic actor; started by the lab, not by people.
    #[command(hide = true)]
    Actor(actor::Args),
    /// Routers that do otherwise than they should; started by the lab, not by people.
    #[command(hide = true)]
    Crooked(crooked::Args),
    /// A program whose store lies on a small disk of its own; started by the lab, not by people.
    #[command(hide = true)]
    BehindDisk(behind_disk::Args),
}

impl Verb {
    fn run(&self) -> anyhow::Result<Exit> {
        match self {
            Self::Demo(args) => demo::run(args),
            Self::Run(args) => run::run(args),
            Self::Report(args) => report::run(args),
            Self::Verify(args) => verify::run(args),
            Self::Replay(args) => replay::run(args),
            Self::Export(args) => export::run(args),
            Self::Import(args) => import::run(args),
            Self::Sweep(args) => sweep::run(args),
            Self::Harms(args) => harms::run(args),
            Self::Compare(args) => compare::run(args),
            Self::Reproduce(args) => reproduce::run(args),
            Self::New(args) => new::run(args),
            Self::Validate(args) => validate::run(args),
            Self::Plan(args) => plan::run(args),
            Self::Policy(args) => policy::run(args),
            Self::Schema(args) => schema::run(args),
            Self::Scheme(args) => scheme::run(args),
            Self::Doctor(args) => doctor::run(args),
            Self::Compose(args) => compose::run(args),
            Self::Completion(args) => completion::run(args),
            Self::Host(args) => host::run(args),
            Self::Manifest(args) => manifest::run(args),
            Self::Trace(args) => trace::run(args),
            Self::Poc(args) => poc::run(args),
            Self::Stop(args) => stop::run(args),
            Self::Down(args) => down::run(args),
            Self::Gc(args) => gc::run(args),
            Self::Manual(args) => manual::run(args),
            Self::Actor(args) => actor::run(args),
            Self::Crooked(args) => crooked::run(args),
            Self::BehindDisk(args) => behind_disk::run(args),
        }
    }
}

/// Parses the command line, runs the verb, and prints its error if it has one.
pub fn main() -> Exit {
    let cli = Cli::parse();
    start_log();
    cli.verb.run().unwrap_or_else(|error| {
        let _ = writeln!(std::io::stderr(), "{error:#}");
        Exit::of(&error)
    })
}

/// Writes to standard output. A reader that went away, such as `head`, is no error.
///
/// # Errors
/// Where the output cannot be written, such as to a full disk.
pub fn print(text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Logs go to standard error; `ASHIATO_LOG` chooses what, in tracing's directives.
fn start_log() {
    let filter = EnvFilter::try_from_env("ASHIATO_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start, as in tests that share a process, changes nothing.
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
}
