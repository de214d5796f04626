//! What can be typed, and the exit codes that come of it.

mod authority;
mod document;
mod serve;
mod trace;

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use std::path::{Path, PathBuf};

/// All went well.
pub(crate) const OK: u8 = 0;
/// A bug or a broken file system.
pub(crate) const INTERNAL: u8 = 1;
/// A bad file or a bad flag.
pub(crate) const USAGE: u8 = 2;
/// The host lacks something: an address, a folder that can be written.
pub(crate) const HOST: u8 = 3;
/// The evidence does not carry an answer.
pub(crate) const PARTIAL: u8 = 9;
/// Interrupted at the keyboard, and clean.
pub(crate) const INTERRUPTED: u8 = 130;

/// A failure and its exit code.
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) error: anyhow::Error,
}

impl Failure {
    /// For `map_err`: the failure with this code.
    pub(crate) fn of<E: Into<anyhow::Error>>(code: u8) -> impl FnOnce(E) -> Self {
        move |error| Self { code, error: error.into() }
    }
}

/// Stores what Ashiato's agents report, asks them, and rebuilds attack paths.
#[derive(Debug, Parser)]
#[command(name = "ashiato-collector", version)]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Take reports from agents and calls from operators.
    Serve(serve::Serve),
    /// Rebuild the paths of a case from report files, without a network.
    Trace(trace::Trace),
    /// Make a document for others of what is known of a question, or say what one of theirs holds.
    Document(document::Document),
    /// Make keys and certificates.
    #[command(subcommand)]
    Authority(authority::Verb),
    /// Print a token with which a new machine enrols itself, once.
    Token(authority::Token),
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

impl Command {
    pub(crate) fn run(self) -> Result<u8, Failure> {
        match self.verb {
            Verb::Serve(serve) => serve.run(),
            Verb::Trace(trace) => trace.run(),
            Verb::Document(document) => document.run(),
            Verb::Authority(verb) => verb.run(),
            Verb::Token(token) => token.run(),
            Verb::Completion { shell } => Ok(completion(shell)),
            Verb::Manual { dir } => manual(&dir).map_err(Failure::of(INTERNAL)),
        }
    }
}

/// Prints a shell's completions.
fn completion(shell: clap_complete::Shell) -> u8 {
    let (mut command, mut out) = (Command::command(), std::io::stdout());
    clap_complete::generate(shell, &mut command, "ashiato-collector", &mut out);
    OK
}

/// Writes the manual pages.
fn manual(dir: &Path) -> anyhow::Result<u8> {
    clap_mangen::generate_to(Command::command(), dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    Ok(OK)
}
