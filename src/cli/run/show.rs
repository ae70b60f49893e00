//! What a run prints: the steps as they start and end, their output beside their names.
mod json;
mod out;
mod stream;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::source::Prepared;
use crate::cli::style::{Colour, Look, plain, size, state, step_state, took};
use crate::logs::{StreamFile, StreamName};
use crate::model::JobId;
use crate::model::job::Status;
use crate::model::step::StepStatus;
use crate::store::{ArtifactRow, JobRow, StepRow, Store, artifacts, jobs, steps};
pub(super) use json::summary;
use out::Out;
use stream::{Printer, Told};

/// Prints a job until it has ended.
pub(super) struct Show {
    task: JoinHandle<()>,
}

impl Show {
    pub(super) fn start(store: &Store, data: &Path, job: &JobRow, prepared: &Prepared) -> Self {
        let out = Out::new(Look::of(&std::io::stdout()));
        let commit = job.commit_sha.get(..8).unwrap_or("no commit");
        let dirty = if prepared.dirty { ", with uncommitted changes" } else { "" };
        out.line(&format!("{} {} at {commit}{dirty}", out.look.paint(Colour::Bold, "danube run"), plain(&job.label())));
        for note in &prepared.skipped {
            out.line(&format!("  {}", plain(note)));
        }
        let follow = Follow {
            store: store.clone(),
            logs: data.join("logs").join(job.id.to_string()),
            data: data.to_owned(),
            job: job.id,
            out,
            seen: HashMap::new(),
        };
        Self { task: tokio::spawn(follow.run()) }
    }

    /// Waits until everything was printed.
    pub(super) async fn end(self) {
        if let Err(error) = self.task.await {
            eprintln!("danube: the progress could not be shown: {error}");
        }
    }

    /// Prints no more.
    pub(super) fn give_up(&self) {
        self.task.abort();
    }
}

struct Follow {
    store: Store,
    logs: PathBuf,
    data: PathBuf,
    job: JobId,
    out: Out,
    seen: HashMap<(u32, u32), Seen>,
}

/// A step's attempt on the terminal.
struct Seen {
    finished: watch::Sender<bool>,
    printing: Option<JoinHandle<Told>>,
    told: Told,
    /// Lines of all steps when it ended.
    lines: u64,
}

impl Seen {
    /// Its last lines come before its end is told.
    async fn end(&mut self) {
        self.finished.send_replace(true);
        if let Some(printing) = self.printing.take() {
            self.told = printing.await.unwrap_or_default();
        }
    }
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
                for seen in self.seen.values_mut() {
                    seen.end().await;
                }
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
        if !self.seen.contains_key(&key) && step.status != StepStatus::Pending {
            if step.seq > 0 {
                self.out.line(&format!("{} {}", self.out.look.paint(Colour::Busy, "●"), label(step)));
            }
            let (finished, ended) = watch::channel(false);
            let file = StreamFile::new(&self.logs, StreamName { step: step.seq, attempt: step.attempt });
            let name = if step.seq == 0 { "danubefile".to_owned() } else { plain(&step.name) };
            let printer = Printer::new(self.out.clone(), file, name, step.seq == 0);
            let printing = Some(tokio::spawn(printer.run(ended)));
            self.seen.insert(key, Seen { finished, printing, told: Told::default(), lines: 0 });
        }
        if let Some(seen) = self.seen.get_mut(&key)
            && step.status.is_terminal()
            && seen.printing.is_some()
        {
            seen.end().await;
            seen.lines = self.out.lines();
            if step.seq > 0 {
                self.out.line(&ended(self.out.look, step));
            }
        }
    }

    async fn summary(&self, job: &JobRow, rows: &[StepRow]) {
        let id = self.job;
        let stored = self.store.read(move |view| artifacts::of_job(view, id)).await.unwrap_or_default();
        let look = self.out.look;
        self.last_words(job, rows);
        let count = rows.iter().map(|step| step.seq).max().unwrap_or(0);
        let steps = if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
        let took = job.started_at.zip(job.finished_at).map_or_else(String::new, |(a, b)| format!(" in {}", took(a, b)));
        let why = job.reason.as_deref().filter(|_| job.status != Status::Success);
        let why = why.map_or_else(String::new, |reason| format!(": {}", plain(reason)));
        self.out.line(&format!("{}{took}, {steps}{why}", state(job.status).paint(look)));
        for artifact in stored.iter().filter(|a| a.expired_at.is_none()) {
            let path = artifact_path(&self.data, artifact);
            self.out.line(&format!(
                "  artifact {} ({}): {}",
                plain(&artifact.name),
                size(artifact.size),
                path.display()
            ));
        }
        self.out.line(&format!("  logs: {}", self.logs.display()));
    }

    /// What the SDK said last, where the reason does not say it, and the end of the step that failed,
    /// where others printed after it.
    fn last_words(&self, job: &JobRow, rows: &[StepRow]) {
        let told = self.seen.iter().filter(|((seq, _), _)| *seq == 0).max_by_key(|((_, attempt), _)| *attempt);
        let said_by_reason = usize::from(job.reason.is_some());
        for line in told.iter().flat_map(|(_, seen)| seen.told.kept.iter().skip(said_by_reason)) {
            self.out.of_step("danubefile", line);
        }
        let failed = |step: &&StepRow| {
            step.seq > 0 && !step.allow_failure && matches!(step.status, StepStatus::Failure | StepStatus::Timeout)
        };
        let Some(step) = rows.iter().rev().find(failed).filter(|_| job.status == Status::Failure) else { return };
        if let Some(seen) = self.seen.get(&(step.seq, step.attempt))
            && seen.lines < self.out.lines()
            && !seen.told.last.is_empty()
        {
            self.out.line(&format!("  the last lines of step {}, {}:", step.seq, label(step)));
            for line in &seen.told.last {
                self.out.line(&format!("  {} {line}", self.out.look.paint(Colour::Dim, "│")));
            }
        }
    }
}

fn ended(look: Look, step: &StepRow) -> String {
    let took = step.started_at.zip(step.finished_at).map_or_else(String::new, |(a, b)| format!("  {}", took(a, b)));
    let code = step.exit_code.map(|code| format!("exit code {code}"));
    let why = match step.status {
        StepStatus::Success => String::new(),
        _ => format!("  {}", plain(&step.reason.clone().or(code).unwrap_or_else(|| step.status.to_string()))),
    };
    let allowed = if step.allow_failure && step.status != StepStatus::Success { " (may fail)" } else { "" };
    format!("{} {}{took}{why}{allowed}", step_state(step.status, step.allow_failure).shape(look), label(step))
}

/// A step's name, and its attempt where it is not the first.
fn label(step: &StepRow) -> String {
    let again = if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    format!("{}{again}", plain(&step.name))
}

fn artifact_path(data: &Path, artifact: &ArtifactRow) -> PathBuf {
    data.join("artifacts").join(artifact.job_id.to_string()).join(&artifact.sha256)
}
