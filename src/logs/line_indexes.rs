//! The line indexes of the logs that were looked at last.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::StreamFile;
use super::line_index::LineIndex;

/// Indexes kept: 8 MiB of memory at most.
const MOST: usize = 64;

/// Knows where lines begin in the logs that were looked at last; built as far as it is asked.
#[derive(Debug, Default)]
pub struct LineIndexes(Mutex<VecDeque<(StreamFile, Arc<Mutex<LineIndex>>)>>);

impl LineIndexes {
    pub(super) fn of(&self, file: &StreamFile) -> Arc<Mutex<LineIndex>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match kept.iter().position(|(known, _)| known == file).and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => (file.clone(), Arc::default()),
        };
        let index = Arc::clone(&entry.1);
        kept.push_front(entry);
        kept.truncate(MOST);
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_indexes_are_kept() {
        let indexes = LineIndexes::default();
        let file = |n: u32| StreamFile::new("/logs", format!("{n}.1").parse().unwrap());
        let first = indexes.of(&file(1));
        for n in 2..=200 {
            indexes.of(&file(n));
            assert!(Arc::ptr_eq(&first, &indexes.of(&file(1))));
        }
        assert_eq!(indexes.0.lock().unwrap().len(), MOST);
    }
}
