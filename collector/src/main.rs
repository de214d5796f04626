//! `ashiato-collector`: serve agents, trace offline, make keys.

mod command;

use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = command::Command::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("ASHIATO_COLLECTOR_LOG")
                .unwrap_or_else(|_| "warn".into()),
        )
        .init();
    match command.run() {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            // One place prints, with all causes.
            eprintln!("ashiato-collector: {:#}", failure.error);
            ExitCode::from(failure.code)
        }
    }
}
