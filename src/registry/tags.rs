//! Who may move a tag is looked up before the registry moves it: meanwhile nobody else moves the same one.
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

use tokio::sync::{Mutex, MutexGuard};

/// Tags share locks: two that meet wait for each other as long as one manifest takes.
const LOCKS: usize = 64;

/// The locks of all tags.
#[derive(Debug)]
pub(super) struct Tags([Mutex<()>; LOCKS]);

impl Default for Tags {
    fn default() -> Self {
        Self([const { Mutex::const_new(()) }; LOCKS])
    }
}

impl Tags {
    /// Waits until nobody else moves this tag.
    pub(super) async fn one_at_a_time(&self, repository: &str, tag: &str) -> MutexGuard<'_, ()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one((repository, tag));
        let place = usize::try_from(hash % LOCKS as u64).unwrap_or(0);
        self.0[place].lock().await
    }
}
