//! Reports of a danubefile about its job: test results out of the workspace, and annotations.
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use danube_shim::frame::{self, FrameError};
use danube_shim::transfer::Item;
use serde::{Deserialize, Serialize};

use super::artifact_calls::{of_executor, pipe};
use super::call::Call;
use super::canonical::Canonical;
use super::error::chain;
use super::journal::{Entry, done, read};
use super::{CallError, LiveJob, bounds};
use crate::junit::{self, Collected, Collector};
use crate::store::annotations::{self, AnnotationLevel, NewAnnotation};
use crate::store::test_reports::{self, NewTestReport, TestReportRow, TestResultRow};
use crate::store::{Durability, StoreError, Tx, journal};

/// The name of a report that was given none.
pub(super) const NAME: &str = "tests";
/// Bytes of one file that is read.
const FILE: u64 = 32 << 20;
/// Bytes of all files of one call.
const FILES: u64 = 256 << 20;
/// Reports of one job.
const REPORTS: usize = 200;
/// Sentences about what was cut, in one report.
const NOTES: usize = 20;
/// Tests that a summary names.
const NAMED: u32 = 10;
/// Bytes of an annotation.
const ANNOTATION: usize = 64 << 10;
/// Annotations of one job.
const ANNOTATIONS: u64 = 50;

/// What a call of tests.junit found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TestSummary {
    /// The name under which it is kept.
    pub name: String,
    /// Files read.
    pub files: u64,
    /// Tests in all.
    pub total: u64,
    /// Passed.
    pub passed: u64,
    /// Failed or ended in an error.
    pub failed: u64,
    /// Not run.
    pub skipped: u64,
    /// Failing here and not in the last green run.
    pub newly_failing: u64,
    /// Flaky.
    pub flaky: u64,
    /// The time of all together.
    pub seconds: f64,
    /// The same in words.
    pub lines: Vec<String>,
}

/// A text that a danubefile shows on top of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// The text, never empty.
    pub markdown: String,
    /// How loud it is.
    pub level: AnnotationLevel,
}

impl Annotation {
    /// Reads what an SDK sent; `level` is empty for the default.
    pub fn parse(markdown: String, level: &str) -> Result<Self, CallError> {
        let level = match level {
            "" => Some(AnnotationLevel::Info),
            word => AnnotationLevel::parse(word),
        };
        let level = level.ok_or_else(|| CallError::Invalid("level= is none of info, warning, error".to_owned()))?;
        if markdown.trim().is_empty() {
            return Err(CallError::Invalid("the text of the annotation is empty".to_owned()));
        }
        if markdown.len() > ANNOTATION {
            let bytes = markdown.len();
            return Err(CallError::Invalid(format!(
                "the annotation has {bytes} bytes, the limit is {ANNOTATION}: upload it as an artifact"
            )));
        }
        Ok(Self { markdown, level })
    }
}

impl LiveJob {
    /// Keeps the results in the JUnit files that a pattern names.
    pub async fn junit(self: &Arc<Self>, call: Call, glob: String, name: String) -> Result<TestSummary, CallError> {
        bounds::path("the pattern of the reports", &glob)?;
        bounds::name("name=", &name)?;
        if glob.trim().is_empty() || name.trim().is_empty() {
            return Err(CallError::Invalid("tests.junit needs a pattern and a name".to_owned()));
        }
        let canonical = Canonical::junit(&glob, &name);
        if let Entry::Done(bytes) = self.enter(&call, &canonical, |_| Ok(())).await? {
            return read(&bytes);
        }
        let work = {
            let (job, call) = (Arc::clone(self), call.clone());
            async move { job.keep_tests(&call, glob, &name).await }
        };
        self.once(&call.key, work).await?;
        self.answered(&call).await
    }

