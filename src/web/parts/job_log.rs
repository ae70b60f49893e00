//! The logs on a job's page: one section for each step, with as many lines as a page can hold.
use std::io::{self, Read, Seek, SeekFrom};

use crate::logs::StreamFile;
use crate::model::step::{Cause, StepStatus};
use crate::store::StepRow;
use crate::web::blocking;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::view::{Line, Part, Want, part, size};

/// Lines of the step that is looked at.
pub(in crate::web) const SHOWN: usize = 2000;
/// Lines of the others.
const ASIDE: usize = 200;
/// Lines of all the others together; beyond, a link leads to them.
const ASIDE_IN_ALL: usize = 4000;

/// One line on the page.
pub(in crate::web) struct LogLine {
    pub(in crate::web) number: u64,
    pub(in crate::web) text: String,
    pub(in crate::web) class: &'static str,
}

/// One step's section.
pub(in crate::web) struct LogSection {
    pub(in crate::web) seq: u32,
    pub(in crate::web) attempt: u32,
    pub(in crate::web) name: String,
    pub(in crate::web) image: String,
    pub(in crate::web) command: String,
    pub(in crate::web) status: &'static str,
    pub(in crate::web) note: String,
    pub(in crate::web) open: bool,
    pub(in crate::web) from: u64,
    pub(in crate::web) earlier: String,
    pub(in crate::web) earlier_from: u64,
    pub(in crate::web) later: Option<String>,
    pub(in crate::web) end: u64,
    pub(in crate::web) next: u64,
    pub(in crate::web) lines: Vec<LogLine>,
    pub(in crate::web) empty: &'static str,
    pub(in crate::web) notice: Option<String>,
}

/// What the page looks at.
#[derive(Debug, Clone, Copy)]
pub(in crate::web) struct Focus {
    /// The step that is open.
    pub(in crate::web) seq: Option<u32>,
    /// Its first shown line; none: its last lines.
    pub(in crate::web) from: Option<u64>,
}

/// The sections of steps (newest attempts), and the lines of the step in focus.
pub(in crate::web) async fn sections(
    app: &AppState,
    steps: Vec<StepRow>,
    focus: Focus,
    expired: bool,
) -> Answer<Vec<LogSection>> {
    let mut sections = Vec::with_capacity(steps.len());
    let mut budget = ASIDE_IN_ALL;
    for step in steps {
        let open = focus.seq == Some(step.seq);
        let want = match (open, focus.from) {
            (true, Some(from)) => Want::From(from, SHOWN),
            (true, None) => Want::Tail(SHOWN),
            (false, _) => Want::Tail(ASIDE.min(budget)),
        };
        let wanted = !expired && (open || budget > 0);
        let part = if wanted { lines_of(app, &step, want).await? } else { Part::default() };
        if !open {
            budget = budget.saturating_sub(part.lines.len());
        }
        sections.push(section(step, part, open, wanted, expired));
    }
    Ok(sections)
}

/// Lines of a step's log.
pub(in crate::web) async fn lines_of(app: &AppState, step: &StepRow, want: Want) -> Answer<Part> {
    let file = streams::file(app, step)?;
    let live = !step.status.is_terminal();
    blocking::run(move || {
        let length = file.len().map_err(io::Error::other)?;
        part(&mut Reader { file, at: 0 }, length, want, live)
    })
    .await
}

fn section(step: StepRow, part: Part, open: bool, wanted: bool, expired: bool) -> LogSection {
    let from = part.lines.first().map_or(1, |line| line.number);
    let next = part.lines.last().map_or(from, |line| line.number + 1);
    let earlier_from = from.saturating_sub(SHOWN as u64).max(1);
    let at = |line: u64| format!("?step={0}&from={line}#s{0}-L{line}", step.seq);
    let all = (!wanted && !expired).then(|| at(1));
    LogSection {
        seq: step.seq,
        attempt: step.attempt,
        status: step.status.as_str(),
        note: note(&step),
        open,
        from,
        earlier: at(earlier_from),
        earlier_from,
        later: part.more.then(|| at(next)).or(all),
        end: part.end,
        next,
        lines: part.lines.into_iter().map(|line| shown(&step, line)).collect(),
        empty: match (expired, wanted, step.status) {
            (true, ..) => "The log was deleted by retention.",
            (_, false, _) => "Many steps: this log is not on this page.",
            (_, _, StepStatus::Pending) => "Waits to start.",
            (_, _, StepStatus::Running) => "No output yet.",
            _ => "No output.",
        },
        notice: part.unnumbered.then(|| "A very long log: these are its last lines, numbered from here.".to_owned()),
        name: step.name,
        image: step.image_digest.map_or_else(|| step.image.clone(), |digest| format!("{}@{digest}", step.image)),
        command: step.command,
    }
}

fn shown(step: &StepRow, line: Line) -> LogLine {
    let class = if line.text.starts_with("danube: ") {
        "note"
    } else if step.status == StepStatus::Failure && crate::web::view::looks_wrong(&line.text) {
        "err"
    } else {
        ""
    };
    LogLine { number: line.number, text: line.text, class }
}

/// How a step ended, in few words.
pub(in crate::web) fn note(step: &StepRow) -> String {
    let bytes = step.log_bytes.map(|bytes| format!(" · {}", size(bytes))).unwrap_or_default();
    let ended = match (step.status, step.cause, step.exit_code) {
        (StepStatus::Failure, Some(Cause::Oom), _) => "out of memory".to_owned(),
        (StepStatus::Failure, _, Some(code)) => format!("exit {code}"),
        (StepStatus::Success, _, _) => "exit 0".to_owned(),
        (status, ..) => status.as_str().to_owned(),
    };
    let attempt = if step.attempt > 1 { format!(" · attempt {}", step.attempt) } else { String::new() };
    format!("{ended}{attempt}{bytes}")
}

/// A stream as something that can be read from any place.
struct Reader {
    file: StreamFile,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read_range(self.at, buffer.len()).map_err(io::Error::other)?;
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            SeekFrom::End(by) => self.file.len().map_err(io::Error::other)?.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}
