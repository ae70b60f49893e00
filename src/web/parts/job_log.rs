//! Logs as pages show them: one section for each step, with one window of its lines.
use jiff::Timestamp;

use crate::logs::{Place, Row, Stream, Window, looks_wrong, plain};
use crate::model::step::{Cause, StepStatus};
use crate::store::StepRow;
use crate::web::blocking;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::view::{Run, reused, runs, size};

/// Lines of the step that is looked at.
pub(in crate::web) const SHOWN: usize = 500;
/// Lines of the others.
const ASIDE: usize = 50;
/// Lines of all the others together; beyond, a link leads to them.
const ASIDE_IN_ALL: usize = 1000;

/// One line on the page.
pub(in crate::web) struct LogLine {
    /// From 1; 0 where it was not counted.
    pub(in crate::web) number: u64,
    pub(in crate::web) offset: u64,
    pub(in crate::web) time: String,
    pub(in crate::web) runs: Vec<Run>,
    pub(in crate::web) class: &'static str,
    /// Where the raw bytes of a line are that was cut.
    pub(in crate::web) rest: Option<(String, String)>,
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
    /// The same step on the page of the job that ran it, where that was an earlier one.
    pub(in crate::web) reused: Option<(String, String)>,
    pub(in crate::web) open: bool,
    pub(in crate::web) failed: bool,
    /// The address of this log's own page.
    pub(in crate::web) href: String,
    pub(in crate::web) raw: String,
    pub(in crate::web) start: u64,
    pub(in crate::web) end: u64,
    pub(in crate::web) earlier: Option<String>,
    pub(in crate::web) earlier_label: String,
    pub(in crate::web) later: Option<String>,
    pub(in crate::web) lines: Vec<LogLine>,
    pub(in crate::web) times: bool,
    pub(in crate::web) wrap: bool,
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
        let place = focus.from.filter(|_| open).map_or(Place::Tail, Place::Line);
        let limit = if open { SHOWN } else { ASIDE.min(budget) };
        let wanted = !expired && limit > 0;
        let window = if wanted { window(app, &step, place, limit).await? } else { Window::default() };
        if !open {
            budget = budget.saturating_sub(window.rows.len());
        }
        let mut section = section(step, window);
        section.open = open;
        section.empty = match (expired, wanted) {
            (true, _) => "The log was deleted by retention.",
            (_, false) => "Many steps: this log has a page of its own.",
            _ => section.empty,
        };
        sections.push(section);
    }
    Ok(sections)
}

/// Reads a window off the async threads.
pub(in crate::web) async fn window(app: &AppState, step: &StepRow, place: Place, limit: usize) -> Answer<Window> {
    let file = streams::file(app, step)?;
    let live = !step.status.is_terminal();
    let app = app.clone();
    blocking::run(move || app.lines.window(&file, place, limit, live)).await
}

/// A step with a window of its log.
pub(in crate::web) fn section(step: StepRow, window: Window) -> LogSection {
    let (job, seq, attempt) = (step.job_id, step.seq, step.attempt);
    let href = format!("/jobs/{job}/log?step={seq}&attempt={attempt}");
    let raw = format!("/api/v1/jobs/{job}/steps/{seq}/log?attempt={attempt}");
    let first = window.rows.first().and_then(|row| row.number);
    let earlier = (window.start > 0).then(|| format!("{href}&before={}", window.start));
    let earlier_label = match first {
        Some(first) => {
            format!("show lines {}–{}", first.saturating_sub(SHOWN as u64).max(1), first.saturating_sub(1))
        }
        None => "show earlier lines".to_owned(),
    };
    let (start, end, more) = (window.start, window.end, window.more);
    let unnumbered = !window.rows.is_empty() && first.is_none();
    let failed = matches!(step.status, StepStatus::Failure | StepStatus::Timeout);
    LogSection {
        seq,
        attempt,
        status: step.status.as_str(),
        note: note(&step),
        reused: step.reused_from.and_then(|job| Some((format!("/jobs/{job}?step={seq}#s{seq}"), reused(&step)?))),
        open: false,
        failed,
        later: more.then(|| format!("{href}&at={end}")),
        start,
        end,
        earlier,
        earlier_label,
        lines: window.rows.into_iter().map(|row| line(failed, &raw, row)).collect(),
        times: false,
        wrap: false,
        empty: match step.status {
            _ if start > 0 => "The log ends before this line.",
            StepStatus::Pending => "Waits to start.",
            StepStatus::Running => "No output yet.",
            _ => "No output.",
        },
        notice: unnumbered.then(|| format!("{href}&at={start}")),
        name: step.name,
        image: step.image_digest.map_or_else(|| step.image.clone(), |digest| format!("{}@{digest}", step.image)),
        command: step.command,
        href,
        raw,
    }
}

fn line(failed: bool, raw: &str, row: Row) -> LogLine {
    let text = plain(&row.bytes);
    let note = row.written.is_some_and(|(_, stream)| stream == Stream::Note);
    let class = match () {
        () if note || text.starts_with("danube: ") => "note",
        () if failed && looks_wrong(&text) => "err",
        () => "",
    };
    LogLine {
        number: row.number.unwrap_or(0),
        offset: row.offset,
        time: row.written.map(|(time_ns, _)| clock(time_ns)).unwrap_or_default(),
        runs: runs(&row.bytes),
        class,
        rest: row.cut.then(|| (format!("{raw}&from={}&length={}", row.offset, row.length), size(row.length))),
    }
}

/// The time of day of a line, in UTC.
pub(in crate::web) fn clock(time_ns: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(time_ns)).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime("%H:%M:%S%.3f").to_string()
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
    let from = reused(step).map(|from| format!("{from} · ")).unwrap_or_default();
    format!("{from}{ended}{attempt}{bytes}")
}
