//! `[log]`
use tracing_subscriber::EnvFilter;

use super::layers::Layers;

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Levels, such as `info` or `info,danube::queue=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The journal's under systemd, coloured on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

pub(super) fn check(layers: &mut Layers) -> Option<Log> {
    let format = layers.required("log.format", "\"auto\", \"text\" or \"json\"", |text| match text {
        "auto" => Some(LogFormat::Auto),
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    });
    let levels = "error, warn, info, debug or trace, also by module as in info,danube::queue=debug";
    let filter = |text: &str| {
        (!text.is_empty() && EnvFilter::try_new(text).is_ok() && known_levels(text)).then(|| text.to_owned())
    };
    let level = layers.required("log.level", levels, filter);
    Some(Log { format: format?, level: level? })
}

/// A mistyped level would be taken for the name of a module, and everything would be silent.
fn known_levels(text: &str) -> bool {
    let level = |word: &str| {
        matches!(word.to_ascii_lowercase().as_str(), "off" | "error" | "warn" | "info" | "debug" | "trace")
    };
    text.split(',').all(|part| part.rsplit_once('=').map_or_else(|| level(part.trim()), |(_, word)| level(word.trim())))
}
