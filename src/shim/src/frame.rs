//! One JSON value behind its length: `u32` little-endian, then that many bytes.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

/// The largest frame that starts a step.
pub const STEP_START_LIMIT: u32 = 64 << 20;
/// The largest frame that starts a container's first process.
pub const CONTAINER_START_LIMIT: u32 = 32 << 20;
/// The largest request on a shim's control socket.
pub const CONTROL_LIMIT: u32 = 4 << 20;
/// The largest header of a workspace helper's stream.
pub const HEADER_LIMIT: u32 = 64 << 10;

/// Why a frame could not be read or written.
#[derive(Debug)]
pub enum FrameError {
    /// The stream ended before the frame was complete.
    Cut,
    /// The frame says it is longer than its reader allows.
    TooLong {
        /// What the frame says, in bytes.
        length: u64,
        /// What the reader allows, in bytes.
        limit: u32,
    },
    /// The bytes are no JSON value of the expected shape. The text of the value is never repeated.
    Malformed {
        /// The line within the JSON text.
        line: usize,
        /// The column within that line.
        column: usize,
    },
    /// The stream itself failed.
    Io(io::Error),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => write!(f, "the stream ended in the middle of a frame"),
            Self::TooLong { length, limit } => {
                write!(f, "a frame of {length} bytes is over the limit of {limit}")
            }
            Self::Malformed { line, column } => write!(
                f,
                "a frame is not what was expected (line {line}, column {column}); both sides must be of the same release"
            ),
            Self::Io(error) => write!(f, "the stream of frames failed: {error}"),
        }
    }
}

impl std::error::Error for FrameError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for FrameError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Io(error),
        }
    }
}

/// Reads exactly one frame and not a byte more.
pub fn read<T: DeserializeOwned>(from: &mut impl Read, limit: u32) -> Result<T, FrameError> {
    let mut head = [0; 4];
    from.read_exact(&mut head)?;
    let length = body_length(head, limit)?;
    // Grows with what really arrives: a hostile length alone reserves nothing.
    let mut body = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut body)?;
    if body.len() < length as usize {
        return Err(FrameError::Cut);
    }
    parse(&body)
}

/// The length in a frame's head, when the reader's limit allows it.
pub fn body_length(head: [u8; 4], limit: u32) -> Result<u32, FrameError> {
    let length = u32::from_le_bytes(head);
    if length > limit {
        return Err(FrameError::TooLong { length: u64::from(length), limit });
    }
    Ok(length)
}

/// The value in a frame's body.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, FrameError> {
    // serde_json's own message may quote the value, which may be a secret.
    serde_json::from_slice(body).map_err(|error| FrameError::Malformed { line: error.line(), column: error.column() })
}

/// The bytes of one frame.
pub fn encode(value: &impl Serialize) -> Result<Vec<u8>, FrameError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, value).map_err(|error| FrameError::Io(error.into()))?;
    let length = u32::try_from(bytes.len() - 4)
        .map_err(|_| FrameError::TooLong { length: bytes.len() as u64 - 4, limit: u32::MAX })?;
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

/// Writes one frame.
pub fn write(to: &mut impl Write, value: &impl Serialize) -> Result<(), FrameError> {
    to.write_all(&encode(value)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_length_and_its_json() {
        let bytes = encode(&vec!["a", "b"]).unwrap();
        assert_eq!(bytes, b"\x09\0\0\0[\"a\",\"b\"]");
    }

    #[test]
    fn reading_stops_at_the_end_of_the_frame() {
        let mut bytes = encode(&7).unwrap();
        bytes.extend_from_slice(b"rest");
        let mut stream = bytes.as_slice();
        assert_eq!(read::<u32>(&mut stream, 10).unwrap(), 7);
        assert_eq!(stream, b"rest");
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_its_body() {
        let mut stream: &[u8] = b"\xff\xff\xff\xff";
        let error = read::<u32>(&mut stream, 16).unwrap_err();
        assert!(matches!(error, FrameError::TooLong { limit: 16, .. }));
    }

    #[test]
    fn a_cut_frame_is_an_error() {
        for stream in [&b"\x02\0"[..], b"\x02\0\0\0[", b""] {
            assert!(matches!(read::<Vec<u8>>(&mut { stream }, 16), Err(FrameError::Cut)));
        }
    }

    #[test]
    fn an_error_never_repeats_the_value() {
        let bytes = encode(&"hunter22").unwrap();
        let error = read::<u32>(&mut bytes.as_slice(), 64).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter22"));
    }
}
