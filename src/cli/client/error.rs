//! Why a command of the client did not do what was asked, and the exit code that says so.
use std::io;
use std::process::ExitCode;

use crate::cli::style::plain;

/// The command failed.
const FAILED: u8 = 1;
/// The server could not be asked.
const UNREACHED: u8 = 3;
/// Wrong usage (sysexits `EX_USAGE`).
const USAGE: u8 = 64;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers there.
    #[error("no Danube server answers at {place}: {why}")]
    Unreachable {
        /// The socket or the address.
        place: String,
        /// The reason.
        why: String,
        /// What the user can do.
        hint: String,
    },
    /// The server was there and went away.
    #[error("the connection to {place} broke: {why}")]
    Broken {
        /// The socket or the address.
        place: String,
        /// The reason.
        why: String,
    },
    /// What answers is no Danube server, or one of another age.
    #[error("{place} did not answer as a Danube server does: {why}")]
    Strange {
        /// The socket or the address.
        place: String,
        /// The reason.
        why: String,
    },
    /// The server said no.
    #[error("{title}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// In short.
        title: String,
        /// The sentence.
        detail: String,
        /// After so many seconds it may say yes.
        retry_after: Option<u64>,
    },
    /// The work ended, and not well.
    #[error("{0}")]
    Failed(String),
    /// The answer could not be written down.
    #[error("cannot write to {place}: {source}")]
    Output {
        /// The file, or standard output.
        place: String,
        /// The reason.
        source: io::Error,
    },
}

impl ClientError {
    /// Standard output failed.
    pub fn output(source: io::Error) -> Self {
        Self::Output { place: "standard output".to_owned(), source }
    }

    /// The reader of the output went away: it wants no more.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The same request may succeed a little later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { hint, .. } => Some(hint.clone()),
            Self::Broken { .. } => Some("what was asked for may have been done; look before you repeat it".to_owned()),
            Self::Strange { .. } => Some("check the address, and that client and server are of one release".to_owned()),
            Self::Refused { status: 401, .. } => {
                Some("the token is missing, wrong, expired or revoked: make one in the console (Tokens) and give it to `danube login`".to_owned())
            }
            Self::Refused { retry_after: Some(seconds), .. } => Some(format!("try again in {seconds} s")),
            _ => None,
        }
    }

    /// The code of the process: 1 the command failed, 3 the server could not be asked, 64 wrong usage.
    pub fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Refused { status: 400, .. } => USAGE,
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Strange { .. } => UNREACHED,
            Self::Refused { .. } | Self::Failed(_) | Self::Output { .. } => FAILED,
        }
    }

    /// The same as the process's end.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code())
    }

    /// The sentence and the hint, as they are printed. Servers write parts of it: nothing in it moves a cursor.
    pub fn text(&self) -> String {
        let hint = self.hint().map(|hint| format!("\n  {}", plain(&hint))).unwrap_or_default();
        format!("danube: {}{hint}\n", plain(&self.to_string()))
    }

    /// Tells the user, unless nobody listens any more.
    pub(in crate::cli) fn tell(&self) {
        if !self.is_closed_pipe() {
            eprint!("{}", self.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, retry_after: Option<u64>) -> ClientError {
        let (title, detail) = ("Not found".to_owned(), "nothing \u{1b}[2J here".to_owned());
        ClientError::Refused { status, title, detail, retry_after }
    }

    #[test]
    fn codes_tell_scripts_whose_fault_it_was() {
        assert_eq!([400, 401, 404, 409, 503].map(|status| refused(status, None).code()), [64, 1, 1, 1, 1]);
        assert_eq!(ClientError::Broken { place: "x".into(), why: "y".into() }.code(), 3);
        assert_eq!(ClientError::Usage("x".into()).code(), 64);
    }

    #[test]
    fn a_refusal_is_one_sentence_with_a_hint_and_moves_no_cursor() {
        assert_eq!(refused(503, Some(5)).text(), "danube: Not found: nothing \u{fffd}[2J here\n  try again in 5 s\n");
    }
}
