//! Finding a place in several streams at once, by time.
use super::pieces::Reader;
use super::{LogError, StreamName};

/// A place in every stream of a job: everything before it comes before everything after it.
pub(super) struct Cut {
    /// The number of records before the cut, per stream.
    pub(super) records: Vec<u64>,
    /// How many bytes lie before the cut.
    pub(super) bytes: u64,
}

/// The last cut between two moments with at most `offset` bytes before it.
///
/// Looks at about 64 × log2(records) records per stream, however long the logs are.
pub(super) fn cut_before(streams: &[(StreamName, Reader)], offset: u64) -> Result<Cut, LogError> {
    let mut low = Cut { records: vec![0; streams.len()], bytes: 0 };
    let mut high: Vec<u64> = streams.iter().map(|(_, reader)| reader.count).collect();
    // `before` is the last moment known to be on this side, `after` the first known to be beyond.
    let (mut before, mut after) = (i64::MIN, i64::MAX);
    while before < after {
        // Rounded up, without an overflow between the two ends of time.
        let middle = ((i128::from(before) + i128::from(after) + 1).div_euclid(2)) as i64;
        let cut = cut_after(streams, middle, &low.records, &high)?;
        if cut.bytes <= offset {
            low = cut;
            before = middle;
        } else {
            high = cut.records;
            after = middle - 1;
        }
    }
    Ok(low)
}

/// The cut behind everything written at `moment` or earlier.
fn cut_after(streams: &[(StreamName, Reader)], moment: i64, low: &[u64], high: &[u64]) -> Result<Cut, LogError> {
    let mut cut = Cut { records: Vec::with_capacity(streams.len()), bytes: 0 };
    for ((_, reader), (low, high)) in streams.iter().zip(low.iter().zip(high)) {
        let (mut low, mut high) = (*low, (*high).max(*low));
        while low < high {
            let middle = low + (high - low) / 2;
            if reader.time(middle)? <= moment {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        cut.bytes += reader.offset(low)?;
        cut.records.push(low);
    }
    Ok(cut)
}