    async fn keep_tests(self: &Arc<Self>, call: &Call, glob: String, name: &str) -> Result<(), CallError> {
        let id = self.row.id;
        let made = self.engine.store.read(move |view| test_reports::of_job(view, id)).await?.len();
        let found = if made < REPORTS {
            self.collect(&glob).await
        } else {
            Err(CallError::Invalid(format!(
                "the job has {REPORTS} test reports, which is the limit: join some of them"
            )))
        };
        let (files, found) = match found {
            Ok(found) => found,
            Err(error) => {
                return self.record(call, self.written::<TestSummary>(Err(error))?, |_| Ok(())).await.map(drop);
            }
        };
        let new = NewTestReport {
            job_id: id,
            key: call.key.to_string(),
            name: self.masks.redact(&label(name, call.key.branch())),
            branch: call.key.branch().to_owned(),
            files,
            total: found.total,
            passed: found.passed,
            failed: found.failed,
            skipped: found.skipped,
            millis: found.millis,
            cases: found.cases,
            notes: found.notes,
        };
        let (lease, key) = (self.lease.id, call.key.to_string());
        let keep = move |tx: &Tx<'_>| {
            let row = test_reports::record(tx, lease, new)?;
            let first = test_reports::page(tx, &[row.id], &[0, 1, 2], None, NAMED)?;
            let answer = done(&summary(row, &first)).map_err(|error| StoreError::corrupt("write an answer", error))?;
            journal::answer(tx, lease, id, &key, &answer)
        };
        Ok(self.engine.store.write("orchestrator.reports", Durability::Progress, keep).await?)
    }

    /// Reads the files while the executor sends them.
    async fn collect(self: &Arc<Self>, glob: &str) -> Result<(u64, Collected), CallError> {
        let (source, sink) = pipe()?;
        let job = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || take(source, &|text| job.masks.redact(text)));
        let sent = self.engine.executor.collect(self.row.id, glob.to_owned(), sink).await;
        let taken = reading.await.map_err(|error| CallError::Unavailable(error.to_string()))?;
        match (sent, taken) {
            (Ok(()), Ok(taken)) => taken.checked(glob),
            // Who stopped reading has what it wanted; the sender can only complain that nobody listens.
            (_, Ok(taken)) if taken.stopped => taken.checked(glob),
            (Err(error), _) => Err(of_executor(error)),
            (Ok(()), Err(error)) => Err(error),
        }
    }

    /// Shows a text on top of the job.
    pub async fn annotate(&self, call: Call, annotation: Annotation) -> Result<(), CallError> {
        let canonical = Canonical::annotate(&annotation);
        let Annotation { markdown, level } = annotation;
        if let Entry::Done(bytes) = self.enter(&call, &canonical, |_| Ok(())).await? {
            return read(&bytes);
        }
        let job_id = self.row.id;
        if self.engine.store.read(move |view| annotations::count(view, job_id)).await? >= ANNOTATIONS {
            let full = CallError::Invalid(format!("the job has {ANNOTATIONS} annotations, which is the limit"));
            return read(&self.record(&call, self.written::<()>(Err(full))?, |_| Ok(())).await?);
        }
        let new = NewAnnotation {
            job_id,
            key: call.key.to_string(),
            level,
            markdown: self.masks.redact(&markdown),
            place: call.place.clone(),
        };
        let lease = self.lease.id;
        let insert = move |tx: &Tx<'_>| annotations::insert(tx, lease, &new);
        read(&self.record(&call, self.written(Ok(()))?, insert).await?)
    }
}

/// What was read out of the stream.
struct Taken {
    collected: Collected,
    files: u64,
    damaged: u64,
    stopped: bool,
}

impl Taken {
    /// A report of which nothing could be read is an error.
    fn checked(self, glob: &str) -> Result<(u64, Collected), CallError> {
        if self.collected.total == 0 && self.damaged > 0 {
            return Err(CallError::Invalid(format!(
                "{glob}: no test could be read: {}",
                self.collected.notes.join("; ")
            )));
        }
        Ok((self.files, self.collected))
    }
}

