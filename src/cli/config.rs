//! `danube config`: what the host's configuration says, and where each value came from.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::say::{say, say_json};
use crate::config::{self, Setting, Sources};

/// Wrong configuration (sysexits `EX_CONFIG`).
const WRONG: u8 = 78;

/// Show the configuration: of this machine, and of the server's config repo
#[derive(Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the effective settings and where each came from
    Show {
        /// The file to read instead of /etc/danube/danube.toml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    Status(super::config_status::StatusArgs),
}

pub(super) fn run(args: &ConfigArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Show { config, json } => show(config.as_deref(), *json),
        Command::Status(args) => super::config_status::run(args),
    }
}

fn show(config: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let mut sources = Sources { env: environment(), ..Sources::default() };
    let loaded = sources.read_file(config).and_then(|()| config::load(&sources));
    let settings = match loaded {
        Ok(config) => config.settings,
        Err(error) => {
            eprintln!("danube: {:#}", anyhow::Error::new(error));
            return Ok(ExitCode::from(WRONG));
        }
    };
    if json {
        say_json(&settings)?;
    } else {
        say(&table(&settings))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The process's variables that are text; others are none of ours.
pub(super) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn table(settings: &[Setting]) -> String {
    let shown = |setting: &Setting| setting.value.clone().unwrap_or_else(|| "-".to_owned());
    let keys = settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    let values = settings.iter().map(|setting| shown(setting).chars().count()).max().unwrap_or(0);
    let row = |setting: &Setting| format!("{:keys$}  {:values$}  {}\n", setting.key, shown(setting), setting.origin);
    settings.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_stand_in_columns_with_their_origin() {
        let setting = |key, value: Option<&str>, origin: &str| Setting {
            key,
            value: value.map(str::to_owned),
            origin: origin.into(),
        };
        let text = table(&[
            setting("config_repo.branch", Some("main"), "default"),
            setting("server.public_url", None, "not set"),
        ]);
        assert_eq!(text, "config_repo.branch  main  default\nserver.public_url   -     not set\n");
    }
}
