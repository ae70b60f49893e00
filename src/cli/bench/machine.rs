//! Where the figures were taken.
use std::fs;

use serde::Serialize;

/// The machine, as far as figures depend on it.
#[derive(Debug, Serialize)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) cpu: String,
    /// Processors that may be used.
    pub(super) cpus: usize,
    /// Memory in bytes.
    pub(super) memory: u64,
    /// The kernel's release.
    pub(super) kernel: String,
    /// How many processes wanted to run in the last minute: others disturb figures.
    pub(super) load: f64,
    /// The build that was measured.
    pub(super) build: &'static str,
}

impl Machine {
    /// This one, now.
    pub(super) fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |path: &str, name: &str| {
            let text = text(path);
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kilobytes = field("/proc/meminfo", "MemTotal");
        Self {
            cpu: field("/proc/cpuinfo", "model name"),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            memory: kilobytes.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 1024,
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: text("/proc/loadavg").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
        }
    }
}
