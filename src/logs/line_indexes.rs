//! The line indexes of the logs that were looked at last.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::StreamFile;
use super::first_error::FirstError;
use super::line_index::LineIndex;

/// Indexes kept: 8 MiB of memory at most.
const MOST: usize = 64;

/// Logs whose failing line is kept: a kilobyte each.
const ERRORS: usize = 256;

/// Knows where lines begin in the logs that were looked at last; built as far as it is asked.
#[derive(Debug, Default)]
pub struct LineIndexes {
    kept: Mutex<VecDeque<(StreamFile, Arc<Mutex<LineIndex>>)>>,
    /// What was found in logs of a length.
    errors: Mutex<VecDeque<(StreamFile, u64, Option<FirstError>)>>,
}

impl LineIndexes {
    pub(super) fn of(&self, file: &StreamFile) -> Arc<Mutex<LineIndex>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = match kept.iter().position(|(known, _)| known == file).and_then(|at| kept.remove(at)) {
            Some(entry) => entry,
            None => (file.clone(), Arc::default()),
        };
        let index = Arc::clone(&entry.1);
        kept.push_front(entry);
        kept.truncate(MOST);
        index
    }

    /// What was found in a log of this length before.
    pub(super) fn known_error(&self, file: &StreamFile, length: u64) -> Option<Option<FirstError>> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.iter().find(|(known, size, _)| *size == length && known == file).map(|(.., found)| found.clone())
    }

    /// Keeps what was found.
    pub(super) fn keep_error(&self, file: &StreamFile, length: u64, found: Option<FirstError>) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.retain(|(known, ..)| known != file);
        errors.push_front((file.clone(), length, found));
        errors.truncate(ERRORS);
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
        assert_eq!(indexes.kept.lock().unwrap().len(), MOST);
    }
}
