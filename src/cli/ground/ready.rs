//! A server that has a configuration and is ready.
use std::time::Duration;

use anyhow::ensure;
use serde_json::Value;

use super::api::Api;
use super::server::Server;

/// The longest a configuration may take to be in force.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the server applied the config repo; its commit.
pub(in crate::cli) async fn in_force(api: &Api, server: &mut Server) -> anyhow::Result<String> {
    api.post("/api/v1/config/sync").await?;
    let commit = server
        .until("the configuration was in force", LIMIT, async || {
            let status = api.get("/api/v1/config/status").await?;
            let errors = status["errors"].as_array().is_some_and(|list| !list.is_empty());
            ensure!(!errors, "the configuration was refused: {}", status["errors"]);
            Ok(status["in_force"]["commit"].as_str().map(str::to_owned))
        })
        .await?;
    let ready = server.until("it was ready", LIMIT, async || Ok(api.get("/health/ready").await.ok())).await;
    ready.map(|_: Value| commit)
}
