//! `/audit`: who did what.
use askama::Template;
use axum::extract::State;

use super::render;
use crate::web::api::audit::{self as api, Found, ListQuery};
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::query::Query;
use crate::web::state::AppState;
use crate::web::view::{When, when};
use crate::web::visitor::Visitor;

struct Line {
    seq: i64,
    at: When,
    who: String,
    action: String,
    resource: String,
    detail: String,
    denied: bool,
    sound: bool,
}

#[derive(Template)]
#[template(path = "audit.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    sound: bool,
    chain: String,
    who: String,
    action: String,
    pipeline: String,
    decision: String,
    since: String,
    filtered: bool,
    lines: Vec<Line>,
    older: Option<String>,
}

/// A page of the audit log, with its filters.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<ListQuery>,
) -> Answer {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (who, action, pipeline) = (text(&query.who), text(&query.action), text(&query.pipeline));
    let (decision, since) = (text(&query.decision), text(&query.since));
    let given: Vec<(&str, &String)> =
        [("who", &who), ("action", &action), ("pipeline", &pipeline), ("decision", &decision), ("since", &since)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
    let filtered = !given.is_empty();
    let conditions = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish();
    let Found { rows, next } = api::search(&app, &visitor, query).await?;
    let older = next.map(|next| format!("/audit?{conditions}&cursor={next}"));
    let standing = app.chain.look(&app.store).await?;
    let chain = match (standing.sound, standing.checked == standing.lines) {
        (false, _) => format!("The chain is broken behind line {}.", standing.checked),
        (true, true) => format!("All {} lines are as they were written.", standing.lines),
        (true, false) => format!("{} of {} lines checked; each look checks more.", standing.checked, standing.lines),
    };
    let now = app.now();
    let lines = rows.into_iter().map(|row| Line {
        sound: row.is_sound(),
        denied: row.decision.as_str() == "denied",
        seq: row.seq,
        at: when(row.at, now),
        who: row.label,
        action: row.action,
        resource: row.resource,
        detail: row.detail,
    });
    let page = Page {
        chrome: chrome(&app, &visitor, "audit").await?,
        sound: standing.sound,
        chain,
        who,
        action,
        pipeline,
        decision,
        since,
        filtered,
        lines: lines.collect(),
        older,
    };
    render(&page)
}
