//! The lines of a log that say why a job failed: the first failing ones, or else the last.
use super::error::ClientError;
use super::job::Step;
use super::job_name::JobName;
use super::request::Client;
use super::summary::{Line, Summary};
use crate::cli::style::{Colour, Look, plain, without_colours};

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
    /// They are the first that look like an error; else the last.
    pub first: bool,
    /// Its lines, harmless for a terminal.
    pub lines: Vec<String>,
}

impl LogEnd {
    /// The lines as the server found them.
    pub fn of(summary: &Summary) -> Option<Self> {
        let why = summary.why.as_ref()?;
        let place = why.log.as_ref().filter(|_| !why.lines.is_empty())?;
        let width = why.lines.last().map_or(0, |line| line.number.to_string().len());
        let text =
            |line: &Line| format!("{:>width$}  {}", line.number, without_colours(&line.text)).trim_end().to_owned();
        Some(Self {
            step: place.step,
            name: why.step.clone().unwrap_or_else(|| "the danubefile".to_owned()),
            first: place.error,
            lines: why.lines.iter().take(LINES).map(text).collect(),
        })
    }

    /// As it is printed.
    pub fn shown(&self, job: &str, look: Look) -> Vec<String> {
        let which = if self.first { "the first failing lines" } else { "the last lines" };
        let mut shown = vec![format!("  {which} of step {}, {}:", self.step, plain(&self.name))];
        shown.extend(self.lines.iter().map(|line| format!("  {} {line}", look.paint(Colour::Dim, "│"))));
        shown.push(format!("  all of it: danube logs '{}' --step {}", plain(job), self.step));
        shown
    }
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
    Ok((!lines.is_empty()).then(|| LogEnd { step: step.n, name: step.name.clone(), first: false, lines }))
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
