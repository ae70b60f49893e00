//! What earlier releases left on disk is read: every copy in `src/shim/tests/golden/step-v*`, which the writers of those
//! versions made, by the executor and by the code behind every log.
use std::fs;
use std::path::{Path, PathBuf};

use danube::executor::{Executor, StepAt, StepEnd, StepState};
use danube::logs::{JobLog, Stream, StreamFile};
use danube::model::JobId;
use danube::platform::{Ids, SystemIds};

use super::support::executor::Box;

/// The copies of all versions, oldest first.
fn versions() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/shim/tests/golden");
    let entries = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    assert!(found.iter().any(|path| path.ends_with("step-v1")), "{found:?}");
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => _ = fs::copy(entry.path(), to.join(entry.file_name())).unwrap(),
        }
    }
}

struct Kept {
    executor: Box,
    job: JobId,
}

impl Kept {
    /// The executor after an upgrade: the step of this kind lies where the old one left it.
    fn of(version: &Path, kind: &str) -> Self {
        let this = Self { executor: Box::start(), job: JobId::from_uuid(SystemIds::new().uuid()) };
        copy(&version.join(kind), &this.steps().join("1.1"));
        let logs = this.logs();
        fs::create_dir(&logs).unwrap();
        for (name, suffix) in [("log", "log"), ("idx", "idx")] {
            fs::copy(version.join(kind).join(name), logs.join(format!("1.1.{suffix}"))).unwrap();
        }
        this
    }

    fn steps(&self) -> PathBuf {
        self.executor.dir.path().join("executor/jobs").join(self.job.to_string()).join("steps")
    }

    fn logs(&self) -> PathBuf {
        self.executor.dir.path().join("logs")
    }

    fn at(&self) -> StepAt {
        self.executor.at(self.job, 1)
    }

    async fn seen(&self) -> StepState {
        self.executor.client.observe(self.at()).await.unwrap()
    }

    async fn end(&self) -> StepEnd {
        match self.seen().await {
            StepState::Ended(end) => end,
            other => panic!("{other:?}"),
        }
    }

    /// What each writer wrote, by the whole job's log.
    fn wrote(&self, stream: Stream) -> String {
        let log = JobLog::open(&self.logs()).unwrap();
        let length = usize::try_from(log.total_len()).unwrap();
        let pieces = log.pieces(0, length).unwrap().into_iter().filter(|piece| piece.stream == stream);
        String::from_utf8(pieces.flat_map(|piece| piece.bytes).collect()).unwrap()
    }
}

#[tokio::test]
async fn the_end_of_a_step_of_every_release_is_met() {
    for version in versions() {
        let kept = Kept::of(&version, "ended");
        let end = kept.end().await;
        assert_eq!((end.exit_code, end.oom_kills, &end.error), (7, 0, &None));
        assert!(
            !end.log_overflow && !end.log_truncated && 0 < end.started_ns && end.started_ns <= end.ended_ns,
            "{end:?}"
        );
        assert_eq!(
            (kept.wrote(Stream::Note), kept.wrote(Stream::Stdout), kept.wrote(Stream::Stderr)),
            ("danube: attempt 1\n".into(), "one\n".into(), "two\n".into())
        );
        let stream = StreamFile::new(kept.logs(), "1.1".parse().unwrap());
        assert_eq!(stream.sha256().unwrap().bytes, end.log_bytes, "the log is as long as its record says");
        kept.executor.client.teardown(kept.job).await.unwrap();
    }
}

#[tokio::test]
async fn a_step_whose_supervisor_died_is_lost_in_every_release() {
    for version in versions() {
        let kept = Kept::of(&version, "lost");
        assert!(matches!(kept.seen().await, StepState::Lost));
        assert_eq!(kept.wrote(Stream::Stdout), "one\n");
        kept.executor.client.teardown(kept.job).await.unwrap();
    }
}

#[tokio::test]
async fn a_captured_secret_of_every_release_is_there() {
    for version in versions() {
        let kept = Kept::of(&version, "captured");
        assert_eq!(kept.end().await.exit_code, 0);
        let secret = kept.executor.client.captured(kept.at()).await.unwrap();
        assert_eq!(secret.expose(), b"fresh-token");
        assert_eq!((kept.wrote(Stream::Stdout), kept.wrote(Stream::Stderr)), (String::new(), "visible\n".into()));
        kept.executor.client.teardown(kept.job).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_over_its_limit_of_every_release_is_known() {
    for version in versions() {
        let kept = Kept::of(&version, "overflow");
        let end = kept.end().await;
        assert!(end.log_overflow && end.log_truncated, "{end:?}");
        assert!(kept.wrote(Stream::Note).contains("log limit"), "{}", kept.wrote(Stream::Note));
        kept.executor.client.teardown(kept.job).await.unwrap();
    }
}
