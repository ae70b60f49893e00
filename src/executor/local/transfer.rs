//! Data into and out of a workspace, by a helper container in the job's own user namespace: neither
//! the master nor the executor ever opens a path that a job made.
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};

use super::job::{io_error, remove_tree};
use super::plan::{Bind, ContainerPlan, host_binds, step_capabilities, workspace};
use super::{Local, rootfs};
use crate::executor::{ExecutorError, Limits, Root, StepKind};
use crate::model::JobId;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// Generous for git on a large repository, and still a bound.
const LIMITS: Limits = Limits { cpu: 0.0, memory_bytes: 2 << 30, pids: 128 };

/// The most of a helper's complaint that is passed on.
const MAX_COMPLAINT: u64 = 4096;

impl Local {
    /// Writes workspace and source of a new job from the master's stream.
    pub(super) fn checkout(&self, job: JobId, source: File) -> Result<(), ExecutorError> {
        let target = Bind { to: "/danube/source".to_owned(), ..workspace(&self.layout.source(job)) };
        self.helper(job, &["checkout"], source.into(), Stdio::null(), vec![target])
    }

    /// Writes the source alone, beside a workspace that an earlier job left.
    pub(super) fn checkout_beside(&self, job: JobId, source: File) -> Result<(), ExecutorError> {
        let place = self.layout.source(job);
        self.helper_in(job, &place, &["checkout"], source.into(), Stdio::null(), Vec::new())?;
        // The coordinator sees files and no repository.
        remove_tree(&place.join(".git")).map_err(|e| io_error("remove what a checkout leaves", &e))
    }

    /// Streams a file or directory of the workspace into `sink`.
    pub fn export(&self, job: JobId, path: &str, sink: File) -> Result<(), ExecutorError> {
        self.helper(job, &["export", path], Stdio::null(), sink.into(), Vec::new())
    }

    /// Streams every file that a pattern names into `sink`.
    pub fn collect(&self, job: JobId, pattern: &str, sink: File) -> Result<(), ExecutorError> {
        self.helper(job, &["collect", pattern], Stdio::null(), sink.into(), Vec::new())
    }

    /// Writes a stream below `dest` in the workspace.
    pub fn import(&self, job: JobId, dest: &str, source: File) -> Result<(), ExecutorError> {
        self.helper(job, &["import", dest], source.into(), Stdio::null(), Vec::new())
    }

    fn helper(
        &self,
        job: JobId,
        args: &[&str],
        stdin: Stdio,
        stdout: Stdio,
        more: Vec<Bind>,
    ) -> Result<(), ExecutorError> {
        self.helper_in(job, &self.layout.workspace(job), args, stdin, stdout, more)
    }

    /// The same in another directory of the job than its workspace.
    fn helper_in(
        &self,
        job: JobId,
        place: &Path,
        args: &[&str],
        stdin: Stdio,
        stdout: Stdio,
        more: Vec<Bind>,
    ) -> Result<(), ExecutorError> {
        self.helper_said(job, place, args, stdin, stdout, more).map(drop)
    }

    /// The same; gives what a helper that did well has to remark.
    pub(super) fn helper_said(
        &self,
        job: JobId,
        place: &Path,
        args: &[&str],
        stdin: Stdio,
        stdout: Stdio,
        more: Vec<Bind>,
    ) -> Result<String, ExecutorError> {
        if args.iter().any(|a| a.contains('\0') || a.len() > 4096) {
            return Err(ExecutorError::User("a path must not contain NUL or be longer than 4096 bytes".to_owned()));
        }
        let users = self.users_of(job)?;
        let name = format!("h{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let bundle = self.layout.roots(job).join(&name);
        super::job::make_dir(&bundle, 0o711).map_err(|e| io_error("make a helper", &e))?;
        // Nothing of it is written to: one root is enough for all. What a test leaves out may need further places.
        let kind = if more.is_empty() { StepKind::Step } else { StepKind::Coordinator };
        let shared = self.protections.missing().is_empty();
        let root = if shared { self.roots.host(kind) } else { bundle.join("rootfs") };
        if !shared {
            rootfs::make(&root, users, kind).map_err(|e| io_error("make a helper's root", &e))?;
        }
        let mut binds = match &self.tools {
            Some(usr) => vec![Bind { writable: false, to: "/usr".to_owned(), ..workspace(usr) }],
            None => host_binds(|p| p.exists()),
        };
        binds.push(Bind { writable: false, to: "/danube/init".to_owned(), ..workspace(&self.layout.shim()) });
        binds.push(workspace(place));
        binds.extend(more);
        let container = format!("danube-{}-{job}-{name}", self.layout.instance);
        let cgroup = format!("/danube-{}/{job}/{name}", self.layout.instance);
        let plan = ContainerPlan {
            users,
            rootfs: root,
            args: ["/danube/init", "helper"]
                .map(str::to_owned)
                .into_iter()
                .chain(self.protections.helper_arguments())
                .chain(args.iter().map(ToString::to_string))
                .collect(),
            cwd: "/workspace".to_owned(),
            hostname: "helper".to_owned(),
            cgroup: (!self.rootless).then(|| self.cgroups.path(&cgroup)),
            limits: LIMITS,
            swap: self.cgroups.swap,
            root: if shared { Root::Readonly } else { Root::Writable },
            capabilities: step_capabilities(&[]),
            binds,
            network: None,
            seccomp: self.seccomp.clone(),
            protections: self.protections.clone(),
        };
        let result = fs::write(bundle.join("config.json"), plan.to_oci().to_string())
            .map_err(|e| io_error("write a helper's plan", &e))
            .and_then(|()| self.run_helper(&bundle, &container, stdin, stdout));
        self.crun_delete(&container);
        self.cgroups.remove(&cgroup);
        remove_tree(&bundle).map_err(|e| io_error("remove a helper", &e))?;
        result
    }

    fn run_helper(&self, bundle: &Path, container: &str, stdin: Stdio, stdout: Stdio) -> Result<String, ExecutorError> {
        let mut command = self.crun();
        command.arg("run").arg("-b").arg(bundle).arg(container).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| io_error("run crun", &e))?;
        // The command held copies of the stream's ends: they must close with the helper.
        drop(command);
        let mut complaint = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            // What is longer is read and dropped, so that the helper never blocks on it.
            let mut stderr = stderr;
            let _short = (&mut stderr).take(MAX_COMPLAINT).read_to_end(&mut complaint);
            let _rest = std::io::copy(&mut stderr, &mut std::io::sink());
        }
        let status = child.wait().map_err(|e| io_error("wait for a helper", &e))?;
        let complaint = String::from_utf8_lossy(&complaint).trim().to_owned();
        match status.code() {
            Some(0) => Ok(complaint),
            Some(1) if complaint.contains("No space left") => Err(ExecutorError::OutOfSpace(complaint)),
            Some(1) if !complaint.is_empty() => Err(ExecutorError::User(complaint)),
            code => Err(ExecutorError::Start(format!("a workspace helper ended with {code:?}: {complaint}"))),
        }
    }
}
