//! The command line: one file per subcommand, no logic of its own.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the command line talks to people")]

mod executor;
mod privileges;
pub mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A self-hosted CI/CD appliance
#[derive(Debug, Parser)]
#[command(name = "danube", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    Executor(executor::ExecutorArgs),
}

/// Wrong usage (sysexits `EX_USAGE`).
const USAGE: u8 = 64;

/// Parses, runs, prints the error: the whole of `main`.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nobody to tell where the terminal is gone.
            let _gone = error.print();
            return code;
        }
    };
    let result = match cli.command {
        Cmd::Executor(args) => executor::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("danube: {error:#}");
        ExitCode::FAILURE
    })
}
