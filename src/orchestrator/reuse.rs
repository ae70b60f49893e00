//! Rerun from failed: what the parent had done well is answered from its journal, up to the point where reuse ends.
//!
//! Reuse ends for a branch at the first call that is missing in the parent, had not ended well, or is another call.
//! From there on the branch runs, and all that comes after it; branches beside it are still answered.
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, PoisonError};

use super::artifact_calls::Kept;
use super::call::{Call, StepAnswer};
use super::journal::read;
use super::{CallError, DriveError, LiveJob};
use crate::artifacts::{self, Digest};
use crate::model::call::{CallKey, side_by_side};
use crate::model::{JobId, LeaseId};
use crate::store::journal::{self, NewCall, Reused};
use crate::store::{Durability, JournalRow, Store, StoreError, Tx, View, annotations, jobs, kept_workspaces, steps};
use crate::trigger;

/// Calls that belong to the job that makes them: they are made again, and what follows may still be answered.
const OWN: [&str; 6] = ["machine", "declare", "mask", "reveal", "start", "stop"];

/// What a rerun takes from its parent.
pub(super) struct Reuse {
    pub(super) parent: JobId,
    /// Branches in which reuse has ended.
    ended: Mutex<BTreeSet<String>>,
    /// Artifacts whose files are this job's already.
    linked: Mutex<HashSet<String>>,
}

/// What a call of a rerun comes to.
pub(super) enum Taken {
    /// The parent's answer.
    Answered(JournalRow),
    /// It is made; `true`: what follows may still be answered.
    Made(bool),
}

impl Reuse {
    /// Of a job that goes on in its parent's workspace; where its reuse has ended is in its own journal.
    pub(super) async fn open(store: &Store, job: JobId, parent: JobId) -> Result<Self, DriveError> {
        let calls = store.read(move |view| journal::of_job(view, job)).await?;
        let made = calls.into_iter().filter(|call| call.reused == Reused::No);
        let keys = made.filter_map(|call| CallKey::parse(&call.key).ok()).filter(|key| !OWN.contains(&key.kind()));
        let ended = keys.map(|key| key.branch().to_owned()).collect();
        Ok(Self { parent, ended: Mutex::new(ended), linked: Mutex::default() })
    }

    /// Answers a new call of a job from its parent, with all that hangs on the answer, in one transaction.
    pub(super) fn take(&self, tx: &Tx<'_>, lease: LeaseId, call: &NewCall) -> Result<Taken, StoreError> {
        let Ok(key) = CallKey::parse(&call.key) else { return Ok(Taken::Made(false)) };
        if OWN.contains(&key.kind()) {
            return Ok(Taken::Made(true));
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let over = ended.iter().any(|branch| !side_by_side(branch, key.branch()));
        let known = if over { None } else { journal::find(tx, self.parent, &call.key)? };
        let fits = known.filter(|known| known.call_hash == call.call_hash && ended_well(key.kind(), known));
        let Some(known) = fits else {
            ended.insert(key.branch().to_owned());
            return Ok(Taken::Made(false));
        };
        let (parent, job) = (self.parent, call.job_id);
        match key.kind() {
            "run" | "build" => steps::take_over(tx, lease, parent, job, &call.key)?,
            "annotate" => annotations::take_over(tx, lease, parent, job, &call.key)?,
            "upload" if !self.take_artifact(tx, lease, job, &known)? => return Ok(Taken::Made(true)),
            _ => {}
        }
        journal::take_over(tx, lease, parent, call).map(Taken::Answered)
    }

    fn take_artifact(&self, tx: &Tx<'_>, lease: LeaseId, job: JobId, call: &JournalRow) -> Result<bool, StoreError> {
        let Some(kept) = answer_of::<Kept>(call) else { return Ok(false) };
        let linked = self.linked.lock().unwrap_or_else(PoisonError::into_inner).contains(&kept.sha256);
        Ok(linked && crate::store::artifacts::take_over(tx, lease, self.parent, job, &kept.name)?)
    }

    /// The place in the job of a step that is run.
    pub(super) fn place(&self, tx: &View<'_>, job: JobId, key: &str) -> Result<Option<u32>, StoreError> {
        steps::place_in_rerun(tx, self.parent, job, key)
    }
}

impl LiveJob {
    /// Makes the file of an artifact that the parent stored by this call this job's too. Where that is not to be had,
    /// the call is made again.
    pub(super) async fn link_artifact(&self, call: &Call) -> Result<(), CallError> {
        let Some(reuse) = &self.reuse else { return Ok(()) };
        let (parent, key) = (reuse.parent, call.key.to_string());
        let known = self.engine.store.read(move |view| journal::find(view, parent, &key)).await?;
        let Some(kept) = known.as_ref().and_then(answer_of::<Kept>) else { return Ok(()) };
        let Ok(digest) = kept.sha256.parse::<Digest>() else { return Ok(()) };
        let (from, to) = (self.engine.dirs.artifacts_of(parent), self.engine.dirs.artifacts_of(self.row.id));
        let linked = tokio::task::spawn_blocking(move || artifacts::link(&from, &to, &digest)).await;
        match linked.map_err(|error| CallError::Unavailable(error.to_string()))? {
            Ok(true) => {
                reuse.linked.lock().unwrap_or_else(PoisonError::into_inner).insert(kept.sha256);
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => Err(CallError::Unavailable(super::error::chain(&error))),
        }
    }

    /// Takes the parent's workspace for this job; `Some`: why it can't be had.
    pub(super) async fn take_workspace(&self) -> Result<Option<String>, DriveError> {
        let Some(parent) = self.reuse.as_ref().map(|reuse| reuse.parent) else { return Ok(None) };
        let (lease, job) = (self.lease.id, self.row.id);
        let why = self.engine.store.write("orchestrator.take_workspace", Durability::Progress, move |tx| {
            if kept_workspaces::take(tx, lease, parent, job)? {
                return Ok(None);
            }
            let parent = jobs::get(tx, parent)?;
            let why = trigger::no_workspace(tx, &parent)?;
            let why = why.unwrap_or_else(|| "its workspace is not there any more".to_owned());
            Ok(Some(format!(
                "it was to go on where {} stopped, and {why}: run all of it again by `danube job rerun {}`",
                parent.label(),
                parent.label()
            )))
        });
        Ok(why.await?)
    }
}

/// What a call came to, where it came to anything.
fn answer_of<T: serde::de::DeserializeOwned>(call: &JournalRow) -> Option<T> {
    read(call.answer.as_deref()?).ok()
}

/// A call that is not to be made again: what it did is done. A captured secret was forgotten with its job.
fn ended_well(kind: &str, call: &JournalRow) -> bool {
    if !matches!(kind, "run" | "build") {
        return answer_of::<serde_json::Value>(call).is_some();
    }
    let fields: serde_json::Value = serde_json::from_str(&call.request).unwrap_or_default();
    let may_fail = fields.get("allow_failure").and_then(serde_json::Value::as_bool).unwrap_or(false);
    answer_of::<StepAnswer>(call).is_some_and(|answer| {
        answer.captured.is_empty() && (answer.outcome == crate::model::step::Cause::Success || may_fail)
    })
}
