//! `egress`: what the filter costs a job's connections. The same step, the same path, with the filter and without,
//! turn by turn.
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::report::{Bound, Goal, Report};
use crate::executor::local::EGRESS_TABLE;
use world::{NAMESERVER, SERVER, World};

/// The longest that one round may take.
const LIMIT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(2);

const PIPELINE: &str = "from danube import pipeline, step\n\n\n@pipeline(name=\"bench\")\ndef build() -> None:\n    \
                        step.run(\"python3 measure.py ARGUMENTS\", name=\"measure\", image=\"host\")\n";

/// Connections of a step, with and without the filter
#[derive(Debug, Clone, Args)]
pub(super) struct EgressArgs {
    /// Rounds, half of them with the filter
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=1000))]
    rounds: u64,
    /// MiB that are fetched in each
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    megabytes: u64,
}

/// Blocks; the job runs in processes of its own.
pub(super) fn run(args: &EgressArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("egress", [("rounds", args.rounds), ("megabytes", args.megabytes)]);
    let world = World::make()?;
    let dir = tempdir()?;
    let measured = Job::start(&world, &dir, args).and_then(|job| job.measure(args.rounds));
    fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    let (filtered, bare): (Vec<_>, Vec<_>) = measured?.into_iter().partition(|round| round.filtered);
    let of = |rounds: &[Round], field: fn(&Round) -> f64| rounds.iter().map(field).collect::<Vec<f64>>();
    report.measure("name → connected, straight", "ms", of(&bare, |round| round.first));
    report.measure("name → connected, through the filter", "ms", of(&filtered, |round| round.first));
    let bare = report.measure("throughput without the filter", "MiB/s", of(&bare, |round| round.rate));
    let filtered = report.measure("throughput with the filter", "MiB/s", of(&filtered, |round| round.rate));
    let (bare, filtered) = bare.zip(filtered).context("no round was measured")?;
    report.goals.push(Goal::ratio("throughput with the filter", "MiB/s", filtered.p50, bare.p50, Bound::AtLeast, 0.95));
    report.notes.push(
        "A first connection asks the master, who asks the nameserver and has the address allowed, before it connects; \
         in this world a nameserver answers at once."
            .to_owned(),
    );
    Ok(report)
}

struct Round {
    filtered: bool,
    /// Milliseconds.
    first: f64,
    /// MiB per second.
    rate: f64,
}

struct Job {
    child: Child,
    data: PathBuf,
}

impl Job {
    fn start(world: &World, dir: &Path, args: &EgressArgs) -> anyhow::Result<Self> {
        let repo = dir.join("bench");
        fs::create_dir(&repo)?;
        let arguments = format!("{SERVER} {NAMESERVER} {} {}", args.rounds, args.megabytes);
        fs::write(repo.join("danubefile.py"), PIPELINE.replace("ARGUMENTS", &arguments))?;
        fs::write(repo.join("measure.py"), include_str!("measure.py"))?;
        let made = Command::new("git").args(["init", "-q"]).current_dir(&repo).status().context("cannot run git")?;
        ensure!(made.success(), "git could not make a repository");
        let data = dir.join("data");
        let child = world
            .on_the_machine()
            .arg(std::env::current_exe().context("cannot find my own program")?)
            .args(["run", "--egress", "*.example.com", "--json", "--data-dir"])
            .arg(&data)
            .arg(&repo)
            .env("DANUBE_EXECUTOR__DNS", NAMESERVER)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run nsenter")?;
        Ok(Self { child, data })
    }

    fn measure(mut self, rounds: u64) -> anyhow::Result<Vec<Round>> {
        let measured = self.rounds(rounds);
        if measured.is_err() {
            // Asked to, it ends with all that it made.
            let _gone = rustix::process::kill_process(
                rustix::process::Pid::from_child(&self.child),
                rustix::process::Signal::INT,
            );
        }
        let status = self.child.wait()?;
        let measured = measured?;
        ensure!(status.success(), "the job of the bench ended with {status}");
        Ok(measured)
    }

    fn rounds(&mut self, rounds: u64) -> anyhow::Result<Vec<Round>> {
        let instance = self.until("the run has an instance", |job| {
            fs::read_to_string(job.data.join("instance")).ok().filter(|text| text.trim().len() == 8)
        })?;
        let instance = instance.trim().to_owned();
        let jobs = Path::new("/var/lib/danube-executor").join(format!("run-{instance}")).join("jobs");
        let id = self.until("the job has a directory", |_| {
            fs::read_dir(&jobs).ok()?.flatten().next()?.file_name().into_string().ok()
        })?;
        let workspace = jobs.join(&id).join("workspace");
        let log = self.data.join("logs").join(&id).join("1.1.log");
        let space = Path::new("/run/danube").join(&instance).join("net").join(format!("{id}.open"));
        self.until("the step runs", |_| log.exists().then_some(()))?;
        let rules = nft(&space, &["list", "table", "inet", EGRESS_TABLE], None)?;
        for number in 0..rounds {
            let filtered = number % 2 == 0;
            if !filtered {
                nft(&space, &["delete", "table", "inet", EGRESS_TABLE], None)?;
            }
            fs::write(workspace.join(format!("round-{number}.new")), if filtered { "filtered" } else { "bare" })?;
            fs::rename(workspace.join(format!("round-{number}.new")), workspace.join(format!("round-{number}")))?;
            self.until("a round is done", |_| workspace.join(format!("done-{number}")).exists().then_some(()))?;
            if !filtered {
                nft(&space, &["-f", "-"], Some(&rules))?;
            }
        }
        let text = self.until("the rounds are in the log", |_| {
            let text = fs::read_to_string(&log).ok()?;
            (text.lines().filter(|line| line.starts_with("round ")).count() as u64 == rounds).then_some(text)
        })?;
        text.lines().filter_map(|line| line.strip_prefix("round ")).map(round).collect()
    }

    fn until<T>(&mut self, what: &str, look: impl Fn(&Self) -> Option<T>) -> anyhow::Result<T> {
        let end = Instant::now() + LIMIT;
        loop {
            if let Some(found) = look(self) {
                return Ok(found);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the job of the bench ended with {status} before {what}");
            }
            ensure!(Instant::now() < end, "not in {} s: {what}", LIMIT.as_secs());
            std::thread::sleep(LOOK);
        }
    }
}

fn round(text: &str) -> anyhow::Result<Round> {
    let fields: Vec<f64> =
        text.split(' ').map(str::parse).collect::<Result<_, _>>().context("a round that can't be read")?;
    let [number, first, rate] = fields[..] else { bail!("a round with other fields: {text}") };
    Ok(Round { filtered: number % 2.0 == 0.0, first, rate })
}

fn nft(space: &Path, args: &[&str], input: Option<&str>) -> anyhow::Result<String> {
    use std::io::Write as _;
    let mut child = Command::new("nsenter")
        .arg(format!("--net={}", space.display()))
        .args(["--", "nft"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run nsenter")?;
    if let (Some(mut stdin), Some(text)) = (child.stdin.take(), input) {
        stdin.write_all(text.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "nft {} ended with {}", args.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

fn tempdir() -> anyhow::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = std::env::temp_dir().join(format!("danube-bench-egress-{}", std::process::id()));
    fs::create_dir(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o711))?;
    Ok(dir)
}
