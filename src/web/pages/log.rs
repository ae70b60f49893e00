//! `/jobs/{id}/log`: one step's log by itself, from any line, and searches over the logs of a job.
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect};
use serde::Deserialize;

use super::render;
use crate::logs::{self, Meaning, Place};
use crate::model::Action;
use crate::model::step::StepStatus;
use crate::store::{JobRow, StepRow, steps};
use crate::web::access;
use crate::web::api::Cursor;
use crate::web::blocking;
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, LogSection, SHOWN, StepHit, chrome, find, section, window};
use crate::web::state::AppState;
use crate::web::streams;
use crate::web::visitor::Visitor;

/// Lines found on one page.
const FOUND: usize = 100;
/// Lines shown above the one that was asked for.
const ABOVE: u64 = 20;

/// What to look at. All of it is in the address, so that it can be given to somebody else.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    step: Option<u32>,
    attempt: Option<u32>,
    /// `120`, `120-140` or `first-error`.
    line: Option<String>,
    at: Option<u64>,
    before: Option<u64>,
    q: Option<String>,
    case: Option<String>,
    expr: Option<String>,
    after: Option<String>,
    times: Option<String>,
    wrap: Option<String>,
}

struct Part {
    text: String,
    marked: bool,
}

struct FoundLine {
    number: u64,
    hit: bool,
    parts: Vec<Part>,
}

struct Found {
    step: String,
    href: String,
    line: u64,
    lines: Vec<FoundLine>,
}

struct Search {
    text: String,
    step: Option<u32>,
    case: bool,
    expression: bool,
    said: String,
    hits: Vec<Found>,
    more: Option<String>,
}

#[derive(Template)]
#[template(path = "log.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    id: String,
    pipeline: String,
    number: u64,
    live: bool,
    after: String,
    previous: Option<(String, String)>,
    next: Option<(String, String)>,
    search: Option<Search>,
    section: Option<LogSection>,
}

#[derive(Template)]
#[template(path = "log_lines.html", config = "templates/askama.toml")]
struct Lines {
    log: LogSection,
}

/// A log, or what was found in the logs.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(look): Query<Look>,
) -> Answer {
    let (job, rows) = open(&app, &visitor, &name).await?;
    let mut page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        id: job.id.to_string(),
        live: false,
        after: String::new(),
        previous: None,
        next: None,
        search: None,
        section: None,
        pipeline: job.pipeline_name.clone(),
        number: job.number,
    };
    if let Some(text) = look.q.clone().filter(|text| !text.is_empty()) {
        page.search = Some(search(&app, &job, rows, text, &look).await?);
        return render(&page);
    }
    let step = chosen(&rows, &look)?;
    if look.line.as_deref() == Some("first-error") {
        let (file, seq, attempt) = (streams::file(&app, &step)?, step.seq, step.attempt);
        let indexes = app.clone();
        let found = blocking::run(move || indexes.lines.first_error(&file)).await?;
        let line = found.map(|found| format!("&line={0}#s{seq}-L{0}", found.line)).unwrap_or_default();
        return Ok(Redirect::to(&format!("/jobs/{}/log?step={seq}&attempt={attempt}{line}", job.id)).into_response());
    }
    let (before, after): (Vec<&StepRow>, Vec<&StepRow>) =
        rows.iter().filter(|row| row.seq != step.seq).partition(|row| row.seq < step.seq);
    let link = |row: &&StepRow| (format!("/jobs/{}/log?step={}", row.job_id, row.seq), row.name.clone());
    page.previous = before.last().map(link);
    page.next = after.first().map(link);
    page.live = !job.status.is_terminal();
    let log = read(&app, step, &look).await?;
    page.after = Cursor { sent: [((log.seq, log.attempt), log.end)].into(), ..Cursor::default() }.to_string();
    page.section = Some(log);
    render(&page)
}

/// The same lines without a page around them, for pages that are open.
pub(in crate::web) async fn lines(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(look): Query<Look>,
) -> Answer {
    let (_job, rows) = open(&app, &visitor, &name).await?;
    let step = chosen(&rows, &look)?;
    render(&Lines { log: read(&app, step, &look).await? })
}

async fn open(app: &AppState, visitor: &Visitor, name: &str) -> Answer<(JobRow, Vec<StepRow>)> {
    let (_read, job) = access::job(app, visitor, name, Action::ReadPipeline).await?;
    streams::kept(&job)?;
    let id = job.id;
    let rows = app.store.read(move |view| steps::of_job(view, id)).await?;
    Ok((job, rows))
}

