//! What the master asks an executor for: plain values, the same on the wire and for every executor.
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::CacheMount;
use crate::model::JobId;

/// One attempt of one step. Step 0 is the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepAt {
    /// The job.
    pub job: JobId,
    /// The step's number within the job.
    pub step: u32,
    /// The attempt at the step, from 1.
    pub attempt: u32,
}

impl std::fmt::Display for StepAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}.{}", self.job, self.step, self.attempt)
    }
}

/// A job's workspace and bounds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job.
    pub job: JobId,
    /// The size of its workspace, in bytes.
    pub workspace_bytes: u64,
    /// It goes on in the workspace that this job left (`Executor::keep`), which is that job's no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<JobId>,
}

/// Where the master finds what the executor made for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobPlace {
    /// A directory of the master's own; the job's gRPC socket goes into it as `rpc.sock`.
    pub socket_dir: PathBuf,
    /// What holds the job to the size of its workspace; none: nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<SpaceLimit>,
}

/// What holds a job to the size of its workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpaceLimit {
    /// The file system refuses what is more.
    Quota,
    /// Its files are looked after about once a second, and its steps ended.
    Watch,
}

/// What a job had too much of on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Full {
    /// Bytes.
    Bytes,
    /// Files and directories.
    Files,
}

/// The files and directories that a workspace of this size may hold: one for each 8 KiB.
pub const fn inodes_of(workspace_bytes: u64) -> u64 {
    workspace_bytes >> 13
}

/// What kind of container a step attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The danubefile: sees its checkout, the SDK and the job's socket, not the workspace.
    Coordinator,
    /// A command: sees the workspace, never the socket.
    Step,
    /// Runs beside steps: the image's own program, neither workspace nor socket.
    Service,
}

/// What tells that a service answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyCheck {
    /// Run in the service's container until it succeeds; empty: a connection is tried.
    pub argv: Vec<String>,
    /// Where to: `10.0.0.1:5432`.
    pub address: String,
}

/// Bounds of one container.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Cores; 0: no bound of its own.
    pub cpu: f64,
    /// Bytes.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
}

/// The root file system of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Root {
    /// Private and writable, thrown away after the attempt.
    Writable,
    /// Private and read-only but for /tmp.
    Readonly,
}

/// A value that must not show in output. No `Debug`: it is the secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct Mask {
    /// Shown in place of the value.
    pub name: String,
    /// base64 of the value.
    pub value: String,
}

/// A file made for one step attempt, on a tmpfs. No `Debug`: it may hold a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct FileSpec {
    /// Where the step sees it.
    pub path: String,
    /// base64 of its content.
    pub content: String,
}

/// A line of a container's `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// Where the names lead: an address within the job.
    pub address: Ipv4Addr,
    /// At least one.
    pub names: Vec<String>,
}

/// One of a job's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// Of steps with a network: filtered, linked to the world by `Executor::connect`.
    Open,
    /// Of steps without one, where something of the job's listens all the same. Never linked.
    Quiet,
    /// Of the service with this number.
    Service(u8),
}

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// Streams; it listens.
    Tcp,
}

/// How a service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceNet {
    /// Its address, for steps with a network and other services.
    pub address: Ipv4Addr,
    /// Where it asks for names: `Executor::listen` there, in the open network, and give it as its `dns`.
    pub dns: Ipv4Addr,
}

/// One container. No `Debug`: environment and files may hold secrets.
#[derive(Clone, Serialize, Deserialize)]
pub struct StepSpec {
    /// Coordinator or step.
    pub kind: StepKind,
    /// `host`, or an OCI reference.
    pub image: String,
    /// What `image` is; none: the pseudo-image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<super::Pinned>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Files on the attempt's tmpfs.
    pub files: Vec<FileSpec>,
    /// Where it starts.
    pub workdir: String,
    /// A numeric uid, or `uid:gid`; none: the image's user.
    pub user: Option<String>,
    /// Its bounds.
    pub limits: Limits,
    /// Capabilities that its root has beside the usual ones, such as `SETFCAP`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Its root.
    pub root: Root,
    /// It asks for the network.
    pub network: bool,
    /// Where it asks for names, in a network of its job; none: nowhere, and it has no network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Ipv4Addr>,
    /// Names that it finds without asking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostEntry>,
    /// It is the job's service of this number, in a network of its own (`Executor::attach_service`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<u8>,
    /// Of a service: what `Executor::ready` waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<ReadyCheck>,
    /// What must not show in its output.
    pub masks: Vec<Mask>,
    /// Bytes of output that are kept; beyond, the step is ended.
    pub log_limit: u64,
    /// stdout is kept for `captured` and not logged.
    pub capture_secret: bool,
    /// Lines of danube's own at the head of the log.
    pub notes: Vec<String>,
    /// Caches that were filled before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheMount>,
    /// An authority that it trusts beside those of its image, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// It builds an image: the workspace lies at `/danube/context`, where no image has anything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub build: bool,
}

/// How a step attempt is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// Politely: SIGTERM to every process.
    Term,
    /// Surely.
    Kill,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepEnd {
    /// The exit code; 128 + signal where one ended it.
    pub exit_code: i32,
    /// Processes that the memory limit killed.
    pub oom_kills: u64,
    /// How often it was refused a new process, because it had as many as it may.
    #[serde(default)]
    pub pids_refused: u64,
    /// It was ended for what its job has on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<Full>,
    /// It wrote more than `log_limit`.
    pub log_overflow: bool,
    /// Bytes of its log could not be stored (disk full).
    pub log_truncated: bool,
    /// Bytes in its log.
    pub log_bytes: u64,
    /// Nanoseconds since 1970.
    pub started_ns: i64,
    /// Nanoseconds since 1970.
    pub ended_ns: i64,
    /// Why it could not be started, where it could not.
    pub error: Option<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum StepState {
    /// Nothing was started: it may be.
    NotStarted,
    /// It ended.
    Ended(StepEnd),
    /// It was started and nothing knows its end (the machine went down, or its shim was killed).
    Lost,
}

/// What an executor can do here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// `local`, `kubernetes`.
    pub kind: String,
    /// Its version.
    pub version: String,
    /// One line for each protection that can't be had here, with the reason.
    pub not_enforced: Vec<String>,
    /// What of this machine is in the way of jobs, one line each, with what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// It makes networks for steps, with a filter by names.
    #[serde(default)]
    pub networks: bool,
    /// The pseudo-image `host` is offered.
    pub host_image: bool,
    /// Capabilities that a step may ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}
