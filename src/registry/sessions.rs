//! Pushes that are under way: between the first word about a blob and the manifest that names it, garbage collection
//! would take the blob for garbage.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};
use tokio::time::Instant;

use crate::model::JobId;

/// A push without a word for so long was given up.
const SILENT: Duration = Duration::from_secs(3600);

/// Every push that is under way, by job and repository.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    gate: Arc<RwLock<()>>,
    open: Mutex<HashMap<(JobId, String), Session>>,
}

#[derive(Debug)]
struct Session {
    _gate: OwnedRwLockReadGuard<()>,
    last: Instant,
}

impl Sessions {
    /// A word about a push. Waits while garbage is collected.
    pub(super) async fn word(&self, job: JobId, repository: &str) {
        let known = |sessions: &Self| {
            let mut open = sessions.open.lock().unwrap_or_else(PoisonError::into_inner);
            let session = open.get_mut(&(job, repository.to_owned()));
            session.map(|session| session.last = Instant::now()).is_some()
        };
        if known(self) {
            return;
        }
        let gate = Arc::clone(&self.gate).read_owned().await;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert((job, repository.to_owned()), Session { _gate: gate, last: Instant::now() });
    }

    /// The manifest is there: what it names is garbage no more.
    pub(super) fn done(&self, job: JobId, repository: &str) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&(job, repository.to_owned()));
    }

    /// The job has ended, and its pushes with it.
    pub(super) fn gone(&self, job: JobId) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|(of, _), _| *of != job);
    }

    /// Closes the gate, where nothing is under way; new pushes wait until it opens.
    pub(super) fn close(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        let fresh = |session: &mut Session| session.last.elapsed() < SILENT;
        self.open.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, session| fresh(session));
        Arc::clone(&self.gate).try_write_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Ids, SeededIds};

    #[tokio::test]
    async fn garbage_is_collected_between_pushes_alone() {
        let ids = SeededIds::new(1);
        let (one, two) = (JobId::from_uuid(ids.uuid()), JobId::from_uuid(ids.uuid()));
        let sessions = Arc::new(Sessions::default());
        sessions.word(one, "web/a").await;
        sessions.word(one, "web/a").await;
        sessions.word(two, "web/b").await;
        assert!(sessions.close().is_none());
        sessions.done(one, "web/a");
        assert!(sessions.close().is_none());
        sessions.gone(two);
        let closed = sessions.close().unwrap();
        let waiting = tokio::spawn({
            let sessions = Arc::clone(&sessions);
            async move { sessions.word(one, "web/a").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(closed);
        waiting.await.unwrap();
        assert!(sessions.close().is_none());
    }
}
