//! The last lines of a step's log: why it failed, most of the time.
use super::error::ClientError;
use super::job::Step;
use super::job_name::JobName;
use super::request::Client;
use crate::cli::style::without_colours;

/// Bytes that are asked for.
const BYTES: usize = 8 << 10;
/// Lines that are shown.
const LINES: usize = 12;

/// The end of a step's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEnd {
    /// The step's number.
    pub step: u32,
    /// The step's name.
    pub name: String,
    /// Its last lines, harmless for a terminal.
    pub lines: Vec<String>,
}

/// Reads it. A log that is empty, expired or away is none: it only adds to what is known.
pub async fn log_end(client: &Client, job: &JobName, step: &Step) -> Result<Option<LogEnd>, ClientError> {
    let log = format!("/steps/{}/log?attempt={}", step.n, step.attempt);
    let request = job.get(&log).header("range", &format!("bytes=-{BYTES}"));
    let mut bytes = Vec::new();
    let read = client.stream(request, |piece| {
        bytes.extend_from_slice(piece);
        // A server that does not know ranges gives the whole.
        bytes.drain(..bytes.len().saturating_sub(BYTES));
        Ok(())
    });
    match read.await {
        Ok(()) => {}
        Err(ClientError::Refused { status: 404 | 410 | 416, .. } | ClientError::Strange { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let lines = last_lines(&bytes);
    Ok((!lines.is_empty()).then(|| LogEnd { step: step.n, name: step.name.clone(), lines }))
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut lines: Vec<&str> = text.lines().collect();
    if bytes.len() >= BYTES && lines.len() > 1 {
        // Most likely cut.
        lines.remove(0);
    }
    let kept = lines.iter().map(|line| without_colours(line)).collect::<Vec<_>>();
    let end = kept.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    kept[end.saturating_sub(LINES)..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_nothing_in_them_moves_a_cursor() {
        let log: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let lines = last_lines(format!("{log}\u{1b}[31mFAIL\u{1b}[0m\u{1b}[2J\n\n").as_bytes());
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[LINES - 2..], ["line 39".to_owned(), "FAIL\u{fffd}[2J".to_owned()]);
        assert_eq!(last_lines(b"\n \n"), Vec::<String>::new());
    }
}
