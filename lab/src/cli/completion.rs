//! `ashiato completion`: completions for shells, from the same definitions as the help.

use super::{Cli, print};
use crate::exit::Exit;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// For what to write.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell, such as bash: `ashiato completion bash > /etc/bash_completion.d/ashiato`.
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the shell's script.
///
/// # Errors
/// When it cannot be printed.
pub fn run(args: &Args) -> Result<Exit> {
    let mut text = vec![];
    generate(args.shell, &mut Cli::command(), "ashiato", &mut text);
    print(text)?;
    Ok(Exit::Met)
}
