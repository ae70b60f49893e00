//! A step's standard output for the danubefile: read from its log, so redacted like it.
use super::error::chain;
use super::{CallError, LiveJob};
use crate::logs::{LogError, Stream, StreamFile};
use crate::store::StepRow;

/// The most that a danubefile gets, in bytes.
const LIMIT: usize = 64 << 10;

impl LiveJob {
    /// The first 64 KiB that an ended attempt wrote to its standard output.
    pub(super) async fn stdout_of(&self, row: &StepRow) -> Result<String, CallError> {
        let stream = self.stream(row);
        let read = tokio::task::spawn_blocking(move || head(&stream)).await;
        let bytes = read.map_err(|error| CallError::Unavailable(error.to_string()))?;
        let bytes = bytes.map_err(|error| CallError::Unavailable(chain(&error)))?;
        Ok(text(&bytes))
    }
}

fn head(stream: &StreamFile) -> Result<Vec<u8>, LogError> {
    let (mut out, mut offset) = (Vec::new(), 0);
    while out.len() < LIMIT {
        let pieces = stream.pieces(offset, 1 << 20)?;
        let Some(last) = pieces.last() else { break };
        offset = last.end();
        for piece in pieces.iter().filter(|piece| piece.stream == Stream::Stdout) {
            let room = LIMIT - out.len();
            out.extend_from_slice(&piece.bytes[..piece.bytes.len().min(room)]);
        }
    }
    Ok(out)
}

/// Lossy, but a character that the limit cut in two is left out.
fn text(bytes: &[u8]) -> String {
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    String::from_utf8_lossy(whole).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_cut_by_the_limit_is_left_out_and_bad_bytes_are_shown() {
        assert_eq!(text("aü".as_bytes()), "aü");
        assert_eq!(text(&"aü".as_bytes()[..2]), "a");
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
    }
}
