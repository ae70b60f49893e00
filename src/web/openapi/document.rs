//! `GET /api/v1/openapi.json`.
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::http::{Method, header};
use axum::response::IntoResponse;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::operation::{Content, Operation};
use super::{parameters, refusals};
use crate::web::error::{Answer, Problem};
use crate::web::guard::Access;
use crate::web::routes::{Route, routes};

/// The document as it is served.
pub(in crate::web) async fn show() -> Answer {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(&routes()).to_string().into()).clone();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// The schemas of requests and of answers: a field with a default may be left out of the one only.
struct Types {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// OpenAPI 3.1 of the routes that carry an operation.
pub(in crate::web) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut types = Types {
        requests: settings.clone().for_deserialize().into_generator(),
        answers: settings.for_serialize().into_generator(),
    };
    let mut paths = Map::new();
    for route in routes {
        let Some(operation) = &route.operation else { continue };
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = describe(operation, route, &mut types);
    }
    types.answers.subschema_for::<Problem>();
    let mut schemas = types.requests.take_definitions(true);
    schemas.extend(types.answers.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Danube",
            "version": "1",
            "description": "Errors are `application/problem+json`. Lists are read page by page: `next` of an answer is \
                            the `cursor` of the following request. Answers of GET carry an `ETag`; with \
                            `If-None-Match`, what has not changed is answered by 304.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refusals::components(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "danube_…" },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "danube_session",
                    "description": "A browser's session. Changes need its form token in `X-CSRF-Token` too.",
                },
            },
        },
    })
}

fn describe(operation: &Operation, route: &Route, types: &mut Types) -> Value {
    let mut answers = Map::new();
    for (status, content) in &operation.answers {
        let mut answer = json!({ "description": meaning(*status) });
        if let Some(content) = media(*content, &mut types.answers) {
            answer["content"] = content;
        }
        answers.insert(status.to_string(), answer);
    }
    if route.revalidates() {
        answers.insert("304".to_owned(), json!({ "description": meaning(304) }));
    }
    for status in refusals::of(operation, &route.method, route.path, route.access) {
        answers.entry(status.to_string()).or_insert_with(|| refusals::reference(status));
    }
    let mut whole = json!({
        "operationId": operation_id(&route.method, route.path),
        "tags": [tag(route.path)],
        "summary": operation.summary,
        "responses": answers,
    });
    let parameters = parameters::of(operation, route.path, &mut types.requests);
    if !parameters.is_empty() {
        whole["parameters"] = parameters.into();
    }
    if let Some(content) = media(operation.takes, &mut types.requests) {
        whole["requestBody"] = json!({ "required": operation.body_required, "content": content });
    }
    if route.access == Access::Open {
        whole["security"] = json!([]);
    }
    whole
}

fn media(content: Content, types: &mut SchemaGenerator) -> Option<Value> {
    match content {
        Content::Empty => None,
        Content::Json(shape) => Some(json!({ "application/json": { "schema": shape(types) } })),
        // Bytes have no schema in OpenAPI 3.1.
        Content::Bytes(kind) => Some(json!({ kind: {} })),
    }
}

const fn meaning(status: u16) -> &'static str {
    match status {
        201 => "Made.",
        202 => "Taken; it happens after this answer.",
        204 => "Done; there is nothing to say.",
        206 => "The part that was asked for.",
        304 => "Nothing has changed since the answer with that `ETag`.",
        503 => "Not ready.",
        _ => "The answer.",
    }
}

/// `get_jobs_id_log`: stable, unique, readable.
fn operation_id(method: &Method, path: &str) -> String {
    let words = path
        .trim_start_matches("/api/v1/")
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>();
    format!("{}_{}", method.as_str().to_lowercase(), words.join("_"))
}

/// The part of the API that an address belongs to.
fn tag(path: &str) -> &str {
    match path.strip_prefix("/api/v1/") {
        Some(rest) => rest.split(['/', '.']).next().unwrap_or_default(),
        None => path.split('/').find(|part| !part.is_empty()).unwrap_or_default(),
    }
}
