//! Workspaces that outlive their job, for a later one that goes on in them.
//!
//! A kept workspace stays in the directory of its job with nothing but a mark beside it, and keeps the uid range of
//! its files: who adopts it gets directory and range, so no file changes its owner.
use std::fs;
use std::io;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::job::{io_error, make_dir, remove_tree};
use super::{Local, measure, uids};
use crate::executor::ExecutorError;
use crate::model::JobId;
use crate::platform::fault;

/// The longest that the end of a job waits for the size of its workspace; one that takes longer is not kept.
const MEASURE: Duration = Duration::from_secs(10);

/// What says that a directory holds a kept workspace. It is written last: all else is gone by then.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    version: u32,
    /// Whose it was: it goes along when the directory gets another name.
    job: JobId,
    /// The first uid of its files.
    base: u32,
    /// What it takes on disk.
    bytes: u64,
}

impl Local {
    /// Ends a job and keeps its workspace; gives its size. `None`: nothing is kept, and nothing of the job is left.
    pub fn keep(&self, job: JobId) -> Result<Option<u64>, ExecutorError> {
        let lock = self.lock_of(job);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.end_all(job)?;
        if let Some(mark) = self.mark(job).filter(|mark| mark.job == job) {
            self.clear_beside(job)?;
            return Ok(Some(mark.bytes));
        }
        if !self.layout.ready(job).exists() {
            return self.remove(job).map(|()| None);
        }
        let base = self.users_of(job)?.base;
        let bytes = match measure::bytes(&self.layout.workspace(job), MEASURE) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::warn!(%job, %error, "the size of a workspace is not known, so it is not kept");
                return self.remove(job).map(|()| None);
            }
        };
        self.clear_beside(job)?;
        let mark = Mark { version: 1, job, base, bytes };
        let text = serde_json::to_vec(&mark).map_err(|e| ExecutorError::Start(e.to_string()))?;
        crate::platform::atomic::write("executor.kept", &self.layout.kept(job), &text, 0o600)
            .map_err(|e| io_error("mark the workspace as kept", &e))?;
        self.unready(job)?;
        // A request that came late may have made one more before the mark stood.
        self.disconnect(job).map_err(|e| io_error("remove the job's network", &e))?;
        Ok(Some(bytes))
    }

    /// Makes the workspace that `from` left the one of `to`. Said again, it goes on where it was cut.
    pub(super) fn adopt(&self, from: JobId, to: JobId) -> Result<(), ExecutorError> {
        let lock = self.lock_of(from);
        let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, new) = (self.layout.job(from), self.layout.job(to));
        if self.mark(to).is_none() {
            if self.mark(from).is_none_or(|mark| mark.job != from) {
                return Err(gone(from));
            }
            self.unready(from)?;
            remove_tree(&new).map_err(|e| io_error("remove a half-made workspace", &e))?;
            let moved = fault::around("executor.adopt", || match self.rootless {
                true => fs::rename(&old, &new),
                false => uids::hand_over(&self.layout.uids, &old, &new),
            });
            moved.map_err(|e| io_error("take over the kept workspace", &e))?;
        }
        let mark = self.mark(to).ok_or_else(|| gone(from))?;
        if mark.job != from || !self.claims(&new, mark.base).map_err(|e| io_error("find its uid range", &e))? {
            return Err(gone(from));
        }
        remove_tree(&self.layout.source(to)).map_err(|e| io_error("remove a half-made checkout", &e))?;
        self.make_tree(to).map_err(|e| io_error("make the job's directory", &e))
    }

    /// The workspace is the job's own now.
    pub(super) fn forget_kept(&self, job: JobId) -> Result<(), ExecutorError> {
        absent(fs::remove_file(self.layout.kept(job))).map_err(|e| io_error("unmark the kept workspace", &e))
    }

    /// Takes the uid ranges of kept workspaces again, before any job gets one; one whose range is another's is removed.
    pub(super) fn reclaim(&self) {
        for job in self.list().unwrap_or_default() {
            let Some(mark) = self.mark(job) else { continue };
            let claimed = self.claims(&self.layout.job(job), mark.base);
            if !matches!(claimed, Ok(true)) {
                tracing::warn!(%job, ?claimed, "the uids of a kept workspace are another's now; it is removed");
                if let Err(error) = self.remove(job) {
                    tracing::error!(%job, %error, "a kept workspace could not be removed");
                }
            }
        }
    }

    fn claims(&self, dir: &Path, base: u32) -> io::Result<bool> {
        if self.rootless { Ok(true) } else { uids::claim(&self.layout.uids, dir, base) }
    }

    fn mark(&self, job: JobId) -> Option<Mark> {
        let text = fs::read(self.layout.kept(job)).ok()?;
        serde_json::from_slice(&text).ok().filter(|mark: &Mark| mark.version == 1)
    }

    fn unready(&self, job: JobId) -> Result<(), ExecutorError> {
        absent(fs::remove_file(self.layout.ready(job))).map_err(|e| io_error("unmark the workspace", &e))
    }

    /// Removes everything of a job but its workspace, which nobody but root can reach then.
    fn clear_beside(&self, job: JobId) -> Result<(), ExecutorError> {
        self.disconnect(job).map_err(|e| io_error("remove the job's network", &e))?;
        let layout = &self.layout;
        for dir in
            [layout.steps(job), layout.roots(job), layout.source(job), layout.job_caches(job), layout.job_run(job)]
        {
            remove_tree(&dir).map_err(|e| io_error("remove what a job left", &e))?;
        }
        absent(fs::remove_file(layout.held_layers(job))).map_err(|e| io_error("let go of the layers of a job", &e))?;
        make_dir(&layout.job(job), 0o700).map_err(|e| io_error("close the kept workspace", &e))
    }
}

fn gone(job: JobId) -> ExecutorError {
    ExecutorError::User(format!("the workspace that job {job} left is not on this machine any more"))
}

fn absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
