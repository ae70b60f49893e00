//! The machine's own limit for a step: `crun run` of the very config.json that the executor wrote for one.
use std::fs::{self, File};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use danube_shim::frame;
use danube_shim::start::ContainerStart;
use serde_json::{Value, json};

use super::land::Ground;
use super::repos::{Job, steps};
use crate::executor::local::{host_root, run_bundle};

/// The pipeline from which the bundle is taken.
const PIPELINE: &str = "export";
/// The longest until its step runs.
const LIMIT: Duration = Duration::from_secs(60);

/// A step's bundle, copied out of the executor's hands.
pub(super) struct Container {
    bundle: PathBuf,
    state: PathBuf,
    frame: File,
    runs: AtomicU64,
}

/// The pipeline that `Container::export` needs.
pub(super) fn pipeline() -> Job {
    Job::new(PIPELINE, steps("sleep 60", 1))
}

impl Container {
    /// Runs a job, copies the bundle of its step while it runs, and ends the job.
    pub(super) async fn export(ground: &Ground) -> anyhow::Result<Self> {
        let id = ground.trigger(PIPELINE).await?;
        let job = ground.executor_dir().join("jobs").join(&id);
        let original = job.join("roots/1.1");
        let deadline = Instant::now() + LIMIT;
        // The container runs once its record says so.
        while !job.join("steps/1.1/pid").exists() {
            ensure!(Instant::now() < deadline, "the step whose config.json is taken did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let copied = tokio::task::block_in_place(|| copy(ground, &original, &job.join("workspace")));
        ground.api.post(&format!("/api/v1/jobs/{id}/cancel")).await?;
        while ground.job(&id).await?["finished_at"].is_null() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        copied
    }

    /// One container, from its start to its removal; how long it took.
    pub(super) fn run(&self) -> anyhow::Result<Duration> {
        let id = format!("bench-{}-{}", std::process::id(), self.runs.fetch_add(1, Ordering::Relaxed));
        let mut start = self.frame.try_clone()?;
        start.rewind()?;
        let began = Instant::now();
        let status = run_bundle(&self.state, &self.bundle, &id, &start).context("cannot run crun")?;
        let took = began.elapsed();
        ensure!(status.success(), "crun could not run the step's own config.json: {status}");
        Ok(took)
    }

    /// Containers per second of so many that run side by side for a while.
    pub(super) fn rate(&self, beside: usize, lasting: Duration) -> anyhow::Result<f64> {
        let own: Vec<Self> = (0..beside).map(|number| self.beside(number)).collect::<anyhow::Result<_>>()?;
        let began = Instant::now();
        let count = |container: &Self| {
            let mut runs = 0_u32;
            while began.elapsed() < lasting {
                container.run()?;
                runs += 1;
            }
            anyhow::Ok(runs)
        };
        let counts = std::thread::scope(|scope| {
            let threads: Vec<_> = own.iter().map(|container| scope.spawn(move || count(container))).collect();
            threads.into_iter().map(|one| one.join().unwrap_or(Ok(0))).collect::<anyhow::Result<Vec<u32>>>()
        })?;
        Ok(f64::from(counts.iter().sum::<u32>()) / began.elapsed().as_secs_f64())
    }

    /// The same container with a frame and a cgroup of its own.
    fn beside(&self, number: usize) -> anyhow::Result<Self> {
        let bundle = self.bundle.with_extension(number.to_string());
        let mut config: Value = serde_json::from_slice(&fs::read(self.bundle.join("config.json"))?)?;
        let cgroup = config["linux"]["cgroupsPath"].as_str().context("config.json has no cgroup")?;
        config["linux"]["cgroupsPath"] = json!(format!("{cgroup}-{number}"));
        fs::create_dir_all(&bundle)?;
        fs::write(bundle.join("config.json"), config.to_string())?;
        let runs = AtomicU64::new((number as u64 + 1) << 32);
        Ok(Self { bundle, state: self.state.clone(), frame: start_frame()?, runs })
    }
}

fn copy(ground: &Ground, original: &Path, workspace: &Path) -> anyhow::Result<Container> {
    let dir = ground.dir.join("crun");
    fs::create_dir(&dir)?;
    make_searchable(&dir)?;
    let (bundle, files) = (dir.join("bundle"), dir.join("workspace"));
    for (from, to) in [(original, &bundle), (workspace, &files)] {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().context("cannot run cp")?;
        ensure!(copied.success(), "cp could not copy {}", from.display());
    }
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?).context("config.json is not JSON")?;
    // Its places, and nothing else, become the copies'.
    let rootfs = bundle.join("rootfs");
    config["root"]["path"] = json!(rootfs);
    let base = config["linux"]["uidMappings"][0]["hostID"].as_u64().and_then(|base| u32::try_from(base).ok());
    fs::remove_dir(&rootfs)?;
    host_root(&rootfs, base.context("config.json has no users")?).context("cannot make the container's root")?;
    config["linux"]["cgroupsPath"] = json!(format!("/danube-{}/bench", ground.instance));
    // Its job's network ended with it; an empty one of its own is the same.
    let namespaces = config["linux"]["namespaces"].as_array_mut().into_iter().flatten();
    namespaces.filter_map(Value::as_object_mut).for_each(|namespace| _ = namespace.remove("path"));
    let Some(mounts) = config["mounts"].as_array_mut() else { bail!("config.json has no mounts") };
    for mount in mounts.iter_mut() {
        let below = mount["source"].as_str().and_then(|from| Path::new(from).strip_prefix(original).ok());
        if mount["destination"] == "/workspace" {
            mount["source"] = json!(files);
        } else if let Some(below) = below {
            mount["source"] = json!(bundle.join(below));
        }
    }
    fs::write(&path, config.to_string())?;
    Ok(Container { bundle, state: dir.join("state"), frame: start_frame()?, runs: AtomicU64::new(0) })
}

fn make_searchable(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o711))
}

/// What the first process of the container is told: the command of the steps that are measured.
fn start_frame() -> anyhow::Result<File> {
    let start = ContainerStart {
        argv: ["/bin/sh", "-c", "true"].map(str::to_owned).into(),
        env: Vec::new(),
        files: Vec::new(),
        workdir: "/workspace".into(),
        uid: None,
        gid: None,
        ready: None,
        user: None,
        trust: None,
        roots: None,
    };
    let bytes = frame::encode(&start).map_err(|error| anyhow::anyhow!("{error}"))?;
    let memory = rustix::fs::memfd_create("bench", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = File::from(memory);
    file.write_all(&bytes)?;
    Ok(file)
}
