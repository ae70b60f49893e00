//! What a server answered: a status, and a body that is read with a limit and a patience.
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ClientError;

/// Bytes of a JSON answer.
const JSON: usize = 64 << 20;
/// Bytes of an error.
const PROBLEM: usize = 64 << 10;
/// A server that says nothing for so long is gone. Live streams send a sign of life more often.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// An answer whose body is still to be read.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: BoxStream<'static, Result<Bytes, String>>,
    pub(super) place: String,
}

/// An error as the API writes it (RFC 9457).
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
}

impl Answer {
    /// The next bytes; none: it is whole.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        let broken = |why: String| ClientError::Broken { place: self.place.clone(), why };
        match tokio::time::timeout(SILENCE, self.body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => Ok(Some(bytes)),
            Ok(Some(Err(why))) => Err(broken(why)),
            Err(_) => Err(broken(format!("it said nothing for {} s", SILENCE.as_secs()))),
        }
    }

    /// The JSON of the body.
    pub(super) async fn json<T: DeserializeOwned>(mut self) -> Result<T, ClientError> {
        let bytes = self.read(JSON).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.strange(format!("the JSON is not as expected: {error}")))
    }

    /// This, or the error that it is.
    pub(super) async fn granted(mut self) -> Result<Self, ClientError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let status = self.status.as_u16();
        let retry_after = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let is_problem = self
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/problem+json"));
        if is_problem {
            let bytes = self.read(PROBLEM).await?;
            if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
                let detail = problem.detail.unwrap_or_else(|| format!("the server answered {status}"));
                return Err(ClientError::Refused { status, title: problem.title, detail, retry_after });
            }
        }
        // What stands between here and the server says so when it is away.
        if matches!(status, 502..=504) {
            let title = "The server is away".to_owned();
            return Err(ClientError::Refused { status, title, detail: self.status.to_string(), retry_after });
        }
        Err(self.strange(format!("it answered {}", self.status)))
    }

    async fn read(&mut self, most: usize) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            if all.len() + bytes.len() > most {
                return Err(self.strange(format!("the answer is longer than {most} bytes")));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    fn strange(&self, why: String) -> ClientError {
        ClientError::Strange { place: self.place.clone(), why }
    }
}
