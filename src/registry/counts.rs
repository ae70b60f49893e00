//! How often images are pulled and pushed, for the monitor.
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Repositories that are told by name; those beyond are one.
const NAMED: usize = 200;
/// What those are called. No repository has such a name.
const OTHERS: &str = "(others)";

/// The count of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Its name.
    pub image: String,
    /// Manifests that were read.
    pub pulls: u64,
    /// Manifests that were written.
    pub pushes: u64,
}

/// Since the server started.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, (u64, u64)>>);

impl Counts {
    pub(super) fn pulled(&self, repository: &str) {
        self.add(repository, (1, 0));
    }

    pub(super) fn pushed(&self, repository: &str) {
        self.add(repository, (0, 1));
    }

    fn add(&self, repository: &str, (pulls, pushes): (u64, u64)) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = counts.contains_key(repository) || counts.len() < NAMED;
        let count = counts.entry(if named { repository } else { OTHERS }.to_owned()).or_default();
        *count = (count.0 + pulls, count.1 + pushes);
    }

    pub(super) fn all(&self) -> Vec<Counted> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let one = |(image, (pulls, pushes)): (&String, &(u64, u64))| Counted {
            image: image.clone(),
            pulls: *pulls,
            pushes: *pushes,
        };
        counts.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_beyond_a_number_are_one() {
        let counts = Counts::default();
        for n in 0..NAMED + 5 {
            counts.pulled(&format!("web/{n:04}"));
        }
        counts.pushed("web/0000");
        let all = counts.all();
        assert_eq!(all.len(), NAMED + 1);
        assert_eq!(all[0], Counted { image: OTHERS.to_owned(), pulls: 5, pushes: 0 });
        assert_eq!((all[1].pulls, all[1].pushes), (1, 1));
    }
}
