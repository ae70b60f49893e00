//! The server's API over its own socket, as root of this machine.
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::model::Secret;

/// The longest a question may take.
const LIMIT: Duration = Duration::from_secs(30);
/// The largest answer that is taken.
const LARGEST: usize = 64 << 20;

/// A client of one server.
pub(in crate::cli) struct Api(reqwest::Client);

/// The server answered with another status than success.
#[derive(Debug, thiserror::Error)]
#[error("the server refused {what}: {detail} ({status})")]
pub(in crate::cli) struct Refused {
    what: String,
    pub(in crate::cli) status: StatusCode,
    detail: String,
}

impl Api {
    pub(in crate::cli) fn new(socket: &Path) -> anyhow::Result<Self> {
        // Well where somebody installed one before.
        let _there = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().unix_socket(socket).timeout(LIMIT).build();
        Ok(Self(client.context("cannot make a client of the server's socket")?))
    }

    /// The JSON at a path.
    pub(in crate::cli) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::GET, path, Vec::new()).await
    }

    /// The bytes at a path.
    pub(in crate::cli) async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.ask(Method::GET, path, Vec::new()).await
    }

    /// Asks for something to be done.
    pub(in crate::cli) async fn post(&self, path: &str) -> anyhow::Result<Value> {
        self.json(Method::POST, path, Vec::new()).await
    }

    /// Stores a secret.
    pub(in crate::cli) async fn put_secret(&self, path: &str, value: &Secret<String>) -> anyhow::Result<()> {
        self.ask(Method::PUT, path, value.expose().clone().into_bytes()).await.map(|_| ())
    }

    async fn json(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Value> {
        let bytes = self.ask(method, path, body).await?;
        serde_json::from_slice(&bytes).with_context(|| format!("the server's answer to {path} is not JSON"))
    }

    async fn ask(&self, method: Method, path: &str, body: Vec<u8>) -> anyhow::Result<Vec<u8>> {
        let what = format!("{method} {path}");
        let tried = || format!("cannot ask the server: {what}");
        let request = self.0.request(method, format!("http://danube{path}")).body(body);
        let mut answer = request.send().await.with_context(tried)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.with_context(tried)? {
            if bytes.len() + piece.len() > LARGEST {
                bail!("the server's answer to {what} is larger than {LARGEST} bytes");
            }
            bytes.extend_from_slice(&piece);
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(bytes);
        }
        let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("it did not say why").to_owned();
        Err(Refused { what, status, detail }.into())
    }
}
