//! An executor of a test's own, and the stream that a checkout is made from.
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use danube::executor::remote::Client;
use danube::executor::{
    Executor, ExecutorError, JobSpec, Limits, Mask, Root, StepAt, StepEnd, StepKind, StepSpec, StepState,
};
use danube::model::JobId;
use danube::platform::{Ids, SystemIds};
use danube_shim::transfer::Checkout;

use super::repo::{git, repository};
use super::{danube, shim};

/// An executor of its own, gone when dropped.
pub(crate) struct Box {
    pub(crate) child: Child,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) run: PathBuf,
    pub(crate) client: Client,
}

impl Box {
    pub(crate) fn start() -> Self {
        Self::serving(0)
    }

    /// Started with further arguments.
    pub(crate) fn with(more: &[&str]) -> Self {
        Self::made(0, more)
    }

    /// For a master of this uid.
    pub(crate) fn serving(master_uid: u32) -> Self {
        Self::made(master_uid, &[])
    }

    fn made(master_uid: u32, more: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("it-").tempdir().unwrap();
        fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let mut bytes = [0; 4];
        SystemIds::new().fill(&mut bytes);
        let instance = hex::encode(bytes);
        let run = Path::new("/run/danube").join(&instance);
        let child = spawn_with(dir.path(), &run, &instance, master_uid, more);
        let client = Client::new(&run.join("executor.sock"));
        Self { child, dir, run, client }
    }

    /// Kills the executor and starts another in its place.
    pub(crate) fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let instance = self.run.file_name().unwrap().to_string_lossy().into_owned();
        self.child = spawn(self.dir.path(), &self.run, &instance, 0);
    }

    pub(crate) fn at(&self, job: JobId, step: u32) -> StepAt {
        StepAt { job, step, attempt: 1 }
    }

    pub(crate) async fn job(&self) -> JobId {
        self.job_after(None).await.expect("the job's place is made")
    }

    /// A job that goes on in the workspace of another.
    pub(crate) async fn job_after(&self, adopt: Option<JobId>) -> Result<JobId, ExecutorError> {
        self.made_job(1 << 30, adopt).await
    }

    /// A job whose workspace has this size.
    pub(crate) async fn job_of(&self, workspace_bytes: u64) -> JobId {
        self.made_job(workspace_bytes, None).await.expect("the job's place is made")
    }

    async fn made_job(&self, workspace_bytes: u64, adopt: Option<JobId>) -> Result<JobId, ExecutorError> {
        let job = JobId::from_uuid(SystemIds::new().uuid());
        let repo = self.dir.path().join(format!("repo-{job}"));
        let commit = repository(&repo, &[("danubefile.py", "print(1)\n"), ("src/a.txt", "a\n")]);
        let spec = JobSpec { job, workspace_bytes, adopt };
        self.client.ensure_job(spec, source(&repo, &commit)).await.map(|_| job)
    }

    /// Runs a command to its end; what became of it and its log.
    pub(crate) async fn sh(&self, job: JobId, step: u32, command: &str) -> (StepEnd, String) {
        self.run(self.at(job, step), spec(command)).await
    }

    pub(crate) async fn run(&self, at: StepAt, spec: StepSpec) -> (StepEnd, String) {
        self.begin(at, spec).await.expect("the step starts");
        self.end(at).await
    }

    pub(crate) async fn begin(&self, at: StepAt, spec: StepSpec) -> Result<(), ExecutorError> {
        let open = |suffix: &str| {
            let path = self.dir.path().join(format!("{}-{}.{}.{suffix}", at.job, at.step, at.attempt));
            File::options().create(true).append(true).open(path).unwrap()
        };
        self.client.ensure_step(at, spec, open("log"), open("idx")).await
    }

    pub(crate) async fn end(&self, at: StepAt) -> (StepEnd, String) {
        let StepState::Ended(end) = self.client.observe(at).await.unwrap() else { panic!("the step did not end") };
        (end, self.log(at))
    }

    pub(crate) fn log(&self, at: StepAt) -> String {
        let path = self.dir.path().join(format!("{}-{}.{}.log", at.job, at.step, at.attempt));
        String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()
    }
}

impl Drop for Box {
    /// Whatever became of the test, nothing of it stays on the machine.
    fn drop(&mut self) {
        let socket = self.run.join("executor.sock");
        // Our own connection would keep the executor from leaving.
        drop(std::mem::replace(&mut self.client, Client::new(&socket)));
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let client = Client::new(&socket);
                for job in client.list().await.unwrap_or_default() {
                    let _gone = client.teardown(job).await;
                }
                client.leave().await
            })
        });
        if !matches!(cleaned.join(), Ok(Ok(()))) {
            let _killed = self.child.kill();
        }
        let _reaped = self.child.wait();
    }
}

pub(crate) fn spawn(root: &Path, run: &Path, instance: &str, master_uid: u32) -> Child {
    spawn_with(root, run, instance, master_uid, &[])
}

fn spawn_with(root: &Path, run: &Path, instance: &str, master_uid: u32, more: &[&str]) -> Child {
    let mut child = Command::new(danube())
        .arg("executor")
        .args(["--instance", instance, "--master-uid", &master_uid.to_string(), "--host-image"])
        .arg("--root")
        .arg(root.join("executor"))
        .arg("--run-dir")
        .arg(run)
        .arg("--shim")
        .arg(shim())
        .args(more)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let socket = run.join("executor.sock");
    for _ in 0..6000 {
        if std::os::unix::net::UnixStream::connect(&socket).is_ok() {
            return child;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("the executor does not answer and ended with {}", child.wait().unwrap());
}

pub(crate) fn source(repo: &Path, commit: &str) -> File {
    let list = git(repo, &["rev-list", "--objects", "--no-walk", commit]);
    let mut pack = Command::new("git")
        .args(["pack-objects", "--stdout", "-q"])
        .current_dir(repo)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let names: String = list.lines().map(|l| format!("{}\n", l.split(' ').next().unwrap())).collect();
    pack.stdin.take().unwrap().write_all(names.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    pack.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
    assert!(pack.wait().unwrap().success());
    let header = Checkout {
        version: 1,
        commit: Some(commit.to_owned()),
        ref_name: Some("main".to_owned()),
        pack_bytes: bytes.len() as u64,
        tar_bytes: 0,
    };
    let mut file = tempfile::tempfile().unwrap();
    danube_shim::frame::write(&mut file, &header).unwrap();
    file.write_all(&bytes).unwrap();
    file.rewind().unwrap();
    file
}

pub(crate) fn spec(command: &str) -> StepSpec {
    StepSpec {
        kind: StepKind::Step,
        image: "host".into(),
        pinned: None,
        argv: ["/bin/sh", "-c", command].map(str::to_owned).to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("HOME".into(), "/root".into())],
        files: Vec::new(),
        workdir: "/workspace".into(),
        user: None,
        limits: Limits { cpu: 0.0, memory_bytes: 256 << 20, pids: 64 },
        caps: Vec::new(),
        root: Root::Writable,
        network: false,
        dns: None,
        hosts: Vec::new(),
        service: None,
        ready: None,
        masks: Vec::new(),
        log_limit: 16 << 20,
        capture_secret: false,
        notes: Vec::new(),
        caches: Vec::new(),
        trust: None,
        build: false,
    }
}

pub(crate) fn mask(name: &str, value: &str) -> Mask {
    Mask { name: name.into(), value: base64::engine::general_purpose::STANDARD.encode(value) }
}
