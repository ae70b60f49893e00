//! `[executor]`
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
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
    /// Directories of this machine in which jobs may name OCI layouts as images.
    pub image_dirs: Vec<PathBuf>,
    /// Bytes of all layers of images together, as far as no job needs them.
    pub images_max_bytes: u64,
    /// How long a layer that no job asks for stays.
    pub images_max_age: Duration,
    /// How long the workspace of a job that ended without success is kept; zero: not at all.
    pub keep_workspaces_for: Duration,
    /// Bytes of all kept workspaces together; zero: none is kept.
    pub keep_workspaces_bytes: u64,
    /// Bytes of the caches of all pipelines together; zero: nothing is stored.
    pub caches_max_bytes: u64,
    /// Bytes of the caches of one pipeline.
    pub pipeline_caches_max_bytes: u64,
    /// Who is asked for names that jobs may reach; empty: the nameservers of the machine's /etc/resolv.conf.
    pub dns: Vec<SocketAddr>,
    /// The network from which the links of jobs get their addresses, an IPv4 /19 or larger.
    pub egress_pool: String,
    /// IPv4 networks that are not the internet's and that names may lead jobs to all the same.
    pub egress_private: Vec<String>,
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
    let dir = "absolute paths such as \"/srv/images\"";
    let image_dirs = layers.list("executor.image_dirs", dir, |text| {
        let path = PathBuf::from(text);
        (path.is_absolute() && path != Path::new("/")).then_some(path)
    });
    let size = "a size such as \"20GiB\", or \"0\" to keep none";
    let images_max_bytes = layers.required("executor.images_max_bytes", size, size_or_none);
    let images_max_age = layers.required("executor.images_max_age", "a time such as \"30d\"", parse_duration);
    let time = "a time such as \"24h\", at most 30d, or \"0\" to keep none";
    let keep_for = layers.required("executor.keep_workspaces_for", time, |text| match text {
        "0" => Some(Duration::ZERO),
        text => parse_duration(text).filter(|time| *time <= LONGEST_KEPT),
    });
    let size = "a size such as \"5GiB\", or \"0\" to keep none";
    let keep_bytes = layers.required("executor.keep_workspaces_bytes", size, size_or_none);
    let caches_max_bytes = layers.required("executor.caches_max_bytes", size, size_or_none);
    let pipeline_caches_max_bytes = layers.required("executor.pipeline_caches_max_bytes", size, size_or_none);
    let dns = layers.list("executor.dns", "addresses such as \"10.0.0.53\" or \"10.0.0.53:5353\"", nameserver);
    let pool = "an IPv4 network of at least /19 that nothing else uses, such as \"198.19.64.0/19\"";
    let egress_pool = layers.required("executor.egress_pool", pool, |text| network(text, 19));
    let egress_private =
        layers.list("executor.egress_private", "IPv4 networks such as \"10.0.0.0/8\"", |text| network(text, 32));
    let limits = limits(layers);
    Some(Executor {
        kind: kind?,
        host_image: host_image?,
        coordinator_image: coordinator_image?,
        builder_image: builder_image?,
        allow: allow?,
        image_dirs: image_dirs?,
        images_max_bytes: images_max_bytes?,
        images_max_age: images_max_age?,
        keep_workspaces_for: keep_for?,
        keep_workspaces_bytes: keep_bytes?,
        caches_max_bytes: caches_max_bytes?,
        pipeline_caches_max_bytes: pipeline_caches_max_bytes?,
        dns: dns?,
        egress_pool: egress_pool?,
        egress_private: egress_private?,
        limits: limits?,
    })
}

fn size_or_none(text: &str) -> Option<u64> {
    if text == "0" { Some(0) } else { parse_size(text) }
}

fn nameserver(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some((text.parse::<IpAddr>().ok()?, 53).into()))
}

/// An IPv4 network, written with its length and with nothing behind that, with at most so many bits.
fn network(text: &str, most: u32) -> Option<String> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
    let behind = u32::MAX.checked_shr(bits).unwrap_or(0);
    (bits <= most && address.to_bits() & behind == 0).then(|| text.to_owned())
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
