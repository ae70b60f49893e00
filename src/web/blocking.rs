//! Work that waits for the disk, kept off the async threads.
use std::io::Read;

use axum::body::{Body, Bytes};
use tokio_stream::wrappers::ReceiverStream;

use super::error::{Answer, WebError};

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;
/// Pieces read ahead of a client.
const AHEAD: usize = 4;

/// Runs `work` on a blocking thread.
pub(super) async fn run<T, E, F>(work: F) -> Answer<T>
where
    F: FnOnce() -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| WebError::internal(&e))?;
    done.map_err(|e| WebError::internal(&e))
}

/// A reader as a body: read no faster than the client takes it, and dropped when the client goes.
pub(super) fn body(mut source: impl Read + Send + 'static) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel::<std::io::Result<Bytes>>(AHEAD);
    tokio::task::spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match source.read(&mut piece) {
                Ok(0) => break,
                Ok(n) => {
                    piece.truncate(n);
                    Ok(Bytes::from(piece))
                }
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if sender.blocking_send(read).is_err() || failed {
                break;
            }
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}
