//! `/system`: how the server is.
use askama::Template;
use axum::extract::State;

use super::render;
use crate::web::api::details::{Details, details};
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{When, size, took, when};
use crate::web::visitor::Visitor;

/// Below this part of a disk, something must be done soon.
const LITTLE: u64 = 10;

struct Room {
    what: &'static str,
    path: String,
    free: String,
    percent: u64,
    little: bool,
}

#[derive(Template)]
#[template(path = "system.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    health: Details,
    up: String,
    database: String,
    oldest: Option<When>,
    attempt: Option<When>,
    success: Option<When>,
    rooms: Vec<Room>,
}

/// The details of health as a page.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    let health = details(&app, &visitor).await?;
    let now = app.now();
    let since = |at: Option<_>| at.map(|at| when(at, now));
    let rooms = health.disks.iter().map(|disk| {
        let percent = disk.free_bytes.saturating_mul(100).checked_div(disk.total_bytes).unwrap_or(0);
        let (path, free) = (disk.path.clone(), size(disk.free_bytes));
        Room { what: disk.what, path, free, percent, little: percent < LITTLE }
    });
    let page = Page {
        chrome: chrome(&app, &visitor, "system").await?,
        up: took(health.started_at, now),
        database: size(health.database_bytes),
        oldest: since(health.queue.oldest_pending),
        attempt: since(health.config.last_attempt),
        success: since(health.config.last_success),
        rooms: rooms.collect(),
        health,
    };
    render(&page)
}
