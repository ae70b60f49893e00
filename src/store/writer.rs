//! The one thread that writes: takes what waits, commits it together, then answers.
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Durability, StoreError, Tx};
use crate::platform::{Clock, Ids, fault};

/// Writes that may wait; who comes later waits for a place.
const QUEUE: usize = 1024;

/// Writes that share one commit.
const GROUP: usize = 64;

/// One write on its way to the thread.
pub(super) struct Write {
    point: &'static str,
    durability: Durability,
    work: Work,
}

/// The code of a write. Handed no transaction, it only prepares to tell its caller.
type Work = Box<dyn FnOnce(Option<&Tx<'_>>) -> Answer + Send>;

/// What a write's own code came to: keep it or undo it, and whom to tell.
struct Answer {
    keep: bool,
    /// Where it is met once more after the commit; nothing where nothing was changed.
    point: Option<&'static str>,
    tell: Box<dyn FnOnce(Result<(), Refusal>) + Send>,
}

/// Why a whole group was not committed.
#[derive(Debug, Clone)]
struct Refusal {
    code: Option<ErrorCode>,
    why: String,
}

impl From<&rusqlite::Error> for Refusal {
    fn from(error: &rusqlite::Error) -> Self {
        Self { code: error.sqlite_error_code(), why: error.to_string() }
    }
}

/// A fault that a test asked for looks like SQLite's own.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::StorageFull => ErrorCode::DiskFull,
            _ => ErrorCode::SystemIoFailure,
        };
        Self { code: Some(code), why: error.to_string() }
    }
}

impl From<Refusal> for StoreError {
    fn from(refusal: Refusal) -> Self {
        let what = "commit a write".to_owned();
        match refusal.code {
            Some(ErrorCode::DiskFull) => Self::Full { what },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { what },
            Some(ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                Self::Disk { what, why: refusal.why }
            }
            _ => Self::NotCommitted { why: refusal.why },
        }
    }
}

/// Wraps a write; the receiver gets its result after the commit.
pub(super) fn pack<T, F>(
    point: &'static str,
    durability: Durability,
    f: F,
) -> (Write, oneshot::Receiver<Result<T, StoreError>>)
where
    F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    T: Send + 'static,
{
    let (sender, receiver) = oneshot::channel();
    let work = Box::new(move |tx: Option<&Tx<'_>>| {
        let result = tx.map(f);
        let keep = matches!(result, Some(Ok(_)));
        let tell = Box::new(move |committed: Result<(), Refusal>| {
            let result = match (result, committed) {
                (Some(Err(own)), _) => Err(own),
                (Some(Ok(value)), Ok(())) => Ok(value),
                (_, Err(refusal)) => Err(refusal.into()),
                (None, Ok(())) => Err(StoreError::Stopped),
            };
            // A caller that no longer waits has lost interest in the answer, not in the write.
            let _gone = sender.send(result);
        });
        Answer { keep, point: None, tell }
    });
    (Write { point, durability, work }, receiver)
}

/// Starts the thread; it ends when every sender is gone.
pub(super) fn start(
    conn: Connection,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    changes: watch::Sender<u64>,
) -> Result<mpsc::Sender<Write>, StoreError> {
    let (sender, mut queue) = mpsc::channel::<Write>(QUEUE);
    // Detached: whatever instant the process ends at, SQLite's log keeps what was committed.
    let _detached = thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || {
            let mut group = Vec::with_capacity(GROUP);
            // `blocking_recv_many` waits for the first and takes what else is there: a lone write
            // is committed at once, a crowd shares the sync.
            while queue.blocking_recv_many(&mut group, GROUP) > 0 {
                commit(&conn, clock.as_ref(), ids.as_ref(), &changes, group.drain(..));
            }
        })
        .map_err(|source| StoreError::Io { what: "start the thread that writes the database".to_owned(), source })?;
    Ok(sender)
}

fn commit(
    conn: &Connection,
    clock: &dyn Clock,
    ids: &dyn Ids,
    changes: &watch::Sender<u64>,
    group: impl ExactSizeIterator<Item = Write>,
) {
    let group: Vec<Write> = group.collect();
    let mut answers = Vec::with_capacity(group.len());
    let before = conn.total_changes();
    let mut committed = begin(conn, &group);
    for write in group {
        if committed.is_err() {
            answers.push((write.work)(None));
            continue;
        }
        answers.extend(run(conn, &Tx::new(conn, clock.now(), ids), write));
        // A full disk or a failed read ends the whole transaction inside SQLite.
        if conn.is_autocommit() {
            committed = Err(Refusal { code: None, why: "the database ended the transaction".to_owned() });
        }
    }
    let kept = answers.iter().any(|a| a.keep);
    if committed.is_ok() {
        committed = conn.execute_batch(if kept { "COMMIT" } else { "ROLLBACK" }).map_err(|e| Refusal::from(&e));
    }
    if let Err(refusal) = &committed {
        tracing::error!(why = refusal.why, "a commit failed; its writes were refused");
        // After a failed COMMIT the transaction may be open still; the next write needs it gone.
        if !conn.is_autocommit() {
            let _ended = conn.execute_batch("ROLLBACK");
        }
    } else if kept && conn.total_changes() != before {
        // A claim that finds nothing is no news: it would wake the scheduler, which claims again.
        changes.send_modify(|n| *n += 1);
    }
    if committed.is_ok() {
        answers.iter().filter(|answer| answer.keep).filter_map(|answer| answer.point).for_each(fault::after);
    }
    for answer in answers {
        (answer.tell)(committed.clone());
    }
}

fn begin(conn: &Connection, group: &[Write]) -> Result<(), Refusal> {
    let sync = if group.iter().any(|w| w.durability == Durability::Acknowledged) { "FULL" } else { "NORMAL" };
    conn.pragma_update(None, "synchronous", sync)
        .and_then(|()| conn.execute_batch("BEGIN IMMEDIATE"))
        .map_err(|e| Refusal::from(&e))
}

/// Runs one write inside a savepoint, so that its failure undoes nothing of its neighbours.
fn run(conn: &Connection, tx: &Tx<'_>, write: Write) -> Option<Answer> {
    if let Err(error) = conn.execute_batch("SAVEPOINT one") {
        let answer = (write.work)(None);
        (answer.tell)(Err(Refusal::from(&error)));
        return None;
    }
    let (point, before) = (write.point, conn.total_changes());
    let answer = catch_unwind(AssertUnwindSafe(|| (write.work)(Some(tx))));
    let keep = answer.as_ref().is_ok_and(|a| a.keep);
    // A write that changed nothing has nothing to lose.
    let changed = keep && conn.total_changes() != before;
    let refused = changed.then(|| fault::before(point)).transpose().err();
    let ended = match (keep, &refused) {
        (true, None) => conn.execute_batch("RELEASE one"),
        _ => conn.execute_batch("ROLLBACK TO one; RELEASE one"),
    };
    match (answer, ended) {
        (Ok(answer), Ok(())) if refused.is_some() => {
            (answer.tell)(refused.map_or(Ok(()), |error| Err(error.into())));
            None
        }
        (Ok(answer), Err(error)) if keep => {
            (answer.tell)(Err(Refusal::from(&error)));
            None
        }
        (Ok(answer), _) => Some(Answer { point: changed.then_some(point), ..answer }),
        (Err(_panic), _) => {
            tracing::error!("a write panicked; it was undone");
            None
        }
    }
}
