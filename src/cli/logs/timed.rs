//! Lines with their times: the server keeps them beside the bytes.
use jiff::Timestamp;
use serde::Deserialize;

use super::LogsArgs;
use crate::cli::client::{Client, ClientError, Job};
use crate::cli::style::plain;

/// Lines of one answer, at most.
const PAGE: u64 = 1000;

#[derive(Deserialize)]
struct Window {
    lines: Vec<Line>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    number: Option<u64>,
    time: Option<Timestamp>,
    text: String,
}

/// Gives the wanted lines of the wanted steps.
pub(super) async fn print(
    client: &Client,
    args: &LogsArgs,
    mut give: impl FnMut(&[u8]) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    if let Some(step) = args.step {
        return of_step(client, args, step, None, &mut give).await;
    }
    let job: Job = client.fetch(args.job.get("")).await?;
    let file = ("danubefile".to_owned(), 0);
    let steps = job.steps.into_iter().map(|step| (step.name, step.n));
    for (name, step) in std::iter::once(file).chain(steps) {
        match of_step(client, args, step, Some(&name), &mut give).await {
            // A step that did not begin wrote nothing.
            Err(ClientError::Refused { status: 404, .. }) => {}
            done => done?,
        }
    }
    Ok(())
}

async fn of_step(
    client: &Client,
    args: &LogsArgs,
    step: u32,
    name: Option<&str>,
    give: &mut impl FnMut(&[u8]) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let (mut from, last) = args.lines.unwrap_or((1, u64::MAX));
    loop {
        let limit = last.saturating_sub(from).saturating_add(1).min(PAGE);
        let about = format!("the log of step {step} of job {}", args.job);
        let request = args.job.get(&format!("/steps/{step}/lines?from={from}&limit={limit}")).about(about);
        let window: Window = client.fetch(request).await?;
        for line in window.lines.iter().filter(|line| wanted(args, line)) {
            let number = line.number.filter(|_| args.lines.is_some());
            give(shown(line, number, name, args.timestamps).as_bytes())?;
        }
        match window.next {
            Some(next) if next > from && next <= last => from = next,
            _ => return Ok(()),
        }
    }
}

fn wanted(args: &LogsArgs, line: &Line) -> bool {
    // A line without a time is older than the times.
    let late = args.since.is_none_or(|since| line.time.is_some_and(|at| at >= since));
    late && args.grep.as_ref().is_none_or(|wanted| wanted.is_match(line.text.as_bytes()))
}

fn shown(line: &Line, number: Option<u64>, name: Option<&str>, timestamps: bool) -> String {
    let number = number.map(|number| format!("{number:>6}  ")).unwrap_or_default();
    let time = line.time.filter(|_| timestamps).map(|at| format!("{at:.3} ")).unwrap_or_default();
    let name = name.map(|name| format!("[{}] ", plain(name))).unwrap_or_default();
    format!("{number}{time}{name}{}\n", line.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stands_behind_its_time_and_step() {
        let at = Some("2027-01-15T08:00:00.5Z".parse().unwrap());
        let line = Line { number: Some(7), time: at, text: "FAIL".to_owned() };
        assert_eq!(shown(&line, None, Some("test\u{1b}"), true), "2027-01-15T08:00:00.500Z [test\u{fffd}] FAIL\n");
        assert_eq!(shown(&line, None, None, false), "FAIL\n");
        assert_eq!(shown(&line, Some(7), None, false), "     7  FAIL\n");
    }
}
