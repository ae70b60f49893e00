//! `/config`: what is in force, and what is wrong with what is not.
use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};

use super::render;
use crate::model::Action;
use crate::store::{config_commits, pipelines};
use crate::web::access;
use crate::web::api::config::{self as status, Mistake};
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{When, when};
use crate::web::visitor::Visitor;

/// Mistakes and commits that are listed.
const LISTED: usize = 200;

struct Issue {
    place: String,
    message: String,
    fix: String,
}

struct Commit {
    sha: String,
    applied: bool,
    at: When,
}

#[derive(Template)]
#[template(path = "config.html")]
struct Page {
    chrome: Chrome,
    may_sync: bool,
    problem: bool,
    headline: String,
    unreachable: Option<String>,
    issues: Vec<Issue>,
    in_force: Option<Commit>,
    pipelines: usize,
    history: Vec<Commit>,
}

/// The state of the configuration.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    access::allow(&visitor, Action::ReadConfigStatus)?;
    let now = app.now();
    let read =
        app.store.read(|view| Ok((status::both(view)?, config_commits::recent(view, 20)?, pipelines::active(view)?)));
    let ((in_force, last), recent, active) = read.await?;
    let errors = last.as_ref().map(status::errors).unwrap_or_default();
    let sha = last.map(|row| row.sha).unwrap_or_default();
    let count = errors.len();
    let mistakes = if count == 1 { "mistake" } else { "mistakes" };
    let page = Page {
        chrome: chrome(&app, &visitor, "config").await?,
        may_sync: access::may(&visitor, Action::SyncConfig),
        problem: count > 0,
        headline: format!("Commit {} has {count} {mistakes}.", sha.chars().take(10).collect::<String>()),
        unreachable: (app.hooks.config)().error,
        issues: errors.iter().take(LISTED).map(issue).collect(),
        in_force: in_force.map(|row| Commit {
            at: when(row.applied_at.unwrap_or(row.seen_at), now),
            sha: row.sha,
            applied: true,
        }),
        pipelines: active.len(),
        history: recent
            .into_iter()
            .map(|row| Commit { applied: row.applied_at.is_some(), at: when(row.seen_at, now), sha: row.sha })
            .collect(),
    };
    render(&page)
}

/// Asks for a sync and shows the page again.
pub(in crate::web) async fn sync(State(app): State<AppState>, visitor: Visitor) -> Answer {
    status::ask(&app, &visitor).await?;
    Ok(Redirect::to("/config").into_response())
}

fn issue(error: &Mistake) -> Issue {
    let number = |number: Option<u32>| number.map(|n| n.to_string());
    let place = [error.file.clone(), number(error.line), number(error.column)];
    Issue {
        place: place.into_iter().flatten().collect::<Vec<_>>().join(":"),
        message: error.message.clone(),
        fix: error.fix.clone().unwrap_or_default(),
    }
}
