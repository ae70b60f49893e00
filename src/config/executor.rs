//! `[executor]`
use std::time::Duration;

use super::layers::Layers;
use super::units::{parse_duration, parse_size};

/// The longest that a workspace is kept.
const LONGEST_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// What runs containers, and what they may use.
#[derive(Debug, Clone, PartialEq)]
pub struct Executor {
    /// Which one.
    pub kind: ExecutorKind,
    /// Steps may use the tools of the machine (`image="host"`).
    pub host_image: bool,
    /// The image of coordinators: `host`, or `oci:` and the path of a layout.
    pub coordinator_image: String,
    /// The image in which `images.build` builds.
    pub builder_image: String,
    /// Capabilities beyond the usual that pipelines may ask for, such as `SETFCAP`.
    pub allow: Vec<String>,
    /// How long the workspace of a job that ended without success is kept; zero: not at all.
    pub keep_workspaces_for: Duration,
    /// Bytes of all kept workspaces together; zero: none is kept.
    pub keep_workspaces_bytes: u64,
    /// The ceiling of every job.
    pub limits: Limits,
}

/// What runs containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecutorKind {
    /// The embedded one.
    Local,
    /// A cluster.
    Kubernetes,
}

/// The ceiling of every job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Of one step's log, bytes.
    pub max_log_bytes: u64,
    /// Of one artifact, bytes.
    pub max_artifact_bytes: u64,
    /// Processors, parts allowed.
    pub cpu: f64,
    /// Bytes.
    pub memory: u64,
    /// Processes and threads.
    pub pids: u32,
}

pub(super) fn check(layers: &mut Layers) -> Option<Executor> {
    let kind = layers.required("executor.kind", "\"local\" or \"kubernetes\"", |text| match text {
        "local" => Some(ExecutorKind::Local),
        "kubernetes" => Some(ExecutorKind::Kubernetes),
        _ => None,
    });
    let host_image = layers.required("executor.host_image", "true or false", |text| text.parse::<bool>().ok());
    let image = "\"host\", or \"oci:\" and the absolute path of a directory that `make coordinator-image` made";
    let coordinator_image = layers.required("executor.coordinator_image", image, |text| {
        (text == "host" || text.starts_with("oci:/")).then(|| text.to_owned())
    });
    let reference = "the name of an image, such as \"registry.example.com/kaniko:1\"";
    let builder_image = layers.required("executor.builder_image", reference, |text| {
        (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_owned())
    });
    let allow = layers.list("executor.allow", "names of capabilities such as \"SETFCAP\"", capability);
    let time = "a time such as \"24h\", at most 30d, or \"0\" to keep none";
    let keep_for = layers.required("executor.keep_workspaces_for", time, |text| match text {
        "0" => Some(Duration::ZERO),
        text => parse_duration(text).filter(|time| *time <= LONGEST_KEPT),
    });
    let size = "a size such as \"5GiB\", or \"0\" to keep none";
    let keep_bytes = layers.required("executor.keep_workspaces_bytes", size, |text| match text {
        "0" => Some(0),
        text => parse_size(text),
    });
    let limits = limits(layers);
    Some(Executor {
        kind: kind?,
        host_image: host_image?,
        coordinator_image: coordinator_image?,
        builder_image: builder_image?,
        allow: allow?,
        keep_workspaces_for: keep_for?,
        keep_workspaces_bytes: keep_bytes?,
        limits: limits?,
    })
}

impl Executor {
    /// The directory of the coordinators' image, where it is one.
    pub fn coordinator_layout(&self) -> Option<&std::path::Path> {
        self.coordinator_image.strip_prefix("oci:").map(std::path::Path::new)
    }
}

fn capability(text: &str) -> Option<String> {
    let name = text.strip_prefix("CAP_").unwrap_or(text);
    let good = (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    good.then(|| name.to_owned())
}

fn limits(layers: &mut Layers) -> Option<Limits> {
    let size = "a size such as \"1GiB\", at least 1MiB";
    let bytes = |text: &str| parse_size(text).filter(|bytes| *bytes >= 1 << 20);
    let max_log_bytes = layers.required("executor.limits.max_log_bytes", size, bytes);
    let max_artifact_bytes = layers.required("executor.limits.max_artifact_bytes", size, bytes);
    let cpus = |text: &str| text.parse::<f64>().ok().filter(|cpus| (0.1..=1024.0).contains(cpus));
    let cpu = layers.required("executor.limits.cpu", "a number of processors from 0.1 to 1024", cpus);
    let enough = |text: &str| parse_size(text).filter(|bytes| *bytes >= 16 << 20);
    let memory = layers.required("executor.limits.memory", "a size such as \"2GiB\", at least 16MiB", enough);
    let some = |text: &str| text.parse::<u32>().ok().filter(|pids| (16..=4_194_304).contains(pids));
    let pids = layers.required("executor.limits.pids", "a number of processes from 16 to 4194304", some);
    Some(Limits {
        max_log_bytes: max_log_bytes?,
        max_artifact_bytes: max_artifact_bytes?,
        cpu: cpu?,
        memory: memory?,
        pids: pids?,
    })
}
