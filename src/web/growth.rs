//! Word of growing log files: one watch of the kernel's for all followers, so that none of them has to look.
use std::collections::{HashMap, HashSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::inotify;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Followers are told at most this often: a loud step writes thousands of times a second.
const BREATH: Duration = Duration::from_millis(5);
/// How often directories that nobody follows any more are forgotten.
const TIDY: Duration = Duration::from_secs(10);

/// Who wants to know of which directory.
pub(super) struct Growth {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Shared {
    // A std mutex: held for look-ups and short calls of the kernel, never across an await.
    watching: Mutex<Option<Watching>>,
}

struct Watching {
    inotify: Arc<AsyncFd<OwnedFd>>,
    followed: HashMap<i32, watch::Sender<()>>,
}

impl Growth {
    /// Nothing is watched before somebody follows.
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self { shared: Arc::default(), stop }
    }

    /// Moves on when a file in the directory grows. None: the machine can't tell, so looks are needed.
    pub(super) fn follow(&self, dir: &Path) -> Option<watch::Receiver<()>> {
        let mut slot = self.shared.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let watching = match &mut *slot {
            Some(watching) => watching,
            None => {
                let watching = slot.insert(Watching::open().ok()?);
                let (shared, inotify, stop) =
                    (Arc::clone(&self.shared), Arc::clone(&watching.inotify), self.stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = shared.tell(&inotify) => {}
                    }
                });
                watching
            }
        };
        let flags = inotify::WatchFlags::MODIFY | inotify::WatchFlags::CREATE;
        let number = inotify::add_watch(watching.inotify.get_ref(), dir, flags).ok()?;
        Some(watching.followed.entry(number).or_default().subscribe())
    }
}

impl Watching {
    #[expect(deprecated, reason = "its successor is unsafe; the descriptor is owned here, so it cannot be closed too early")]
    fn open() -> io::Result<Self> {
        let fd = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
        Ok(Self { inotify: Arc::new(AsyncFd::new(fd)?), followed: HashMap::new() })
    }
}

impl Shared {
    /// Tells followers until there are none; then everything is closed.
    async fn tell(&self, inotify: &AsyncFd<OwnedFd>) {
        loop {
            let grown = tokio::select! {
                ready = inotify.readable() => match ready {
                    Ok(mut ready) => {
                        let grown = read(inotify.get_ref());
                        ready.clear_ready();
                        grown
                    }
                    Err(_) => HashSet::new(),
                },
                () = tokio::time::sleep(TIDY) => HashSet::new(),
            };
            if !self.pass_on(&grown) {
                return;
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// False: nobody follows any more.
    fn pass_on(&self, grown: &HashSet<i32>) -> bool {
        let mut slot = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watching) = &mut *slot else { return false };
        let inotify = Arc::clone(&watching.inotify);
        watching.followed.retain(|number, followers| {
            let followed = followers.receiver_count() > 0;
            if !followed {
                // A directory that is gone has no watch either.
                let _gone = inotify::remove_watch(inotify.get_ref(), *number);
            } else if grown.contains(number) || grown.contains(&LOST) {
                followers.send_replace(());
            }
            followed
        });
        if watching.followed.is_empty() {
            *slot = None;
        }
        slot.is_some()
    }
}

/// The number in place of a directory's where the kernel had no room for more: anything may have grown.
const LOST: i32 = -1;

/// The directories of all that is to be read.
fn read(inotify: &OwnedFd) -> HashSet<i32> {
    let mut buffer = [MaybeUninit::uninit(); 16 << 10];
    let mut reader = inotify::Reader::new(inotify, &mut buffer);
    let mut grown = HashSet::new();
    while let Ok(event) = reader.next() {
        grown.insert(event.wd());
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[tokio::test]
    async fn a_follower_hears_of_its_directory_and_of_no_other() {
        let growth = Growth::new(CancellationToken::new());
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut first = growth.follow(one.path()).unwrap();
        let second = growth.follow(other.path()).unwrap();
        let mut again = growth.follow(one.path()).unwrap();
        let mut file = std::fs::File::create(one.path().join("1.1.log")).unwrap();
        file.write_all(b"line\n").unwrap();
        first.changed().await.unwrap();
        again.changed().await.unwrap();
        assert!(!second.has_changed().unwrap());
        assert!(growth.follow(&one.path().join("nowhere")).is_none());
    }
}
