//! The command line: one file per subcommand, no logic of its own.
#![expect(clippy::print_stderr, reason = "the command line talks to people")]

mod admin;
mod audit;
mod bench;
mod cache;
pub mod client;
mod completions;
mod config;
mod config_status;
mod demo;
mod egress;
mod engine;
mod examples;
mod executor;
mod grammar;
mod ground;
mod images;
mod init;
mod input;
mod job;
mod lint;
mod logging;
mod login;
mod logout;
mod logs;
mod man;
mod privileges;
mod registry;
mod replay;
mod run;
mod say;
mod schema;
mod secret;
mod serve;
mod since;
mod status;
pub mod style;
mod sync;
mod token;
mod trigger;
mod unpack_layer;
mod user;
pub mod verify;
mod whoami;

use std::process::ExitCode;

use clap::{FromArgMatches as _, Parser, Subcommand};

use crate::platform::{Clock as _, SystemClock, fault};

/// A self-hosted CI/CD appliance
#[derive(Debug, Parser)]
#[command(name = "danube", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    Admin(admin::AdminArgs),
    Audit(audit::AuditArgs),
    Bench(bench::BenchArgs),
    Cache(cache::CacheArgs),
    Completions(completions::CompletionsArgs),
    Config(config::ConfigArgs),
    Demo(demo::DemoArgs),
    Egress(egress::EgressArgs),
    Executor(executor::ExecutorArgs),
    Images(images::ImagesArgs),
    Init(init::InitArgs),
    Job(job::JobArgs),
    Lint(lint::LintArgs),
    Login(login::LoginArgs),
    Logout(logout::LogoutArgs),
    Logs(logs::LogsArgs),
    Man(man::ManArgs),
    Registry(registry::RegistryArgs),
    Replay(replay::ReplayArgs),
    Run(run::RunArgs),
    Schema(schema::SchemaArgs),
    Secret(secret::SecretArgs),
    Serve(serve::ServeArgs),
    Status(status::StatusArgs),
    Sync(sync::SyncArgs),
    Token(token::TokenArgs),
    Trigger(trigger::TriggerArgs),
    User(user::UserArgs),
    Verify(verify::VerifyArgs),
    Whoami(whoami::WhoamiArgs),
}

/// Wrong usage (sysexits `EX_USAGE`).
const USAGE: u8 = 64;

/// Parses, runs, prints the error: the whole of `main`.
pub fn main() -> ExitCode {
    if let Some(order) = unpack_layer::order() {
        return unpack_layer::run(&order);
    }
    let cli = match grammar::grammar().try_get_matches().and_then(|read| Cli::from_arg_matches(&read)) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nobody to tell where the terminal is gone.
            let _gone = error.print();
            return code;
        }
    };
    if let Err(error) = crate::platform::git::ignore_configuration() {
        eprintln!("danube: git's library can't be used: {error}");
        return ExitCode::FAILURE;
    }
    if let Err(error) = fault::arm_by_environment() {
        eprintln!("danube: {error}");
        return ExitCode::from(USAGE);
    }
    let result = match cli.command {
        Cmd::Admin(args) => admin::run(&args),
        Cmd::Audit(args) => audit::run(&args),
        Cmd::Bench(args) => bench::run(&args),
        Cmd::Cache(args) => cache::run(&args),
        Cmd::Completions(args) => completions::run(&args),
        Cmd::Config(args) => config::run(&args),
        Cmd::Demo(args) => demo::run(&args),
        Cmd::Egress(args) => egress::run(&args),
        Cmd::Executor(args) => {
            logging::start_plain("info");
            executor::run(args)
        }
        Cmd::Images(args) => images::run(&args),
        Cmd::Init(args) => init::run(&args),
        Cmd::Job(args) => job::run(&args),
        Cmd::Lint(args) => lint::run(&args),
        Cmd::Login(args) => login::run(&args),
        Cmd::Logout(args) => logout::run(&args),
        Cmd::Logs(args) => logs::run(&args),
        Cmd::Man(args) => man::run(&args),
        Cmd::Registry(args) => registry::run(&args),
        Cmd::Replay(args) => {
            logging::start_plain("warn");
            replay::run(&args)
        }
        Cmd::Run(args) => {
            logging::start_plain("warn");
            run::run(args)
        }
        Cmd::Schema(args) => schema::run(&args),
        Cmd::Secret(args) => secret::run(&args),
        Cmd::Serve(args) => serve::run(&args),
        Cmd::Status(args) => status::run(&args),
        Cmd::Sync(args) => sync::run(&args),
        Cmd::Token(args) => token::run(&args),
        Cmd::Trigger(args) => trigger::run(&args),
        Cmd::User(args) => user::run(&args),
        Cmd::Whoami(args) => whoami::run(&args),
        Cmd::Verify(args) => {
            let now = SystemClock.now();
            Ok(ExitCode::from(verify::run(&args, now, &mut std::io::stdout(), &mut std::io::stderr())))
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("danube: {error:#}");
        ExitCode::FAILURE
    })
}
