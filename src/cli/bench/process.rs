//! What a process costs, as the kernel counts it.
use std::fs;
use std::time::Duration;

use anyhow::Context;

/// A process that is watched. The kernel tells its times in hundredths of a second.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(pub(super) u32);

/// Processor time so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cpu {
    /// Of the process itself.
    pub(super) own: Duration,
    /// Of its children that have ended: git, crun, rm.
    pub(super) children: Duration,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    /// Its share of memory, in bytes.
    pub(super) pss: u64,
    /// Open descriptors.
    pub(super) descriptors: u64,
    /// Threads.
    pub(super) threads: u64,
}

impl Process {
    /// Its processor time so far.
    pub(super) fn cpu(self) -> anyhow::Result<Cpu> {
        let text = self.read("stat")?;
        // The name in parentheses may hold anything.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_ascii_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        let time = |ticks: u64| Duration::from_millis(ticks * 10);
        Ok(Cpu { own: time(ticks(11) + ticks(12)), children: time(ticks(13) + ticks(14)) })
    }

    /// Its share of memory, in bytes.
    pub(super) fn pss(self) -> anyhow::Result<u64> {
        let text = self.read("smaps_rollup")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("the kernel tells no PSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kilobytes * 1024)
    }

    /// What it holds now.
    pub(super) fn held(self) -> anyhow::Result<Held> {
        let count = |name: &str| fs::read_dir(self.path(name)).map_or(0, |entries| entries.count() as u64);
        Ok(Held { pss: self.pss()?, descriptors: count("fd"), threads: count("task") })
    }

    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    fn read(self, name: &str) -> anyhow::Result<String> {
        let path = self.path(name);
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_threads_and_descriptors() {
        let held = Process(std::process::id()).held().unwrap();
        assert!(held.pss > 100_000 && held.threads > 0 && held.descriptors > 2, "{held:?}");
        Process(std::process::id()).cpu().unwrap();
    }
}
