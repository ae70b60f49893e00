//! `GET /api/v1/jobs/{id}/artifacts[/{name}]`.
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::job_json;
use crate::artifacts as files;
use crate::model::Action;
use crate::model::job::Status;
use crate::store::artifacts::{self, ArtifactRow, KeepWhen};
use crate::web::access;
use crate::web::blocking;
use crate::web::cursor::Cursors;
use crate::web::error::{Answer, WebError};
use crate::web::query::{PageQuery, Query};
use crate::web::range;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The artifacts of a job.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ArtifactList")]
pub(in crate::web) struct List<'a> {
    /// By name.
    artifacts: Vec<job_json::Artifact<'a>>,
    /// The cursor of the next page; none: this is the last.
    next: Option<String>,
}

/// What a job keeps.
pub(in crate::web) async fn list(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &name, Action::ReadPipeline).await?;
    let list = Cursors::of("artifacts", &job.id);
    let after: String = list.read(query.cursor.as_deref())?.unwrap_or_default();
    let limit = query.limit()?;
    let rows = app.store.read(move |view| artifacts::page(view, job.id, &after, limit)).await?;
    let next = rows.last().filter(|_| rows.len() == limit as usize).map(|row| list.write(&row.name));
    Ok(Json(List { artifacts: rows.iter().map(job_json::artifact).collect(), next }).into_response())
}

/// The bytes of one artifact; a directory is its tar. Never shown by a browser, only saved.
pub(in crate::web) async fn download(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((job, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let (_read, job) = access::job(&app, &visitor, &job, Action::ReadPipeline).await?;
    let id = job.id;
    let row = app.store.read(move |view| artifacts::find(view, id, &name)).await?;
    let row = row.ok_or_else(WebError::not_found)?;
    if let Some(at) = row.expired_at {
        return Err(gone(&row, job.status, at));
    }
    let digest: files::Digest =
        row.sha256.parse().map_err(|_| WebError::internal(&"an artifact's digest is damaged"))?;
    let wanted = range::wanted(&headers, row.size);
    let bytes = wanted.bytes(row.size);
    let dir = app.artifacts_of(id);
    let file = blocking::run(move || files::open_range(&dir, &digest, bytes)).await?;
    let mut response = range::respond(wanted, row.size, "application/octet-stream", blocking::body(file));
    let about = response.headers_mut();
    about.insert(header::CONTENT_DISPOSITION, attachment(&row.name, row.kind.as_str() == "dir"));
    let tag = format!("\"{}\"", row.sha256);
    about.insert(header::ETAG, HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")));
    Ok(response)
}

/// Why the file of an artifact is not there any more.
fn gone(row: &ArtifactRow, end: Status, at: Timestamp) -> WebError {
    let wanted = match row.keep_when {
        KeepWhen::Always => None,
        KeepWhen::Success => (end != Status::Success).then_some("success"),
        KeepWhen::Failure => (end == Status::Success).then_some("failure"),
    };
    let text = match wanted {
        Some(when) => format!(
            "'{}' was stored with when=\"{when}\", and the job ended as {end}: its file was deleted. To keep it at every \
             end, upload it with when=\"always\".",
            row.name
        ),
        None => format!("The file of '{}' was deleted on {} by retention.", row.name, at.strftime("%Y-%m-%d")),
    };
    WebError::new(StatusCode::GONE, "The artifact is not kept", text)
}

/// `attachment` with the name, as RFC 6266 writes it: plain for old clients, exact for others.
fn attachment(name: &str, dir: bool) -> HeaderValue {
    let name = if dir && !name.ends_with(".tar") { format!("{name}.tar") } else { name.to_owned() };
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ') { c } else { '_' })
        .collect();
    let exact: String = name
        .bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_') {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect();
    HeaderValue::try_from(format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{exact}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_inside_its_quotes() {
        let value = attachment("a\"; evil=\"\r\nx<é>", false);
        let text = value.to_str().unwrap();
        let plain = "attachment; filename=\"a__ evil____x___\"";
        assert_eq!(text, format!("{plain}; filename*=UTF-8''a%22%3B%20evil%3D%22%0D%0Ax%3C%C3%A9%3E"));
        assert!(attachment("dist", true).to_str().unwrap().contains("filename=\"dist.tar\""));
    }
}
