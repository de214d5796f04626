//! The program `ashiato`: see [`ashiato::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ashiato::cli::main().code().into()
}
