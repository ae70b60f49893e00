//! Step attempts: started once, observed, signalled, and cleared away. The truth is the attempt's
//! directory: claimed, then `rec/started`, then `rec/exit`; the shim's lock says whether it lives.
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use danube_shim::overlay::{Overlay, Place};
use danube_shim::record::Records;
use danube_shim::start::{self, ContainerStart, Pattern, Ready, StartFile, StepStart};
use danube_shim::{control, frame};
use rustix::fs::FlockOperation;

use super::job::{io_error, make_dir, remove_tree};
use super::plan::{Bind, ContainerPlan, Sources, binds, host_binds, step_capabilities};
use super::policy::Ids;
use super::roots::Stacked;
use super::uids::Range;
use super::{Local, authorities, etc, rootless, sys, uids};
use crate::executor::{ExecutorError, Mask, Root, Signal, Space, StepAt, StepEnd, StepKind, StepSpec, StepState};
use crate::model::{JobId, Secret};
use crate::platform::fault;

/// How long a container that starts is waited for to tell it something.
const PATIENCE: Duration = Duration::from_secs(10);

/// Characters of a note.
const NOTE: usize = 1000;

impl Local {
    /// Starts an attempt unless it was started before.
    pub fn ensure_step(&self, at: StepAt, spec: StepSpec, log: File, index: File) -> Result<(), ExecutorError> {
        let lock = self.lock_of(at.job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.layout.step(at);
        if was_started(&dir) {
            return Ok(());
        }
        let ids = self.policy.check(&spec)?;
        let ids = if self.rootless { rootless::only_root(ids)? } else { ids };
        if !self.layout.ready(at.job).exists() {
            return Err(ExecutorError::Lost(format!("job {} has no workspace on this machine", at.job)));
        }
        if shim_lives(&dir) {
            return Err(ExecutorError::Lost(format!("attempt {at} is held by a shim that has not started it")));
        }
        let users = self.users_of(at.job)?;
        let layers = spec.pinned.as_ref().map(|pinned| self.layers_of(&spec.image, pinned)).transpose()?;
        let prepared = self.prepare(at, &spec, layers, users, ids);
        let (bundle, overlay) = prepared.map_err(|e| io_error("prepare the step's root", &e))?;
        let (overlay, namespace) = overlay.unzip();
        let start = self.frame(at, spec, ids, bundle, overlay)?;
        let mut files = vec![&start, &log, &index];
        files.extend(namespace.as_deref());
        self.launch(&dir, &files)
    }

    fn prepare(
        &self,
        at: StepAt,
        spec: &StepSpec,
        layers: Option<Vec<PathBuf>>,
        users: Range,
        ids: Ids,
    ) -> std::io::Result<(PathBuf, Stacked)> {
        let dir = self.layout.step(at);
        remove_tree(&dir)?;
        make_dir(&dir, 0o700)?;
        let records = dir.join("rec");
        make_dir(&records, 0o700)?;
        if let Some(ids) = self.shim_ids() {
            chown(&records, Some(ids.uid), Some(ids.gid))?;
        }
        let bundle = self.layout.roots(at.job).join(format!("{}.{}", at.step, at.attempt));
        remove_tree(&bundle)?;
        make_dir(&bundle, 0o711)?;
        let mut root = match layers {
            Some(layers) => self.roots.on_image(&bundle, spec.kind, layers, users)?,
            None => self.roots.on_host(&bundle, spec.kind, users)?,
        };
        let mut mounts = match spec.pinned {
            Some(_) => self.lent_shell(),
            None => host_binds(|p| p.exists()),
        };
        mounts.extend(binds(
            spec.kind,
            spec.build,
            &Sources {
                shim: &self.layout.shim(),
                sdk: &self.layout.sdk(),
                source: &self.layout.source(at.job),
                workspace: &self.layout.workspace(at.job),
                socket_dir: &self.layout.socket_dir(at.job),
            },
        ));
        if spec.kind == StepKind::Step {
            let caches = self.cache_binds(at.job, &spec.caches)?;
            root.make(caches.iter().filter_map(|bind| above(bind, users, ids)).collect())?;
            mounts.extend(caches);
            let shared = |(from, to): &(std::path::PathBuf, String)| Bind::shared(from, to);
            mounts.extend(self.policy.binds.iter().map(shared));
        }
        mounts.extend(etc::make(&bundle, &spec.hosts, spec.dns)?);
        let plan = ContainerPlan {
            users,
            rootfs: root.path,
            args: ["/danube/init", "init"]
                .map(str::to_owned)
                .into_iter()
                .chain(self.protections.init_arguments())
                .collect(),
            cwd: "/".to_owned(),
            hostname: match spec.kind {
                StepKind::Coordinator => "coordinator",
                StepKind::Step => "step",
                StepKind::Service => "service",
            }
            .to_owned(),
            cgroup: (!self.rootless).then(|| self.cgroups.path(&self.layout.cgroup(at))),
            limits: spec.limits,
            swap: self.cgroups.swap,
            root: if spec.kind == StepKind::Step { spec.root } else { Root::Writable },
            capabilities: match spec.kind {
                StepKind::Coordinator => Vec::new(),
                StepKind::Step | StepKind::Service => step_capabilities(&spec.caps),
            },
            binds: mounts,
            network: self.network_of(at.job, spec)?,
            seccomp: self.seccomp.clone(),
            protections: self.protections.clone(),
        };
        fault::around("executor.bundle", || fs::write(bundle.join("config.json"), plan.to_oci().to_string()))?;
        Ok((bundle, root.overlay))
    }

    /// The network that a container joins. Without a nameserver it has none to join.
    fn network_of(&self, job: JobId, spec: &StepSpec) -> std::io::Result<Option<std::path::PathBuf>> {
        let space = match (spec.kind, spec.service) {
            (StepKind::Coordinator, _) => return Ok(None),
            (StepKind::Service, number) => {
                Space::Service(number.ok_or_else(|| std::io::Error::other("a service needs a number"))?)
            }
            (StepKind::Step, _) if spec.network && spec.dns.is_some() => Space::Open,
            (StepKind::Step, _) => return Ok(self.netns(job, &Space::Quiet)),
        };
        match self.netns(job, &space) {
            Some(path) => Ok(Some(path)),
            None => Err(std::io::Error::other("the job's network is not there")),
        }
    }

    /// Whom a shim becomes; without root it stays who it is.
    fn shim_ids(&self) -> Option<start::Ids> {
        let uid = uids::shim_uid(&self.layout.instance);
        (!self.rootless).then_some(start::Ids { uid, gid: uid })
    }

    fn frame(
        &self,
        at: StepAt,
        spec: StepSpec,
        (uid, gid): Ids,
        bundle: PathBuf,
        overlay: Option<Overlay>,
    ) -> Result<File, ExecutorError> {
        let files = spec.files.into_iter().map(|f| {
            let content = decode(&f.content)?;
            Ok(StartFile { path: f.path.into(), content })
        });
        // Whom the step names comes before whom the image names.
        let user = spec.pinned.and_then(|pinned| pinned.user).filter(|_| uid.is_none() && gid.is_none());
        // A builder speaks to our registry before all others.
        let alone = spec.build.then(String::new);
        let start = StepStart {
            version: danube_shim::start::VERSION,
            bundle,
            container_id: self.layout.container(at),
            crun: super::crun::CRUN.into(),
            crun_root: self.layout.crun(),
            step_dir: self.layout.step(at),
            cgroups: self.cgroups.counters(&self.layout.cgroup(at)),
            hide_unified: self.cgroups.hide_unified,
            drop: self.shim_ids(),
            patterns: spec.masks.iter().map(pattern).collect::<Result<_, _>>()?,
            log_limit: spec.log_limit,
            capture_secret: spec.capture_secret,
            container: ContainerStart {
                argv: spec.argv,
                env: spec.env,
                files: files.collect::<Result<_, ExecutorError>>()?,
                workdir: if spec.workdir.is_empty() { "/".into() } else { spec.workdir.into() },
                uid,
                gid,
                user,
                ready: spec.ready.map(|check| Ready { argv: check.argv, address: check.address }),
                roots: spec.trust.as_ref().and_then(|_| authorities::bundle().or(alone)),
                trust: spec.trust,
            },
            notes: spec.notes,
            fault: fault::handed_on("shim"),
            overlay,
        };
        let bytes = frame::encode(&start).map_err(|e| ExecutorError::User(e.to_string()))?;
        sealed(&bytes).map_err(|e| io_error("hand the step to its shim", &e))
    }

    /// Starts the shim and waits until it has recorded the start, durably, or failed to.
    fn launch(&self, dir: &Path, files: &[&File]) -> Result<(), ExecutorError> {
        let what = "start the shim";
        let complaint = dir.join("shim.err");
        let stderr = File::create(&complaint).map_err(|e| io_error(what, &e))?;
        let mut command = Command::new(self.layout.shim());
        command.arg("step").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        sys::pass(&mut command, files).map_err(|e| io_error(what, &e))?;
        let mut child = command.spawn().map_err(|e| io_error(what, &e))?;
        drop(command);
        loop {
            if was_started(dir) {
                reap(child);
                return Ok(());
            }
            if let Some(status) = child.try_wait().map_err(|e| io_error(what, &e))? {
                if was_started(dir) {
                    return Ok(());
                }
                let said = fs::read_to_string(&complaint).unwrap_or_default();
                return Err(ExecutorError::Start(format!("the shim ended with {status}: {}", said.trim())));
            }
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Waits until a service answers; false where it has ended, or was never started.
    pub fn ready(&self, at: StepAt) -> Result<bool, ExecutorError> {
        let dir = self.layout.step(at);
        loop {
            let Ok(records) = Records::open(&dir) else { return Ok(false) };
            if records.is_ready() {
                return Ok(true);
            }
            // Whether it lives is looked at first: it may answer, and end, in between.
            if !shim_lives(&dir) {
                return Ok(records.is_ready());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until the attempt has ended, or is known to be lost or never started.
    pub fn observe(self: &Arc<Self>, at: StepAt) -> Result<StepState, ExecutorError> {
        let dir = self.layout.step(at);
        loop {
            let records = match Records::open(&dir) {
                Ok(records) => records,
                Err(_) if !dir.join("rec").exists() => return Ok(StepState::NotStarted),
                Err(error) => return Err(ExecutorError::Start(error.to_string())),
            };
            let lives = shim_lives(&dir);
            let read = |e: danube_shim::record::RecordError| ExecutorError::Lost(e.to_string());
            if let Some(exit) = records.exit().map_err(read)? {
                // With the container's first process all of it ended; where a start was cut short, something may
                // be left. The end is told when nothing is.
                if !self.rootless || exit.error.is_some() {
                    self.end_rest_of(at)?;
                }
                self.clear_later(at);
                return Ok(StepState::Ended(StepEnd {
                    exit_code: exit.exit_code,
                    oom_kills: exit.oom_kills,
                    pids_refused: exit.pids_refused,
                    full: self.was_full(at),
                    log_overflow: records.overflowed(),
                    log_truncated: exit.log_truncated,
                    log_bytes: exit.log_bytes,
                    started_ns: exit.started_ns,
                    ended_ns: exit.ended_ns,
                    error: exit.error,
                }));
            }
            let started = records.started().map_err(read)?;
            match started {
                None if !lives => return Ok(StepState::NotStarted),
                Some(_) if !lives => {
                    self.end_rest_of(at)?;
                    self.clear(at);
                    return Ok(StepState::Lost);
                }
                Some(started) => {
                    if records.overflowed() || records.disk_was_full() {
                        self.kill_attempt(at);
                    }
                    wait_for_end(started.pid);
                }
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// `clear` without making anybody wait for it: the end is told meanwhile. What a crash leaves half done,
    /// the job's own end removes.
    fn clear_later(self: &Arc<Self>, at: StepAt) {
        let this = Arc::clone(self);
        let thread = std::thread::Builder::new().name("clear".to_owned()).stack_size(256 << 10);
        let Ok(thread) = thread.spawn(move || this.clear(at)) else { return self.clear(at) };
        let mut clearing = self.clearing.lock().unwrap_or_else(PoisonError::into_inner);
        let threads = clearing.entry(at.job).or_default();
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
    }

    /// Waits until nothing of a job is being cleared.
    pub(super) fn wait_for_clearing(&self, job: JobId) {
        let threads = self.clearing.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        for thread in threads.into_iter().flatten() {
            if thread.join().is_err() {
                tracing::error!(%job, "a step's rest could not be cleared");
            }
        }
    }

    /// Removes what an ended attempt no longer needs; its records stay until the job goes.
    pub(super) fn clear(&self, at: StepAt) {
        // Nothing of it lives: crun has nothing to do but to forget it.
        self.crun_forget(&self.layout.container(at));
        self.cgroups.remove(&self.layout.cgroup(at));
        let bundle = self.layout.roots(at.job).join(format!("{}.{}", at.step, at.attempt));
        if let Err(error) = remove_tree(&bundle) {
            tracing::warn!(attempt = %at, %error, "a step's root could not be removed");
        }
    }

    /// Asks the attempt to end, or ends it and waits until it has.
    pub fn signal(&self, at: StepAt, signal: Signal) -> Result<(), ExecutorError> {
        let dir = self.layout.step(at);
        match signal {
            Signal::Term => {
                // A container that is just about to start would not hear it.
                let limit = Instant::now() + PATIENCE;
                while shim_lives(&dir) && !self.ask_to_end(at) && Instant::now() < limit {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(())
            }
            Signal::Kill => self.end_attempt(at),
        }
    }

    /// Waits until an attempt's shim has ended, at most `limit`; false where it lives on.
    pub(super) fn wait_for_shim(&self, at: StepAt, limit: Duration) -> bool {
        let dir = self.layout.step(at);
        let end = Instant::now() + limit;
        while shim_lives(&dir) {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    /// Redacts further values in every living attempt of the job.
    pub fn add_mask(&self, job: JobId, masks: &[Mask]) -> Result<(), ExecutorError> {
        let patterns: Vec<Pattern> = masks.iter().map(pattern).collect::<Result<_, _>>()?;
        for at in self.attempts(job) {
            let dir = self.layout.step(at);
            if let Err(error) = tell(&dir, patterns.clone())
                && shim_lives(&dir)
            {
                return Err(ExecutorError::Start(format!("attempt {at} could not be told what to redact: {error}")));
            }
        }
        Ok(())
    }

    /// Writes a line of danube's own into the log of an attempt that lives.
    pub fn note(&self, at: StepAt, line: &str) -> Result<(), ExecutorError> {
        let dir = self.layout.step(at);
        let line: String = line.chars().filter(|c| !c.is_control()).take(NOTE).collect();
        match control::ask(&dir, &control::Request::Note(line), Duration::from_secs(10)) {
            Err(error) if shim_lives(&dir) => {
                Err(ExecutorError::Start(format!("attempt {at} could not be told: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// What a step wrote with `capture_secret`.
    pub fn captured(&self, at: StepAt) -> Result<Secret<Vec<u8>>, ExecutorError> {
        let lost = || ExecutorError::Lost(format!("attempt {at} captured nothing"));
        let records = Records::open(&self.layout.step(at)).map_err(|_| lost())?;
        records.captured().ok().flatten().map(Secret::new).ok_or_else(lost)
    }

    /// Some attempt of some job has a living shim.
    pub(crate) fn any_step_lives(&self) -> bool {
        let jobs = self.list().unwrap_or_default();
        jobs.into_iter().flat_map(|job| self.attempts(job)).any(|at| shim_lives(&self.layout.step(at)))
    }
}

/// The directory above a mount: what has to be made of it is the step's, who may write beside what is mounted.
fn above(bind: &Bind, users: Range, (uid, gid): Ids) -> Option<Place> {
    let (uid, gid) = (users.host(uid?), users.host(gid.unwrap_or(0)));
    Some(Place { path: Path::new(&bind.to).parent()?.to_owned(), uid, gid })
}

pub(super) fn was_started(dir: &Path) -> bool {
    dir.join("rec").join("started").exists()
}

/// The shim holds its lock as long as it lives, whoever started it.
pub(super) fn shim_lives(dir: &Path) -> bool {
    let lock = match File::open(dir.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
        // Out of descriptors, for example: what can't be looked at is not dead.
        Err(_) => return true,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared)).is_err()
}

/// Waits for a process to end, but not long.
fn wait_for_end(pid: u32) {
    let pidfd = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    let Some(pidfd) = pidfd else { return std::thread::sleep(Duration::from_millis(1)) };
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    // An early return only means an early look.
    let _looked = rustix::event::poll(&mut fds, Some(&limit));
}

/// Collects a shim when it ends; it does not need us for anything else.
fn reap(mut child: Child) {
    let waiting = std::thread::Builder::new().name("reap".to_owned()).stack_size(64 << 10).spawn(move || child.wait());
    if let Err(error) = waiting {
        tracing::warn!(%error, "a shim will stay a zombie until the executor ends");
    }
}

fn tell(dir: &Path, mask: Vec<Pattern>) -> std::io::Result<()> {
    let reply = control::ask(dir, &control::Request::Mask(mask), Duration::from_secs(10))?;
    if reply.ok { Ok(()) } else { Err(std::io::Error::other(reply.error.unwrap_or_default())) }
}

fn pattern(mask: &Mask) -> Result<Pattern, ExecutorError> {
    Ok(Pattern { name: mask.name.clone(), value: decode(&mask.value)? })
}

fn decode(text: &str) -> Result<Vec<u8>, ExecutorError> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|_| ExecutorError::User("a value is not base64".to_owned()))
}

/// The bytes as a file without a name, readable from its start, that nobody can change.
fn sealed(bytes: &[u8]) -> std::io::Result<File> {
    use rustix::fs::{MemfdFlags, SealFlags};
    let fd = rustix::fs::memfd_create("step", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    rustix::fs::fcntl_add_seals(
        file.as_fd(),
        SealFlags::SEAL | SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK,
    )?;
    std::io::Seek::rewind(&mut file)?;
    Ok(file)
}
