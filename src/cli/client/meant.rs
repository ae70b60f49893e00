//! The pipeline that was probably meant.
use serde::Deserialize;

use super::error::ClientError;
use super::request::{Client, Request};
use crate::model::nearest;

#[derive(Deserialize)]
struct List {
    pipelines: Vec<Pipeline>,
}

#[derive(Deserialize)]
struct Pipeline {
    name: String,
}

/// Adds the nearest name, or the names there are, to the error that there is no such pipeline.
pub async fn meant(client: &Client, wrong: &str, error: ClientError) -> ClientError {
    let ClientError::Refused { status: 404, title, detail, retry_after } = error else { return error };
    let listed: Result<List, _> = client.fetch(Request::get("/api/v1/pipelines")).await;
    let names: Vec<String> =
        listed.map(|list| list.pipelines.into_iter().map(|line| line.name).collect()).unwrap_or_default();
    let hint = match nearest(wrong, names.iter().map(String::as_str)) {
        _ if names.iter().any(|name| name == wrong) => String::new(),
        Some(name) => format!(". Did you mean '{name}'?"),
        None if names.is_empty() => String::new(),
        None => format!(". There are: {}", names.iter().take(10).cloned().collect::<Vec<_>>().join(", ")),
    };
    ClientError::Refused { status: 404, title, detail: detail + &hint, retry_after }
}
