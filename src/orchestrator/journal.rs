//! The journal of a job: every call with its answer, so that a coordinator may be started again.
use std::future::Future;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bounds::CALLS;
use super::call::Call;
use super::canonical::{Canonical, difference};
use super::error::chain;
use super::live::Ending;
use super::reuse::Taken;
use super::{CallError, LiveJob};
use crate::store::journal::{self, CallState, NewCall};
use crate::store::{Durability, JournalRow, StoreError, Tx};

/// What the journal says about a call that arrives.
pub(super) enum Entry<T> {
    /// It was answered.
    Done(Vec<u8>),
    /// It is recorded; `T` comes from the transaction that recorded it first.
    Open(Option<T>),
}

/// An answer as it is recorded. What may be different next time (`Unavailable`) is not recorded.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Ok(T),
    Invalid(String),
    NotFound(String),
    Denied(String),
}

enum Opened<T> {
    Known(Box<JournalRow>),
    New(T),
    Full,
}

impl LiveJob {
    /// Records a call, or finds it recorded. `first` runs in the same transaction, where it is new.
    pub(super) async fn enter<T, F>(&self, call: &Call, canonical: &Canonical, first: F) -> Result<Entry<T>, CallError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.still_open()?;
        let shown = canonical.shown(&|text| self.masks.redact(text));
        let new = NewCall {
            job_id: self.row.id,
            key: call.key.to_string(),
            call_hash: canonical.hash(),
            place: call.place.clone(),
            request: shown.clone(),
        };
        let (hash, lease, reuse) = (new.call_hash.clone(), self.lease.id, self.reuse.clone());
        let opened = self.engine.store.write("orchestrator.call", Durability::Progress, move |tx| {
            if let Some(known) = journal::find(tx, new.job_id, &new.key)? {
                return Ok(Opened::Known(Box::new(known)));
            }
            if journal::count(tx, new.job_id)? >= u64::from(CALLS) {
                return Ok(Opened::Full);
            }
            let taken = reuse.map(|reuse| reuse.take(tx, lease, &new)).transpose()?;
            if let Some(Taken::Answered(row)) = taken {
                return Ok(Opened::Known(Box::new(row)));
            }
            journal::open(tx, lease, &new)?;
            if let Some(Taken::Made(true)) = taken {
                journal::mark_anew(tx, new.job_id, &new.key)?;
            }
            first(tx).map(Opened::New)
        });
        match opened.await? {
            Opened::New(made) => Ok(Entry::Open(Some(made))),
            Opened::Full => Err(CallError::Exhausted(format!("the job has made {CALLS} calls, which is the limit"))),
            Opened::Known(known) if known.call_hash != hash => Err(self.differs(&known, call, &shown)),
            Opened::Known(known) if known.state == CallState::Done => Ok(Entry::Done(known.answer.unwrap_or_default())),
            Opened::Known(_) => Ok(Entry::Open(None)),
        }
    }

    /// The job can't go on: its danubefile took another way than the recorded one.
    fn differs(&self, known: &JournalRow, call: &Call, shown: &str) -> CallError {
        let (before, now) = (known.place().to_string(), call.place.to_string());
        let error =
            CallError::Nondeterministic(difference(call.key.as_str(), (&before, &known.request), (&now, shown)));
        self.close(Ending::Failed(error.clone()));
        error
    }

    /// Answers a call from the journal, or computes and records its answer. Nothing else may be done by `compute`.
    pub(super) async fn recorded<T, F>(&self, call: &Call, canonical: &Canonical, compute: F) -> Result<T, CallError>
    where
        T: Serialize + DeserializeOwned + Send,
        F: Future<Output = Result<T, CallError>> + Send,
    {
        match self.enter(call, canonical, |_| Ok(())).await? {
            Entry::Done(bytes) => read(&bytes),
            Entry::Open(_) => {
                let answer = self.written(compute.await)?;
                read(&self.record(call, answer, |_| Ok(())).await?)
            }
        }
    }

    /// Records the answer of a call, together with what `also` writes; the first answer stands and comes back.
    pub(super) async fn record<F>(&self, call: &Call, answer: Vec<u8>, also: F) -> Result<Vec<u8>, CallError>
    where
        F: FnOnce(&Tx<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let (job, lease, key) = (self.row.id, self.lease.id, call.key.to_string());
        let stored = self.engine.store.write("orchestrator.answer", Durability::Progress, move |tx| {
            also(tx)?;
            journal::answer(tx, lease, job, &key, &answer)?;
            journal::find(tx, job, &key)
        });
        Ok(stored.await?.and_then(|row| row.answer).unwrap_or_default())
    }

    /// The bytes of an answer; an error that may pass is handed back instead. Errors name what the danubefile sent,
    /// so they are redacted.
    pub(super) fn written<T: Serialize>(&self, result: Result<T, CallError>) -> Result<Vec<u8>, CallError> {
        let answer = match result {
            Ok(value) => Answer::Ok(value),
            Err(CallError::Invalid(text)) => Answer::Invalid(self.masks.redact(&text)),
            Err(CallError::NotFound(text)) => Answer::NotFound(self.masks.redact(&text)),
            Err(CallError::Denied(text)) => Answer::Denied(self.masks.redact(&text)),
            Err(passing) => return Err(passing),
        };
        serde_json::to_vec(&answer).map_err(|error| CallError::Unavailable(chain(&error)))
    }

    /// The answer of a call whose work is done.
    pub(super) async fn answered<T: DeserializeOwned>(&self, call: &Call) -> Result<T, CallError> {
        let (job, key) = (self.row.id, call.key.to_string());
        let row = self.engine.store.read(move |view| journal::find(view, job, &key)).await?;
        match row.and_then(|row| row.answer) {
            Some(bytes) => read(&bytes),
            None => Err(CallError::Unavailable("the call has no answer yet".to_owned())),
        }
    }
}

/// The bytes of an answer that is known only within its transaction.
pub(super) fn done<T: Serialize>(value: &T) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Answer::Ok(value))
}

/// An answer from its bytes.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CallError> {
    let damaged = |error| CallError::Unavailable(format!("the journal of the job is damaged: {error}"));
    match serde_json::from_slice(bytes).map_err(damaged)? {
        Answer::Ok(value) => Ok(value),
        Answer::Invalid(text) => Err(CallError::Invalid(text)),
        Answer::NotFound(text) => Err(CallError::NotFound(text)),
        Answer::Denied(text) => Err(CallError::Denied(text)),
    }
}
