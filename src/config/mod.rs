//! The host's configuration: flags, environment, danube.toml and defaults become checked sections.
//!
//! Owns: the table of keys, their order of precedence and where each value came from. May use:
//! model, platform. Must not touch: the network, SQL, the process environment (it comes in as a map).

mod error;
mod executor;
mod keys;
mod layers;
mod log;
mod network;
mod registry;
mod repo;
mod server;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use error::{ConfigError, Problem};
pub use executor::{Executor, ExecutorKind, Limits};
pub use log::{Log, LogFormat};
pub use network::Network;
pub use registry::Registry;
pub use repo::ConfigRepo;
pub use server::Server;
pub use units::{parse_duration, parse_size};

use layers::Layers;

/// Where danube.toml is looked for when no flag names another place.
pub const DEFAULT_FILE: &str = "/etc/danube/danube.toml";

/// What a configuration is made of, strongest first. Nothing here is read from the process itself.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Keys and values given by flags, such as `("server.bind_address", "127.0.0.1:0")`.
    pub flags: Vec<(&'static str, String)>,
    /// The environment; only names that start with DANUBE_ are looked at.
    pub env: BTreeMap<String, String>,
    /// danube.toml and its text; none: there is no file.
    pub file: Option<(PathBuf, String)>,
    /// `spec.server` of the config commit in force.
    pub config_repo: BTreeMap<String, String>,
}

impl Sources {
    /// Reads danube.toml. A named file must exist; the default one may be absent.
    pub fn read_file(&mut self, named: Option<&Path>) -> Result<(), ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => self.file = Some((path.to_owned(), text)),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
        }
        Ok(())
    }
}

/// The checked configuration. Each part of the program receives only its own section.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the config repo is.
    pub config_repo: ConfigRepo,
    /// Where the master listens and keeps things.
    pub server: Server,
    /// What runs containers, and what they may use.
    pub executor: Executor,
    /// The container registry beside the server.
    pub registry: Registry,
    /// What is logged, and how.
    pub log: Log,
    /// Every key with its value and where that came from.
    pub settings: Vec<Setting>,
}

/// One key as `danube config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The key, such as `server.bind_address`.
    pub key: &'static str,
    /// Its value; none: it is not set and has no default.
    pub value: Option<String>,
    /// Where the value came from, such as `/etc/danube/danube.toml:4`.
    pub origin: String,
}

/// Checks everything, or tells every mistake at once.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut layers = Layers::gather(sources)?;
    let repo = repo::check(&mut layers);
    let server = server::check(&mut layers);
    let executor = executor::check(&mut layers);
    let registry = registry::check(&mut layers);
    let log = log::check(&mut layers);
    let settings = layers.settings();
    match (repo, server, executor, registry, log, layers.into_problems()) {
        (Some(config_repo), Some(server), Some(executor), Some(registry), Some(log), problems)
            if problems.is_empty() =>
        {
            Ok(Config { config_repo, server, executor, registry, log, settings })
        }
        (_, _, _, _, _, problems) => Err(ConfigError::Invalid(problems)),
    }
}

/// Only what `danube executor` needs: it has no config repo. Mistakes elsewhere in the file still count.
pub fn load_executor(sources: &Sources) -> Result<(Executor, Log), ConfigError> {
    let mut layers = Layers::gather(sources)?;
    let executor = executor::check(&mut layers);
    let log = log::check(&mut layers);
    match (executor, log, layers.into_problems()) {
        (Some(executor), Some(log), problems) if problems.is_empty() => Ok((executor, log)),
        (_, _, problems) => Err(ConfigError::Invalid(problems)),
    }
}

#[cfg(test)]
mod tests;