/// The step that was asked for; else the one that failed, runs, or was the last.
fn chosen(rows: &[StepRow], look: &Look) -> Answer<StepRow> {
    let asked = |row: &&StepRow| {
        look.step.is_none_or(|seq| row.seq == seq) && look.attempt.is_none_or(|attempt| row.attempt == attempt)
    };
    let of = |status: StepStatus| rows.iter().filter(asked).rfind(|row| look.step.is_none() && row.status == status);
    let row = of(StepStatus::Failure).or(of(StepStatus::Running)).or(rows.iter().rfind(asked));
    row.cloned().ok_or_else(WebError::not_found)
}

async fn read(app: &AppState, step: StepRow, look: &Look) -> Answer<LogSection> {
    let marked =
        match &look.line {
            Some(text) => Some(range(text).ok_or_else(|| {
                WebError::bad_request("the line is none: write line=120, or line=120-140 for several")
            })?),
            None => None,
        };
    let place = match (marked, look.at, look.before) {
        (Some((first, _)), ..) => Place::Line(first.saturating_sub(ABOVE).max(1)),
        (_, Some(at), _) => Place::From(at),
        (_, _, Some(before)) => Place::Before(before),
        _ => Place::Tail,
    };
    let window = window(app, &step, place, SHOWN).await?;
    let mut log = section(step, window);
    log.times = look.times.is_some();
    log.wrap = look.wrap.is_some();
    if let Some((first, last)) = marked {
        for line in log.lines.iter_mut().filter(|line| (first..=last).contains(&line.number)) {
            line.class = if line.class == "err" { "err hit" } else { "hit" };
        }
    }
    Ok(log)
}

/// `120` or `120-140`.
fn range(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| (1..1 << 60).contains(n));
    let (first, last) = (number(first)?, number(last)?);
    Some((first.min(last), first.max(last)))
}

async fn search(app: &AppState, job: &JobRow, rows: Vec<StepRow>, text: String, look: &Look) -> Answer<Search> {
    let meaning = Meaning { expression: look.expr.is_some(), case: look.case.is_some() };
    let steps: Vec<StepRow> = rows.into_iter().filter(|row| look.step.is_none_or(|seq| seq == row.seq)).collect();
    let mut search = Search {
        step: look.step,
        case: meaning.case,
        expression: meaning.expression,
        said: String::new(),
        hits: Vec::new(),
        more: None,
        text,
    };
    let query = match logs::Query::new(&search.text, meaning) {
        Ok(query) => query,
        Err(error) => {
            search.said = error.to_string();
            return Ok(search);
        }
    };
    let searched = find(app, steps, query.clone(), look.after.as_deref(), FOUND).await?;
    let lines = if searched.hits.len() == 1 { "line" } else { "lines" };
    search.said = match (searched.hits.len(), &searched.next) {
        (0, None) => "Nothing was found.".to_owned(),
        (0, Some(_)) => "Nothing was found so far.".to_owned(),
        (count, None) => format!("{count} {lines} found; everything was searched."),
        (count, Some(_)) => format!("{count} {lines} found so far."),
    };
    search.more = searched.next.map(|next| {
        let mut address = url::form_urlencoded::Serializer::new(String::new());
        address.append_pair("q", &search.text).append_pair("after", &next);
        if let Some(step) = search.step {
            address.append_pair("step", &step.to_string());
        }
        for (name, on) in [("case", meaning.case), ("expr", meaning.expression)] {
            if on {
                address.append_pair(name, "1");
            }
        }
        format!("/jobs/{}/log?{}", job.id, address.finish())
    });
    search.hits = searched.hits.into_iter().map(|hit| found(job, &query, hit)).collect();
    Ok(search)
}

fn found(job: &JobRow, query: &logs::Query, StepHit { seq, attempt, step, hit }: StepHit) -> Found {
    let line = hit.spot.line;
    let plain = |text: String| vec![Part { text, marked: false }];
    let before = hit.before.map(|text| FoundLine { number: line.saturating_sub(1), hit: false, parts: plain(text) });
    let itself = FoundLine { number: line, hit: true, parts: parts(query, &hit.text) };
    let after = hit.after.map(|text| FoundLine { number: line + 1, hit: false, parts: plain(text) });
    Found {
        step,
        href: format!("/jobs/{}/log?step={seq}&attempt={attempt}&line={line}#s{seq}-L{line}", job.id),
        line,
        lines: before.into_iter().chain([itself]).chain(after).collect(),
    }
}

/// A line with the found places marked.
fn parts(query: &logs::Query, text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut at = 0;
    for place in query.places(text) {
        parts.push(Part { text: text[at..place.start].to_owned(), marked: false });
        parts.push(Part { text: text[place.clone()].to_owned(), marked: true });
        at = place.end;
    }
    parts.push(Part { text: text[at..].to_owned(), marked: false });
    parts
}