/// Reads file after file; a bad one is noted and does not hide the others.
fn take(mut source: File, redact: &dyn Fn(&str) -> String) -> Result<Taken, CallError> {
    let mut into = Collector::new(redact);
    let (mut files, mut bytes, mut damaged, mut stopped) = (0_u64, 0_u64, 0_u64, false);
    let mut notes: Vec<String> = Vec::new();
    let broken =
        |error: &dyn std::error::Error| CallError::Unavailable(format!("the reports broke off: {}", chain(error)));
    loop {
        let item: Item = match frame::read(&mut source, frame::HEADER_LIMIT) {
            Ok(item) => item,
            Err(FrameError::Cut) => break,
            Err(error) => return Err(broken(&error)),
        };
        let size = item.size.unwrap_or(0);
        let path = redact(&item.name);
        bytes = bytes.saturating_add(size);
        if bytes > FILES || into.is_full() {
            stopped = true;
            let limit = FILES >> 20;
            notes.push(format!("the files have more than {limit} MiB together: read up to {path}"));
            break;
        }
        files += 1;
        let mut body = (&mut source).take(size);
        let damage = if size > FILE {
            let (is, limit) = (size >> 20, FILE >> 20);
            Some(format!("it has {is} MiB, the limit is {limit} MiB: leave the output of tests out of it, or split it"))
        } else {
            junit::parse(&mut body, &mut into).err().map(|damage| redact(&damage.to_string()))
        };
        io::copy(&mut body, &mut io::sink()).map_err(|error| broken(&error))?;
        if let Some(why) = damage {
            damaged += 1;
            if notes.len() < NOTES {
                notes.push(format!("{path}: {why}"));
            }
        }
    }
    let more = damaged.saturating_sub(NOTES as u64);
    if more > 0 {
        notes.push(format!("{more} further files could not be read whole"));
    }
    let mut collected = into.finish();
    collected.notes.splice(0..0, notes);
    Ok(Taken { collected, files, damaged, stopped })
}

/// The name of a report with the branch that called: what `tests` means in each part of a matrix.
fn label(name: &str, branch: &str) -> String {
    let parts = branch.split('/').filter_map(|part| Some(part.split_once('[')?.1.trim_end_matches(']')));
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() { name.to_owned() } else { format!("{name} [{}]", parts.join(" / ")) }
}

fn summary(row: TestReportRow, first: &[TestResultRow]) -> TestSummary {
    let seconds = row.seconds();
    let mut counts = vec![format!("{} passed", row.passed)];
    counts.extend((row.failed > 0).then(|| format!("{} failed", row.failed)));
    counts.extend((row.skipped > 0).then(|| format!("{} skipped", row.skipped)));
    let files = if row.files == 1 { "1 file".to_owned() } else { format!("{} files", row.files) };
    let tests = if row.total == 1 { "1 test".to_owned() } else { format!("{} tests", row.total) };
    let mut lines = vec![format!("{}: {tests} in {files}, {} ({seconds:.1} s)", row.name, counts.join(", "))];
    for result in first {
        let word = match (result.place, result.flaky) {
            (0, _) => "newly failing",
            (1, true) => "failed, flaky",
            (1, false) => "failed",
            _ => "flaky, passed",
        };
        let suite = if result.suite.is_empty() { String::new() } else { format!("{} › ", result.suite) };
        lines.push(format!("  {word}: {suite}{}", result.name));
    }
    let named = u64::try_from(first.len()).unwrap_or(u64::MAX);
    let rest = row.failed.saturating_sub(named);
    lines.extend((rest > 0).then(|| format!("  and {rest} more failed")));
    lines.extend(row.notes.iter().map(|note| format!("  note: {note}")));
    TestSummary {
        name: row.name,
        files: row.files,
        total: row.total,
        passed: row.passed,
        failed: row.failed,
        skipped: row.skipped,
        newly_failing: row.newly_failing,
        flaky: row.flaky,
        seconds,
        lines,
    }
}

#[cfg(test)]
mod tests {
    use super::label;

    #[test]
    fn a_branch_tells_reports_of_one_name_apart() {
        assert_eq!(label("tests", ""), "tests");
        assert_eq!(label("tests", "/matrix#0[python=3,mode=fast]"), "tests [python=3,mode=fast]");
        assert_eq!(label("unit", "/parallel#0[1]/matrix#2[db=16]"), "unit [1 / db=16]");
    }
}
