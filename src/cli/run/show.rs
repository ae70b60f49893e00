//! What a run prints: the steps as they start and end, their output beside their names.
use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::source::Prepared;
use crate::logs::{StreamFile, StreamName, tail};
use crate::model::JobId;
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::store::{ArtifactRow, JobRow, StepRow, Store, artifacts, jobs, steps};

/// The longest name in front of a line.
const NAME: usize = 24;

/// Prints a job until it has ended.
pub(super) struct Show {
    task: JoinHandle<()>,
}

impl Show {
    pub(super) fn start(store: &Store, data: &Path, job: &JobRow, prepared: &Prepared) -> Self {
        let out = Out { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
        let commit = job.commit_sha.get(..8).unwrap_or("no commit");
        let dirty = if prepared.dirty { ", with uncommitted changes" } else { "" };
        out.line(&format!("{} {} at {commit}{dirty}", out.paint("danube run", "1"), job.label()));
        for note in &prepared.skipped {
            out.line(&format!("  {note}"));
        }
        let follow = Follow {
            store: store.clone(),
            logs: data.join("logs").join(job.id.to_string()),
            data: data.to_owned(),
            job: job.id,
            out: Arc::new(Mutex::new(out)),
            seen: HashMap::new(),
            streams: JoinSet::new(),
        };
        Self { task: tokio::spawn(follow.run()) }
    }

    /// Waits until everything was printed.
    pub(super) async fn end(self) {
        if let Err(error) = self.task.await {
            eprintln!("danube: the progress could not be shown: {error}");
        }
    }
}

struct Follow {
    store: Store,
    logs: PathBuf,
    data: PathBuf,
    job: JobId,
    out: Arc<Mutex<Out>>,
    seen: HashMap<(u32, u32), (StepStatus, watch::Sender<bool>)>,
    streams: JoinSet<()>,
}

impl Follow {
    async fn run(mut self) {
        let mut changes = self.store.changes();
        loop {
            changes.borrow_and_update();
            let job = self.job;
            let read = self.store.read(move |view| Ok((jobs::get(view, job)?, steps::of_job(view, job)?))).await;
            let Ok((row, rows)) = read else { return };
            for step in &rows {
                self.step(step).await;
            }
            if row.status.is_terminal() {
                for (_, (_, finished)) in self.seen.drain() {
                    finished.send_replace(true);
                }
                while self.streams.join_next().await.is_some() {}
                self.summary(&row, &rows).await;
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn step(&mut self, step: &StepRow) {
        let key = (step.seq, step.attempt);
        let name = label(step);
        if !self.seen.contains_key(&key) && step.status != StepStatus::Pending {
            let (tell, finished) = watch::channel(false);
            if step.seq > 0 {
                let again = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
                self.print(|out| out.line(&format!("{} {name}{again}", out.paint("▶", "36"))));
            }
            let file = StreamFile::new(&self.logs, StreamName { step: step.seq, attempt: step.attempt });
            let (out, shown) = (Arc::clone(&self.out), name.clone());
            self.streams.spawn(async move { print_stream(file, finished, &shown, &out).await });
            self.seen.insert(key, (StepStatus::Running, tell));
        }
        if let Some((status, tell)) = self.seen.get_mut(&key)
            && step.status.is_terminal()
            && !status.is_terminal()
        {
            *status = step.status;
            // Its last lines come before its end is told.
            tell.send_replace(true);
            tell.closed().await;
            if step.seq > 0 {
                self.print(|out| out.line(&ended(out, step, &name)));
            }
        }
    }

    async fn summary(&self, job: &JobRow, rows: &[StepRow]) {
        let id = self.job;
        let stored = self.store.read(move |view| artifacts::of_job(view, id)).await.unwrap_or_default();
        let seconds = seconds(job.started_at, job.finished_at);
        self.print(|out| {
            let (shape, colour) = if job.status == Status::Success { ("✓", "32") } else { ("✗", "31") };
            let count = rows.iter().filter(|s| s.seq > 0).map(|s| s.seq).max().unwrap_or(0);
            let state = out.paint(&format!("{shape} {}", job.status), colour);
            out.line(&format!("{state} in {seconds}, {count} steps"));
            if let Some(reason) = &job.reason {
                out.line(&format!("  {}", clean(reason)));
            }
            for artifact in stored.iter().filter(|a| a.expired_at.is_none()) {
                let path = artifact_path(&self.data, artifact);
                out.line(&format!(
                    "  artifact {} ({} bytes): {}",
                    clean(&artifact.name),
                    artifact.size,
                    path.display()
                ));
            }
            out.line(&format!("  logs: {}", self.logs.display()));
        });
    }

    fn print(&self, f: impl FnOnce(&Out)) {
        f(&self.out.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn print_stream(file: StreamFile, finished: watch::Receiver<bool>, name: &str, out: &Mutex<Out>) {
    let mut pieces = std::pin::pin!(tail(file, 0, finished));
    let mut rest: Vec<u8> = Vec::new();
    let print = |line: &[u8]| {
        let out = out.lock().unwrap_or_else(PoisonError::into_inner);
        let text = clean(&String::from_utf8_lossy(line));
        out.line(&format!("{} {text}", out.paint(&format!("{name:>NAME$} │"), "2")));
    };
    while let Some(Ok(piece)) = pieces.next().await {
        rest.extend_from_slice(&piece.bytes);
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            print(&line[..line.len() - 1]);
        }
        // A line without an end is cut: a terminal has no use for a gigabyte.
        if rest.len() > 64 << 10 {
            print(&rest);
            rest.clear();
        }
    }
    if !rest.is_empty() {
        print(&rest);
    }
}

fn ended(out: &Out, step: &StepRow, name: &str) -> String {
    let took = seconds(step.started_at, step.finished_at);
    match step.status {
        StepStatus::Success => format!("{} {name}  {took}", out.paint("✓", "32")),
        _ => {
            let code = step.exit_code.map(|code| format!("exit code {code}"));
            let why = step.reason.clone().or(code).unwrap_or_else(|| step.status.to_string());
            let colour = if step.allow_failure { "33" } else { "31" };
            format!("{} {name}  {took}  {}", out.paint("✗", colour), clean(&why))
        }
    }
}

/// A step's branch and name, without what a terminal would obey.
fn label(step: &StepRow) -> String {
    if step.seq == 0 { "danubefile".to_owned() } else { clean(&step.name) }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

fn seconds(from: Option<jiff::Timestamp>, to: Option<jiff::Timestamp>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{:.1}s", (to.as_millisecond() - from.as_millisecond()).max(0) as f64 / 1e3),
        _ => "-".to_owned(),
    }
}

fn artifact_path(data: &Path, artifact: &ArtifactRow) -> PathBuf {
    data.join("artifacts").join(artifact.job_id.to_string()).join(&artifact.sha256)
}

/// Where lines go.
struct Out {
    colour: bool,
}

impl Out {
    fn line(&self, text: &str) {
        // Nobody to tell where the terminal is gone.
        let _gone = writeln!(std::io::stdout().lock(), "{text}");
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The run as one JSON object.
pub(super) async fn summary(store: &Store, job: &JobRow, data: &Path) -> anyhow::Result<String> {
    let id = job.id;
    let (rows, stored) = store.read(move |view| Ok((steps::of_job(view, id)?, artifacts::of_job(view, id)?))).await?;
    let rows: Vec<_> = rows
        .iter()
        .map(|s| {
            json!({
                "seq": s.seq, "attempt": s.attempt, "key": s.key, "branch": s.branch, "name": s.name, "image": s.image,
                "status": s.status.as_str(), "cause": s.cause.map(|c| c.as_str()), "exit_code": s.exit_code,
                "reason": s.reason, "log_sha256": s.log_sha256, "log_bytes": s.log_bytes,
            })
        })
        .collect();
    let stored: Vec<_> = stored
        .iter()
        .map(|a| json!({ "name": a.name, "sha256": a.sha256, "size": a.size, "path": artifact_path(data, a) }))
        .collect();
    Ok(serde_json::to_string_pretty(&json!({
        "id": job.id, "pipeline": job.pipeline_name, "commit": job.commit_sha, "status": job.status, "reason": job.reason,
        "steps": rows, "artifacts": stored,
    }))?)
}
