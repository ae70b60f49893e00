//! `GET /api/v1/audit`: who did what, newest first.
use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::Action;
use crate::store::audit_log::{self, AuditRow, Decision, Filter};
use crate::store::pipelines;
use crate::web::access;
use crate::web::chain::Standing;
use crate::web::cursor::Cursors;
use crate::web::error::{Answer, WebError};
use crate::web::query::{Query, page_limit, text, word};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Which lines; every condition that is given must hold.
#[derive(Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AuditQuery")]
pub(in crate::web) struct ListQuery {
    /// Only about the pipeline of this name.
    pub(in crate::web) pipeline: Option<String>,
    /// Only by this one, as `who` says it.
    pub(in crate::web) who: Option<String>,
    /// Only this action, as `job.cancel`.
    pub(in crate::web) action: Option<String>,
    /// Only what was decided so: `allowed` or `denied`.
    pub(in crate::web) decision: Option<String>,
    /// Only at this time or later, as `2026-05-04T10:00:00Z`.
    #[schemars(with = "Option<Timestamp>")]
    pub(in crate::web) since: Option<String>,
    /// Lines in an answer at most.
    #[serde(skip_serializing)]
    #[schemars(range(min = 1, max = 200))]
    pub(in crate::web) limit: Option<u32>,
    /// Where to go on: `next` of the answer before.
    #[serde(skip_serializing)]
    pub(in crate::web) cursor: Option<String>,
}

/// One page of the audit log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditPage")]
pub(in crate::web) struct List {
    /// Newest first.
    lines: Vec<Line>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
    chain: Standing,
}

/// A line of the audit log.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditLine")]
struct Line {
    /// Its place, from 1.
    seq: i64,
    at: Timestamp,
    who: String,
    action: String,
    resource: String,
    /// `allowed` or `denied`.
    decision: &'static str,
    detail: String,
    /// It is as it was written.
    sound: bool,
    hash: String,
}

/// Some lines, and where the list goes on.
pub(in crate::web) struct Found {
    pub(in crate::web) rows: Vec<AuditRow>,
    pub(in crate::web) next: Option<String>,
}

/// The lines that fit, newest first.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Query(query): Query<ListQuery>,
) -> Answer {
    let Found { rows, next } = search(&app, &visitor, query).await?;
    let lines = rows.into_iter().map(|row| Line {
        sound: row.is_sound(),
        seq: row.seq,
        at: row.at,
        who: row.label,
        action: row.action,
        resource: row.resource,
        decision: row.decision.as_str(),
        detail: row.detail,
        hash: row.hash,
    });
    let list = List { lines: lines.collect(), next, chain: app.chain.look(&app.store).await? };
    Ok(Json(list).into_response())
}

/// Reads a page.
pub(in crate::web) async fn search(app: &AppState, visitor: &Visitor, query: ListQuery) -> Answer<Found> {
    access::allow(visitor, Action::ReadAudit)?;
    let list = Cursors::of("audit", &query);
    let before = list.read(query.cursor.as_deref())?;
    let limit = page_limit(query.limit)?;
    let decision = match text(query.decision) {
        Some(text) => {
            Some(Decision::parse(&text).ok_or_else(|| WebError::bad_request("`decision` is `allowed` or `denied`."))?)
        }
        None => None,
    };
    let since = word::<Timestamp>(query.since)?;
    let pipeline = text(query.pipeline);
    let (who, action) = (text(query.who), text(query.action));
    let rows = app.store.read(move |view| {
        let pipeline = match pipeline {
            Some(name) => match pipelines::find_by_name(view, &name)? {
                Some(row) => Some(row.id),
                None => return Ok(Vec::new()),
            },
            None => None,
        };
        audit_log::find(view, &Filter { pipeline, who, action, decision, since, before, limit })
    });
    let rows = rows.await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| list.write(&row.seq));
    Ok(Found { rows, next })
}
