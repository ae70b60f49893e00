//! Where the lines of a log are: how many line ends lie before each block of it.
//!
//! Eight bytes for a block of 128 KiB; of a log with more blocks than are kept, every second is
//! forgotten. A line is found by its number, and the number of an offset, by reading one block.
use memchr::memchr_iter;

use super::LogError;
use super::source::Source;

/// Bytes of one block at first, and what is read at once.
const BLOCK: u64 = 128 << 10;
/// Blocks kept: 2 GiB of log until blocks become longer, 128 KiB of memory.
const MOST: usize = 16 << 10;

/// What is known of a log that only grows.
#[derive(Debug)]
pub(super) struct LineIndex {
    block: u64,
    /// Line ends before each block.
    before: Vec<u64>,
    /// Line ends in what was counted.
    ends: u64,
    counted: u64,
}

impl Default for LineIndex {
    fn default() -> Self {
        Self { block: BLOCK, before: vec![0], ends: 0, counted: 0 }
    }
}

impl LineIndex {
    /// How many bytes were counted.
    pub(super) fn counted(&self) -> u64 {
        self.counted
    }

    /// How many line ends they have.
    pub(super) fn ends(&self) -> u64 {
        self.ends
    }

    /// Counts on until `to`, at most `budget` bytes. True: it got there.
    pub(super) fn count(&mut self, log: &impl Source, to: u64, budget: u64) -> Result<bool, LogError> {
        let stop = to.min(self.counted.saturating_add(budget));
        let mut buffer = vec![0; usize::try_from(BLOCK.min(stop.saturating_sub(self.counted))).unwrap_or(0)];
        while self.counted < stop {
            let room = (self.block - self.counted % self.block).min(stop - self.counted);
            let room = usize::try_from(room).unwrap_or(usize::MAX).min(buffer.len());
            let read = log.fill(self.counted, &mut buffer[..room])?;
            if read == 0 {
                break;
            }
            self.ends += memchr_iter(b'\n', &buffer[..read]).count() as u64;
            self.counted += read as u64;
            if self.counted.is_multiple_of(self.block) {
                self.before.push(self.ends);
                self.thin();
            }
        }
        Ok(self.counted >= to)
    }

    /// Counts on until the `n`-th line end was seen, or the log's end.
    pub(super) fn count_ends(&mut self, log: &impl Source, n: u64, length: u64) -> Result<(), LogError> {
        while self.ends < n && self.counted < length {
            let counted = self.counted;
            self.count(log, length, 64 * BLOCK)?;
            if self.counted == counted {
                break;
            }
        }
        Ok(())
    }

    fn thin(&mut self) {
        if self.before.len() > MOST {
            let kept = self.before.iter().copied().step_by(2).collect();
            self.before = kept;
            self.block *= 2;
        }
    }

    /// Where line `number` (from 1) begins; none where so many line ends were not counted.
    pub(super) fn start_of(&self, log: &impl Source, number: u64) -> Result<Option<u64>, LogError> {
        let wanted = number.saturating_sub(1);
        if wanted == 0 {
            return Ok(Some(0));
        }
        if wanted > self.ends {
            return Ok(None);
        }
        let block = self.before.partition_point(|before| *before < wanted).saturating_sub(1);
        let mut left = wanted - self.before[block];
        let mut at = block as u64 * self.block;
        let mut buffer = vec![0; BLOCK as usize];
        while at < self.counted {
            let read = log.fill(at, &mut buffer)?;
            if read == 0 {
                break;
            }
            for end in memchr_iter(b'\n', &buffer[..read]) {
                left -= 1;
                if left == 0 {
                    return Ok(Some(at + end as u64 + 1));
                }
            }
            at += read as u64;
        }
        Ok(None)
    }

    /// The number of the line that holds `offset`, which was counted.
    pub(super) fn number_at(&self, log: &impl Source, offset: u64) -> Result<u64, LogError> {
        let block = usize::try_from(offset / self.block).unwrap_or(usize::MAX).min(self.before.len() - 1);
        let mut at = block as u64 * self.block;
        let mut number = self.before[block] + 1;
        let mut buffer = vec![0; BLOCK as usize];
        while at < offset {
            let room = usize::try_from(offset - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = log.fill(at, &mut buffer[..room])?;
            if read == 0 {
                break;
            }
            number += memchr_iter(b'\n', &buffer[..read]).count() as u64;
            at += read as u64;
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Made;
    use super::*;

    #[test]
    fn a_line_of_a_long_log_is_found_by_reading_one_block() {
        let log = Made::new(1_600_000);
        let length = log.len().unwrap();
        assert!(length > 100_000_000);
        let mut index = LineIndex::default();
        assert!(index.count(&log, length, u64::MAX).unwrap());
        assert_eq!((index.ends(), log.read.get()), (log.lines, length));
        for line in [1, 2, 2048, 2049, 2050, 1_599_999, 1_600_000] {
            log.read.set(0);
            assert_eq!(index.start_of(&log, line).unwrap(), Some((line - 1) * Made::LINE), "{line}");
            assert_eq!(index.number_at(&log, (line - 1) * Made::LINE).unwrap(), line);
            assert_eq!(index.number_at(&log, line * Made::LINE - 1).unwrap(), line);
            assert!(log.read.get() <= 3 * BLOCK, "{line}: {}", log.read.get());
        }
        assert_eq!(index.start_of(&log, 1_600_002).unwrap(), None);
        assert!(index.before.len() < 1000);
    }

    #[test]
    fn what_was_counted_is_not_read_again() {
        let log = Made::new(20_000);
        let mut index = LineIndex::default();
        assert!(!index.count(&log, log.len().unwrap(), 300_000).unwrap());
        assert_eq!(index.counted(), 300_000);
        assert!(index.count(&log, log.len().unwrap(), u64::MAX).unwrap());
        assert_eq!(log.read.get(), log.len().unwrap());
    }

    #[test]
    fn longer_blocks_find_the_same_lines() {
        let log = Made::new(50_000);
        let mut index = LineIndex::default();
        let mut short = LineIndex { block: 16, ..LineIndex::default() };
        index.count(&log, log.len().unwrap(), u64::MAX).unwrap();
        short.count(&log, log.len().unwrap(), u64::MAX).unwrap();
        assert!(short.before.len() <= MOST && short.block > 16);
        for line in [1, 77, 16_384, 16_385, 49_999, 50_000] {
            let start = index.start_of(&log, line).unwrap();
            assert_eq!(short.start_of(&log, line).unwrap(), start);
            assert_eq!(short.number_at(&log, start.unwrap()).unwrap(), line);
        }
    }
}
