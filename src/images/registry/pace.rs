//! How fast a registry must be: one that sends a byte now and then would hold a place for ever.
use std::time::Duration;

use tokio::time::Instant;

use super::Patience;
use crate::images::ImageError;

/// What came in the time that was spent on waiting. The time in which nobody asked for more does not count.
pub(super) struct Pace {
    least: (u64, Duration),
    bytes: u64,
    waited: Duration,
    /// The first time is over.
    counts: bool,
}

impl Pace {
    pub(super) fn new(patience: Patience) -> Self {
        Self { least: patience.least, bytes: 0, waited: Duration::ZERO, counts: false }
    }

    /// Waits for something.
    pub(super) async fn of<T>(&mut self, wait: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let came = wait.await;
        self.waited += began.elapsed();
        came
    }

    /// Counts what came; an error where it was too little for too long.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), ImageError> {
        let (least, each) = self.least;
        self.bytes += bytes as u64;
        if self.waited < each {
            return Ok(());
        }
        if self.counts && self.bytes < least {
            return Err(ImageError::Unavailable(format!(
                "the registry is too slow: {} bytes in {} s, and {least} are the least",
                self.bytes,
                self.waited.as_secs()
            )));
        }
        (self.bytes, self.waited, self.counts) = (0, Duration::ZERO, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_trickles_is_given_up_and_what_nobody_asks_for_is_not() {
        let came = |pace: &mut Pace, millis, bytes| {
            pace.waited += Duration::from_millis(millis);
            pace.keep(bytes)
        };
        let mut pace = Pace::new(Patience::default());
        let error = (1..).find_map(|second| Some((second, came(&mut pace, 1000, 100).err()?.to_string()))).unwrap();
        assert_eq!(error.0, 60, "{error:?}");
        assert!(error.1.contains("3000 bytes in 30 s"), "{error:?}");
        // Whoever unpacks takes its time, and nobody waits for the registry meanwhile.
        let mut pace = Pace::new(Patience::default());
        assert!((0..10_000).all(|_| came(&mut pace, 0, 100).is_ok()));
        // Slow, and fast enough.
        assert!((0..1000).all(|_| came(&mut pace, 1000, 3000).is_ok()));
    }
}
