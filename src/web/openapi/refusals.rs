//! Which refusals an operation may answer with, and what each means.
use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::operation::{Content, Operation};
use crate::web::guard::Access;

/// Status, name of its component, meaning.
const KNOWN: &[(u16, &str, &str)] = &[
    (400, "BadRequest", "The request is wrong; `detail` says where."),
    (401, "Unauthorized", "A session or a valid token is needed."),
    (403, "Forbidden", "A browser's request without its form token, or from another site."),
    (404, "NotFound", "There is no such thing, or the caller may not see it: the two look the same."),
    (408, "TooSlow", "The request did not come whole, or was not answered, in time."),
    (409, "Conflict", "It contradicts what is there."),
    (410, "Gone", "It was deleted by retention."),
    (413, "TooLarge", "The body is larger than is taken here."),
    (415, "UnsupportedMediaType", "The body is not of a media type that is taken here."),
    (416, "RangeNotSatisfiable", "The range lies outside."),
    (422, "Unprocessable", "The body was read but cannot be done; `detail` says where and why."),
    (429, "TooManyRequests", "Too many requests; `Retry-After` says when to go on."),
    (500, "InternalError", "Something of the server broke; the reason is in its log."),
    (503, "Unavailable", "Not now; `Retry-After` says when to try again."),
    (507, "DiskFull", "The server's disk is full; nothing was changed."),
];

/// The statuses that an operation may refuse with.
pub(super) fn of(operation: &Operation, method: &Method, path: &str, access: Access) -> BTreeSet<u16> {
    let mut statuses: BTreeSet<u16> = operation.refuses.iter().copied().collect();
    statuses.extend([408, 429, 500]);
    if access != Access::Open {
        statuses.extend([401, 404, 503]);
    }
    if operation.query.is_some() || path.contains('{') {
        statuses.extend([400, 404]);
    }
    if !method.is_safe() {
        statuses.extend([413, 507]);
        if access != Access::Open {
            statuses.insert(403);
        }
    }
    match operation.takes {
        Content::Json(_) => statuses.extend([400, 415, 422]),
        Content::Bytes(_) => statuses.extend([400]),
        Content::Empty => {}
    }
    statuses
}

/// The reference to the answer for a status.
pub(super) fn reference(status: u16) -> Value {
    let name = KNOWN.iter().find(|known| known.0 == status).map_or("InternalError", |known| known.1);
    json!({ "$ref": format!("#/components/responses/{name}") })
}

/// Every answer that is referred to.
pub(super) fn components() -> Value {
    let mut all = Map::new();
    for (status, name, meaning) in KNOWN {
        let content = match status {
            416 => json!({}),
            _ => json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } }),
        };
        let mut answer = json!({ "description": meaning });
        if *status != 416 {
            answer["content"] = content;
        }
        if [429, 503].contains(status) {
            answer["headers"] = json!({ "Retry-After": {
                "description": "Seconds until another try is sensible.",
                "schema": { "type": "integer", "minimum": 1 },
            } });
        }
        all.insert((*name).to_owned(), answer);
    }
    Value::Object(all)
}
