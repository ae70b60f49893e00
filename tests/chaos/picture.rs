//! What a job came to: the same whatever was killed meanwhile.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::world::{TOKEN, World, cgroups, until};

/// A finished job, without what may differ between two undisturbed runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Its state, its attempt and its reason.
    end: (String, u32, Option<String>),
    /// Name, attempt, state, cause and exit code of each attempt of a step.
    steps: Vec<(String, u32, String, Option<String>, Option<i32>)>,
    /// The commands that ran, as they themselves wrote down.
    ledger: Vec<String>,
    /// SHA-256 of each log, by name and attempt.
    logs: BTreeMap<String, String>,
    /// SHA-256 of each artifact.
    artifacts: BTreeMap<String, String>,
    /// Calls, answered ones, reports, results, annotations, records.
    rows: [u32; 6],
}

impl Picture {
    /// Of an ended job; checks on the way what must hold of any.
    pub(crate) fn of(world: &World, job: &str) -> Result<Self, String> {
        let db = world.database();
        let sql = |error: rusqlite::Error| format!("the database: {error}");
        let end = db
            .query_row("SELECT status, attempt, reason FROM jobs WHERE id = ?1", [job], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .map_err(sql)?;
        let text = "SELECT name, attempt, status, cause, exit_code, log_stream, log_sha256 FROM steps WHERE job_id = ?1 \
                    AND seq > 0 ORDER BY name, job_attempt, attempt";
        let (mut steps, mut logs) = (Vec::new(), BTreeMap::new());
        let mut query = db.prepare(text).map_err(sql)?;
        let mut rows = query.query([job]).map_err(sql)?;
        while let Some(row) = rows.next().map_err(sql)? {
            let get = |n: usize| row.get::<_, Option<String>>(n);
            let (name, attempt): (String, u32) = (row.get(0).map_err(sql)?, row.get(1).map_err(sql)?);
            let stream: String = row.get(5).map_err(sql)?;
            let log = world.path("data/logs").join(job).join(format!("{stream}.log"));
            let bytes = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
            let hash = hex::encode(Sha256::digest(&bytes));
            if get(6).map_err(sql)?.as_ref() != Some(&hash) {
                return Err(format!("the row of '{name}' has another hash than its log"));
            }
            if bytes.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes()) {
                return Err(format!("the log of '{name}' shows a secret"));
            }
            // Its first line says how long its image took.
            if name != "in an image" {
                logs.insert(format!("{name} {attempt}"), hash);
            }
            let (state, cause) = (get(2).map_err(sql)?.unwrap_or_default(), get(3).map_err(sql)?);
            steps.push((name, attempt, state, cause, row.get(4).map_err(sql)?));
        }
        let count = |text: &str| db.query_row(text, [job], |row| row.get::<_, u32>(0)).map_err(sql);
        let rows = [
            count("SELECT count(*) FROM journal WHERE job_id = ?1")?,
            count("SELECT count(done_at) FROM journal WHERE job_id = ?1")?,
            count("SELECT count(*) FROM test_reports WHERE job_id = ?1")?,
            count("SELECT coalesce(sum(total), 0) FROM test_reports WHERE job_id = ?1")?,
            count("SELECT count(*) FROM annotations WHERE job_id = ?1")?,
            count("SELECT count(*) FROM attestations WHERE job_id = ?1")?,
        ];
        let artifacts = artifacts(world, job)?;
        Ok(Self { end, steps, ledger: ledger(world, job)?, logs, artifacts, rows })
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.end.0 == "success"
    }

    /// Where another differs from this one, in words; nothing where it does not.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        let parts = [
            ("the end", format!("{:?}", self.end), format!("{:?}", now.end)),
            ("steps", format!("{:#?}", self.steps), format!("{:#?}", now.steps)),
            ("the ledger", format!("{:#?}", self.ledger), format!("{:#?}", now.ledger)),
            ("logs", format!("{:#?}", self.logs), format!("{:#?}", now.logs)),
            ("artifacts", format!("{:#?}", self.artifacts), format!("{:#?}", now.artifacts)),
            ("rows", format!("{:?}", self.rows), format!("{:?}", now.rows)),
        ];
        let other = parts.into_iter().find(|(_, before, now)| before != now)?;
        let (before, after): (Vec<&str>, Vec<&str>) = (other.1.lines().collect(), other.2.lines().collect());
        let missing = before.iter().filter(|line| !after.contains(line));
        let new = after.iter().filter(|line| !before.contains(line));
        let lines = missing.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}")));
        let lines: Vec<String> = lines.take(40).collect();
        let whole = if lines.is_empty() { format!("{}\nnow: {}", other.1, other.2) } else { lines.join("\n") };
        Some(format!("{} differs from the undisturbed run:\n{whole}", other.0))
    }
}

