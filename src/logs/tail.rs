//! Following a stream while it grows.
use std::collections::VecDeque;
use std::time::Duration;

use futures::Stream as Flow;
use futures::stream::unfold;
use tokio::sync::watch;

use super::stream_file::StreamFile;
use super::{LogError, Piece};

/// How often the length is looked at: below what a person notices.
const INTERVAL: Duration = Duration::from_millis(50);
/// How much is read at once.
const CHUNK: usize = 256 << 10;

/// Every piece of a stream from `from` on, each byte once, and then the end: when `finished` says
/// that nothing comes any more (or its sender is gone) and everything was given.
///
/// `finished` is only a reason to look again; what is given is what is on disk. After an error the
/// flow ends; following again from the last [`Piece::end`] loses nothing.
pub fn tail(
    file: StreamFile,
    from: u64,
    finished: watch::Receiver<bool>,
) -> impl Flow<Item = Result<Piece, LogError>> + Send {
    let follower = Follower { file, at: from, finished, ready: VecDeque::new(), over: false };
    unfold(follower, |mut follower| async move { follower.next().await.map(|item| (item, follower)) })
}

struct Follower {
    file: StreamFile,
    at: u64,
    finished: watch::Receiver<bool>,
    ready: VecDeque<Piece>,
    over: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Piece, LogError>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            if self.over {
                return None;
            }
            // Asked before the look at the disk: what was written before the end was told is seen.
            let finished = *self.finished.borrow_and_update() || self.finished.has_changed().is_err();
            let (file, at) = (self.file.clone(), self.at);
            let read = tokio::task::spawn_blocking(move || file.pieces(at, CHUNK)).await;
            match read.unwrap_or(Err(LogError::Stopped)) {
                Ok(pieces) => self.ready = pieces.into(),
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            }
            match self.ready.back() {
                Some(last) => self.at = last.end(),
                None if finished => self.over = true,
                None => self.pause().await,
            }
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            _ = self.finished.changed() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Job;
    use super::*;
    use crate::logs::Stream;
    use futures::StreamExt;

    #[tokio::test]
    async fn a_follower_sees_every_byte_once_and_then_the_end() {
        let job = Job::new();
        let (finish, finished) = watch::channel(false);
        job.append("1.1", Stream::Stdout, 1, "already there, ");
        let reader = tokio::spawn(tail(job.stream("1.1"), 8, finished).map(Result::unwrap).collect::<Vec<_>>());
        let mut expected = "there, ".to_owned();
        for n in 0..200 {
            let text = format!("line {n}\n");
            job.append("1.1", Stream::Stderr, n + 2, &text);
            expected.push_str(&text);
            tokio::task::yield_now().await;
        }
        finish.send(true).unwrap();
        let pieces = reader.await.unwrap();
        let mut at = 8;
        for piece in &pieces {
            assert_eq!(piece.offset, at);
            at = piece.end();
        }
        let bytes = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_follower_may_come_before_the_log() {
        let job = Job::new();
        let (finish, finished) = watch::channel(false);
        let mut flow = Box::pin(tail(job.stream("1.1"), 0, finished));
        let first = tokio::select! {
            biased;
            first = flow.next() => first,
            () = async {
                job.append("1.1", Stream::Stdout, 1, "late");
                std::future::pending().await
            } => None,
        };
        assert_eq!(first.unwrap().unwrap().bytes, b"late");
        drop(finish);
        assert!(flow.next().await.is_none());
    }

    #[tokio::test]
    async fn a_follower_of_a_finished_stream_ends_at_once() {
        let job = Job::new();
        let (_finish, finished) = watch::channel(true);
        job.append("1.1", Stream::Stdout, 1, "all");
        let pieces: Vec<_> = tail(job.stream("1.1"), 3, finished).collect().await;
        assert!(pieces.is_empty());
    }
}
