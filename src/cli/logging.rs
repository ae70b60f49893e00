//! The program's own log: text for people, JSON for machines.
use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging to standard error, once per process.
pub(super) fn start(log: &Log) {
    // Migrations are told by the store where they fail.
    let levels = format!("refinery_core=warn,{}", log.level);
    let filter = EnvFilter::try_new(levels).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    // A second start (tests in one process) keeps the first.
    let _kept = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

/// For commands without a configuration: `DANUBE_LOG`, else warnings.
pub(super) fn start_plain(default: &str) {
    let level = std::env::var("DANUBE_LOG").unwrap_or_else(|_| default.to_owned());
    start(&Log { format: LogFormat::Text, level });
}
