//! Whole lives of jobs, with the real store and a fake executor.
use std::collections::BTreeMap;

use super::*;

/// A plain step.
pub(crate) fn request(command: &str) -> StepRequest {
    StepRequest {
        command: command.to_owned(),
        name: String::new(),
        image: String::new(),
        env: BTreeMap::new(),
        files: BTreeMap::new(),
        workdir: String::new(),
        retry: Retry::default(),
        timeout: None,
        capture: Capture::No,
        once: false,
        user: None,
        root: Root::Writable,
        cpu: 0.0,
        memory_bytes: 0,
        network: true,
        allow_failure: false,
        caches: Vec::new(),
        caps: Vec::new(),
        build: None,
    }
}

mod artifacts;
mod calls;
mod cancels;
mod endings;
pub(crate) mod fake;
mod images;
mod leftovers;
mod reports;
mod restarts;
mod reuse;
mod running;
mod services;
mod silence;
pub(crate) mod world;
