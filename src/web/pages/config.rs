//! `/config`: what is in force and what it changed, and what is wrong with what is not.
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};

use super::render;
use crate::model::Action;
use crate::store::config_commits::ConfigCommitRow;
use crate::store::{Field, apply, config_commits, pipelines};
use crate::web::access;
use crate::web::api::config::{self as status, Mistake};
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{When, pipeline_href, when};
use crate::web::visitor::Visitor;

/// Mistakes that are listed.
const LISTED: usize = 200;
/// Commits that are listed, with what each changed.
const COMMITS: u32 = 20;

struct Issue {
    place: String,
    message: String,
    fix: String,
    text: String,
    /// The column, as blanks before a caret.
    caret: String,
}

/// A document that came or went.
struct Document {
    sign: char,
    kind: &'static str,
    name: String,
    href: Option<String>,
}

struct Commit {
    sha: String,
    applied: bool,
    at: When,
    documents: Vec<Document>,
    fields: Vec<Field>,
    /// In a few words.
    summary: String,
}

#[derive(Template)]
#[template(path = "config.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    may_sync: bool,
    problem: bool,
    headline: String,
    unreachable: Option<String>,
    looked: Option<When>,
    issues: Vec<Issue>,
    more: usize,
    in_force: Option<Commit>,
    pipelines: usize,
    history: Vec<Commit>,
}

/// The state of the configuration.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadConfigStatus)?;
    let now = app.now();
    let read = app
        .store
        .read(|view| Ok((status::both(view)?, config_commits::recent(view, COMMITS)?, pipelines::active(view)?)));
    let ((in_force, last), recent, active) = read.await?;
    let errors = last.as_ref().map(status::errors).unwrap_or_default();
    let refused = last.map(|row| row.sha).unwrap_or_default();
    let count = errors.len();
    let mistakes = if count == 1 { "mistake" } else { "mistakes" };
    let looked = (app.hooks.config)();
    let page = Page {
        chrome: chrome(&app, &visitor, "config").await?,
        may_sync: access::may(&visitor, Action::SyncConfig),
        problem: count > 0,
        headline: format!("Commit {} has {count} {mistakes}.", refused.chars().take(10).collect::<String>()),
        unreachable: looked.error,
        looked: looked.last_success.map(|at| when(at, now)),
        issues: errors.iter().take(LISTED).map(issue).collect(),
        more: count.saturating_sub(LISTED),
        in_force: in_force.map(|row| commit(row, now)),
        pipelines: active.len(),
        history: recent.into_iter().map(|row| commit(row, now)).collect(),
    };
    render(&page)
}

/// Asks for a sync and shows the page again.
pub(in crate::web) async fn sync(State(app): State<AppState>, visitor: Visitor) -> Answer {
    status::ask(&app, &visitor).await?;
    Ok(Redirect::to("/config").into_response())
}

fn commit(row: ConfigCommitRow, now: jiff::Timestamp) -> Commit {
    // Written by this or an older release; what cannot be read is shown as a commit without details.
    let changes = row.changes.as_deref().and_then(|text| serde_json::from_str::<apply::Changes>(text).ok());
    let changes = changes.unwrap_or_default();
    let documents: Vec<Document> =
        [("user", &changes.users), ("team", &changes.teams), ("pipeline", &changes.pipelines)]
            .into_iter()
            .flat_map(|(kind, names)| names.iter().filter_map(move |name| document(kind, name)))
            .collect();
    let (count, fields) = (documents.len(), changes.fields.len());
    let summary = match (row.applied_at.is_some(), count, fields) {
        (false, ..) => "nothing: it was refused".to_owned(),
        (true, 0, 0) => "nothing that counts here".to_owned(),
        (true, 0, fields) => format!("{fields} {}", if fields == 1 { "field" } else { "fields" }),
        (true, count, fields) => {
            let documents = if count == 1 { "document" } else { "documents" };
            format!("{count} {documents}, {fields} {}", if fields == 1 { "field" } else { "fields" })
        }
    };
    Commit {
        applied: row.applied_at.is_some(),
        at: when(row.applied_at.unwrap_or(row.seen_at), now),
        sha: row.sha,
        documents,
        fields: changes.fields,
        summary,
    }
}

/// `+web`, `-web`, `~web` as they are stored.
fn document(kind: &'static str, stored: &str) -> Option<Document> {
    let sign = stored.chars().next().filter(|sign| "+-~".contains(*sign))?;
    let name = stored[1..].to_owned();
    let href = (kind == "pipeline" && sign != '-').then(|| pipeline_href(&name));
    Some(Document { sign, kind, name, href })
}

fn issue(error: &Mistake) -> Issue {
    let number = |number: Option<u32>| number.map(|n| n.to_string());
    let place = [error.file.clone(), number(error.line), number(error.column)];
    let text = error.text.clone().unwrap_or_default();
    let column = error.column.and_then(|column| usize::try_from(column).ok()).unwrap_or(0);
    let within = (1..=text.chars().count() + 1).contains(&column);
    Issue {
        place: place.into_iter().flatten().collect::<Vec<_>>().join(":"),
        message: error.message.clone(),
        fix: error.fix.clone().unwrap_or_default(),
        caret: if within { format!("{}^", " ".repeat(column - 1)) } else { String::new() },
        text,
    }
}
