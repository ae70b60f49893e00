//! `image`: a step whose image is nowhere yet, beside `skopeo copy` and `umoci unpack` from the same registry.
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use super::land::{Ground, Land};
use super::report::{Bound, Goal, Report};
use super::repos::{Job, Plan};
use super::rows::{self, millis};
use crate::executor::remote::Client;
use crate::executor::{Executor as _, KeepLayers};

const PIPELINE: &str = "image";
/// Files of this machine that make a layer each.
const LAYERS: [&str; 3] = ["/usr/lib/python3", "/usr/share/perl", "/usr/lib/gcc"];
/// The longest start of the registry.
const LIMIT: Duration = Duration::from_secs(30);

/// How long a cold image takes, beside skopeo and umoci; needs docker-registry, skopeo and umoci
#[derive(Debug, Clone, Args)]
pub(super) struct ImageArgs {
    /// Cold pulls of each
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
}

/// The distribution's registry on loopback, ended when dropped.
struct Registry {
    child: Child,
    address: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It has nothing that must be kept.
        let _gone = self.child.kill().and_then(|()| self.child.wait());
    }
}

pub(super) async fn run(args: &ImageArgs, land: &mut Land) -> anyhow::Result<Report> {
    let mut report = Report::new("image", [("rounds", args.rounds)]);
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).context("no free port")?;
    let name = format!("{port}/bench/image:1");
    let script = format!(
        "from danube import *\n\n@pipeline(name={PIPELINE:?})\ndef build():\n    step.run(\"true\", name=\"one\", image={name:?})\n    step.run(\"true\", name=\"two\", image={name:?})\n"
    );
    let (pipelines, registries) = (vec![Job::new(PIPELINE, script)], vec![port.to_string()]);
    let ground = land.begin(&Plan { pipelines, registries, ..Plan::default() }).await?;
    land.progress.say("making an image");
    let registry = tokio::task::block_in_place(|| {
        let layout = make(&ground.dir.join("image"))?;
        let registry = serve(&ground.dir, &port.to_string())?;
        tool("skopeo", &["copy", "-q", "--dest-tls-verify=false", &layout, &format!("docker://{name}")])?;
        anyhow::Ok(registry)
    })?;
    let client = Client::new(&ground_socket(&ground));
    let (mut ours, mut theirs, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=args.rounds {
        land.progress.say(&format!("cold image {round} of {}", args.rounds));
        client.evict_layers(KeepLayers { bytes: 0, seconds: 0 }).await.context("cannot remove the layers")?;
        let id = ground.trigger(PIPELINE).await?;
        ground.succeeded(&id).await?;
        let took = tokio::task::block_in_place(|| by_tools(&ground.dir, &registry.address))?;
        // The first of each warms the page cache.
        if round > 0 {
            ids.push(id);
            theirs.push(took.as_secs_f64() * 1000.0);
        }
    }
    client.evict_layers(KeepLayers { bytes: 0, seconds: 0 }).await.context("cannot remove the layers")?;
    drop(client);
    drop(registry);
    land.stop(&ground).await?;
    let mut warm = Vec::new();
    for told in rows::jobs(&ground.data).await?.iter().filter(|told| ids.contains(&told.job.id.to_string())) {
        let took = |n: usize| Some(millis(told.steps.get(n)?.created_at, told.steps.get(n)?.started_at?));
        ours.extend(took(1));
        warm.extend(took(2));
    }
    let theirs = report.measure("skopeo copy + umoci unpack", "ms", theirs).context("no round")?;
    let ours = report.measure("first step of a job: pull, unpack, start", "ms", ours).context("no job ran")?;
    report.measure("second step of the same job: start", "ms", warm);
    let what = "cold image, median";
    report.goals.push(Goal::ratio(what, "ms", ours.p50, theirs.p50, Bound::AtMost, 1.0));
    report.notes.push(
        "Both from the same registry on loopback, one after the other; skopeo and umoci into empty directories."
            .to_owned(),
    );
    Ok(report)
}

fn ground_socket(ground: &Ground) -> PathBuf {
    Path::new("/run/danube").join(&ground.instance).join("executor.sock")
}

/// An image of files of this machine, in three layers; its name for skopeo.
fn make(dir: &Path) -> anyhow::Result<String> {
    let layout = dir.join("layout").display().to_string();
    let image = format!("{layout}:1");
    fs::create_dir_all(dir)?;
    tool("umoci", &["init", "--layout", &layout])?;
    tool("umoci", &["new", "--image", &image])?;
    for (n, files) in LAYERS.iter().enumerate().filter(|(_, files)| Path::new(files).exists()) {
        let bundle = dir.join(format!("bundle{n}"));
        let bundle_name = bundle.display().to_string();
        tool("umoci", &["unpack", "--image", &image, &bundle_name])?;
        let place = bundle.join("rootfs").join(n.to_string()).display().to_string();
        tool("cp", &["-a", files, &place])?;
        tool("umoci", &["repack", "--image", &image, &bundle_name])?;
        fs::remove_dir_all(&bundle)?;
    }
    Ok(format!("oci:{image}"))
}

fn serve(dir: &Path, address: &str) -> anyhow::Result<Registry> {
    let store = dir.join("registry");
    fs::create_dir_all(&store)?;
    let config = dir.join("registry.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {:?} }} }}\nhttp: {{ addr: {address:?} }}\n",
        store.display().to_string()
    );
    fs::write(&config, text)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().context("cannot run docker-registry; install the package of that name")?;
    let registry = Registry { child, address: address.to_owned() };
    let began = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        ensure!(began.elapsed() < LIMIT, "docker-registry does not listen at {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(registry)
}

/// The same by the usual tools; how long it took.
fn by_tools(dir: &Path, registry: &str) -> anyhow::Result<Duration> {
    let place = dir.join("tools");
    fs::create_dir(&place)?;
    let layout = format!("{}:1", place.join("layout").display());
    let bundle = place.join("bundle").display().to_string();
    let began = Instant::now();
    let from = format!("docker://{registry}/bench/image:1");
    tool("skopeo", &["copy", "-q", "--src-tls-verify=false", &from, &format!("oci:{layout}")])?;
    tool("umoci", &["unpack", "--image", &layout, &bundle])?;
    let took = began.elapsed();
    fs::remove_dir_all(&place)?;
    Ok(took)
}

fn tool(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {program}; install the package of that name"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {arguments:?}: {}", said.trim());
    Ok(())
}