/// What ran, by the commands' own words, sorted.
pub(crate) fn ledger(world: &World, job: &str) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(world.path("ledger/ledger")).map_err(|error| format!("the ledger: {error}"))?;
    let mut lines: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix(job)).map(|name| name.trim().to_owned()).collect();
    lines.sort();
    Ok(lines)
}

/// The artifacts with the digests of what is handed out; each must verify where the job succeeded.
fn artifacts(world: &World, job: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    let list = world.json(&format!("/api/v1/jobs/{job}/artifacts"))?;
    for item in list["artifacts"].as_array().ok_or("artifacts are a list")? {
        let name = item["name"].as_str().ok_or("an artifact has a name")?;
        if !item["expired_at"].is_null() {
            found.insert(name.to_owned(), "not kept".to_owned());
            continue;
        }
        let bytes = world.fetch(&format!("/api/v1/jobs/{job}/artifacts/{name}"))?.body;
        let hash = hex::encode(Sha256::digest(&bytes));
        if item["sha256"] != hash.as_str() {
            return Err(format!("the artifact '{name}' is {hash}, and its row says {}", item["sha256"]));
        }
        fs::write(world.path("artifact"), bytes).map_err(|error| error.to_string())?;
        found.insert(name.to_owned(), hash);
        verify(world, job, name)?;
    }
    Ok(found)
}

/// `danube verify` accepts the artifact of a successful job, and none of another.
fn verify(world: &World, job: &str, name: &str) -> Result<(), String> {
    let good = world.json(&format!("/api/v1/jobs/{job}"))?["status"] == "success";
    let envelope = world.fetch(&format!("/api/v1/jobs/{job}/attestation"))?;
    fs::write(world.path("attestation"), envelope.body).map_err(|error| error.to_string())?;
    let output = std::process::Command::new(crate::world::program())
        .arg("verify")
        .arg(world.path("artifact"))
        .arg("--attestation")
        .arg(world.path("attestation"))
        .arg("--key")
        .arg(world.path("data/keys/signing.key.pub"))
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() == good {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Err(format!("danube verify of '{name}' of a job that {}: {said}", if good { "succeeded" } else { "did not" }))
}

/// Waits until nothing of an ended job is left on the machine.
pub(crate) fn nothing_left(world: &World, job: &str) -> Result<(), String> {
    let mut left = Vec::new();
    let gone = until("nothing of the job is left", || {
        left = leftovers(world, job);
        left.is_empty().then_some(())
    });
    gone.map_err(|error| format!("{error}; left: {left:#?}"))
}

fn leftovers(world: &World, job: &str) -> Vec<String> {
    let mut left: Vec<String> = Vec::new();
    for path in [world.tree().join("jobs").join(job), world.run_dir().join("jobs").join(job)] {
        left.extend(path.exists().then(|| path.display().to_string()));
    }
    left.extend(cgroups(&format!("danube-{}/{job}", world.instance)).iter().map(|dir| dir.display().to_string()));
    let named = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    left.extend(
        named(&world.run_dir().join("crun"))
            .iter()
            .map(|path| path.display().to_string())
            .filter(|path| path.contains(job)),
    );
    for lease in named(Path::new("/run/danube/uids")) {
        let holder = fs::read_to_string(&lease).unwrap_or_default();
        left.extend(holder.contains(job).then(|| format!("uid range: {holder}")));
    }
    for process in named(Path::new("/proc")) {
        let line = fs::read(process.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        left.extend(line.contains(job).then(|| format!("process: {line}")));
    }
    left
}
