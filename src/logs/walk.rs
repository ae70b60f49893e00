//! Going through the lines of a log, one after the other, in bounded memory.
use std::ops::ControlFlow;

use memchr::memchr;

use super::LogError;
use super::source::Source;

/// Bytes read at once; of a longer line, so much is looked at.
const BLOCK: usize = 256 << 10;

/// A line's place: where it begins, and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// Its first byte.
    pub offset: u64,
    /// From 1.
    pub line: u64,
}

impl Spot {
    /// The first line.
    pub const START: Self = Self { offset: 0, line: 1 };
}

/// Shows each line from `from` to `end` until one breaks off; the spot to go on at, none at the end.
pub(super) fn walk<B>(
    log: &impl Source,
    from: Spot,
    end: u64,
    mut look: impl FnMut(Spot, &[u8]) -> ControlFlow<B>,
) -> Result<(Option<B>, Option<Spot>), LogError> {
    let mut spot = from;
    let mut at = from.offset;
    let mut buffer = vec![0; BLOCK];
    // The beginning of the line in `buffer`, and whether it was shown: then its rest is passed over.
    let (mut held, mut shown) = (0, false);
    loop {
        let room = usize::try_from(end.saturating_sub(at)).unwrap_or(BLOCK).min(BLOCK - held);
        let read = log.fill(at, &mut buffer[held..held + room])?;
        at += read as u64;
        let filled = held + read;
        let mut used = 0;
        while let Some(length) = memchr(b'\n', &buffer[used..filled]) {
            let step = if shown { ControlFlow::Continue(()) } else { look(spot, &buffer[used..used + length]) };
            used += length + 1;
            spot = Spot { offset: at - (filled - used) as u64, line: spot.line + 1 };
            shown = false;
            if let ControlFlow::Break(found) = step {
                return Ok((Some(found), Some(spot)));
            }
        }
        buffer.copy_within(used..filled, 0);
        held = filled - used;
        let over = read == 0 || at >= end;
        if (over || held == BLOCK) && held > 0 && !shown {
            if let ControlFlow::Break(found) = look(spot, &buffer[..held]) {
                return Ok((Some(found), (!over).then_some(spot)));
            }
            shown = true;
        }
        if over {
            return Ok((None, None));
        }
        if shown {
            held = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Made;
    use super::*;

    #[test]
    fn every_line_is_shown_once_with_its_place() {
        let log = Made::new(10_000);
        let mut expected = 1;
        let (found, next) = walk::<()>(&log, Spot::START, log.len().unwrap(), |spot, line| {
            assert_eq!((spot.line, spot.offset), (expected, (expected - 1) * Made::LINE));
            assert_eq!(line, format!("{expected:063}").as_bytes());
            expected += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        assert_eq!((found, next, expected), (None, None, 10_001));
        assert_eq!(log.read.get(), log.len().unwrap());
    }

    #[test]
    fn a_walk_goes_on_where_it_broke_off() {
        let log = Made::new(10_000);
        let stop = |spot: Spot, _: &[u8]| {
            if spot.line.is_multiple_of(7000) { ControlFlow::Break(spot) } else { ControlFlow::Continue(()) }
        };
        let (found, next) = walk(&log, Spot::START, log.len().unwrap(), stop).unwrap();
        assert_eq!(found.unwrap().line, 7000);
        assert_eq!(next, Some(Spot { offset: 7000 * Made::LINE, line: 7001 }));
        assert_eq!(walk(&log, next.unwrap(), log.len().unwrap(), stop).unwrap(), (None, None));
    }
}
