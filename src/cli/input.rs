//! Secret values from standard input: never from an argument, never shown.
use std::io::{self, BufRead as _, IsTerminal as _, Read, Write as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::client::ClientError;
use crate::model::Secret;

/// What is asked for.
pub(super) struct Ask<'a> {
    /// Shown on a terminal.
    pub(super) prompt: &'a str,
    /// Bytes of the value.
    pub(super) most: usize,
    /// On a terminal it is typed twice: nobody sees a slip.
    pub(super) twice: bool,
}

/// Reads a value: a line from a terminal, else everything.
pub(super) fn read(ask: &Ask<'_>) -> Result<Secret<Vec<u8>>, ClientError> {
    let unread = |error: io::Error| ClientError::Failed(format!("cannot read standard input: {error}"));
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return whole(stdin.lock(), ask.most).map_err(unread)?;
    }
    let value = typed(ask.prompt, ask.most).map_err(unread)??;
    if ask.twice && *typed("once more: ", ask.most).map_err(unread)??.expose() != *value.expose() {
        return Err(ClientError::Usage("the two differ; nothing was done".to_owned()));
    }
    Ok(value)
}

type Read_ = io::Result<Result<Secret<Vec<u8>>, ClientError>>;

fn whole(from: impl Read, most: usize) -> Read_ {
    // Room for the line end, and one more to see that it is too long. Never moved: copies stay unwiped.
    let mut value = Zeroizing::new(Vec::with_capacity(most + 3));
    from.take(most as u64 + 3).read_to_end(&mut value)?;
    Ok(checked(&value, most))
}

fn typed(prompt: &str, most: usize) -> Read_ {
    eprint!("{prompt}");
    io::stderr().flush()?;
    let mut value = Zeroizing::new(Vec::with_capacity(most + 3));
    let read = {
        let _silence = Silence::begin()?;
        io::stdin().lock().take(most as u64 + 3).read_until(b'\n', &mut value)
    };
    eprintln!();
    read?;
    Ok(checked(&value, most))
}

/// The value without the line end of its only line.
fn checked(bytes: &[u8], most: usize) -> Result<Secret<Vec<u8>>, ClientError> {
    let line = bytes.strip_suffix(b"\n").map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let value = match line {
        Some(line) if !line.contains(&b'\n') => line,
        _ => bytes,
    };
    if value.is_empty() {
        return Err(ClientError::Usage("standard input is empty; the value goes there".to_owned()));
    }
    if value.len() > most {
        return Err(ClientError::Usage(format!("the value is longer than {most} bytes")));
    }
    Ok(Secret::new(value.to_vec()))
}

/// A terminal that does not show what is typed, until dropped.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        silent.local_modes.insert(LocalModes::ECHONL & before.local_modes);
        tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &[u8]) -> Vec<u8> {
        whole(text, 16).unwrap().unwrap().expose().clone()
    }

    #[test]
    fn the_line_end_of_one_line_goes_and_those_of_a_key_stay() {
        assert_eq!(value(b"hunter22\n"), b"hunter22");
        assert_eq!(value(b"hunter22\r\n"), b"hunter22");
        assert_eq!(value(b"hunter22"), b"hunter22");
        assert_eq!(value(b" a b \n"), b" a b ");
        assert_eq!(value(b"-----\nabc\n--\n"), b"-----\nabc\n--\n");
    }

    #[test]
    fn nothing_and_too_much_are_refused_without_showing_them() {
        for wrong in [&b""[..], b"\n", b"12345678901234567", b"1234567\n890123456\n"] {
            let error = whole(wrong, 16).unwrap().unwrap_err();
            assert_eq!(error.code(), 64);
            assert!(!error.to_string().contains("1234567"), "{error}");
        }
        assert_eq!(value(b"1234567890123456\n").len(), 16);
    }
}
