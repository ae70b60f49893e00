//! Requests to the API, whichever way they go.
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Answer;
use super::error::ClientError;
use super::network::Network;
use super::socket::Socket;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: Method,
    /// From the root, encoded.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What it is about, for the sentence that says there is no such thing.
    pub(super) about: Option<String>,
    /// What older servers do not tell.
    pub(super) newer: Option<&'static str>,
}

impl Request {
    /// Asks for something.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            about: None,
            newer: None,
        }
    }

    /// Asks for a change.
    pub fn post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }

    /// Puts something in its place.
    pub fn put(path: impl Into<String>) -> Self {
        Self { method: Method::PUT, ..Self::get(path) }
    }

    /// Takes something away.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// About something with a name: "the pipeline web".
    pub fn about(self, what: impl Into<String>) -> Self {
        Self { about: Some(what.into()), ..self }
    }

    /// An address that older servers do not have.
    pub fn newer(self, what: &'static str) -> Self {
        Self { newer: Some(what), ..self }
    }

    /// With JSON.
    pub fn json(self, body: &Value) -> Self {
        self.bytes(body.to_string()).header("content-type", "application/json")
    }

    /// With these bytes.
    pub fn bytes(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With a header; a value that no header can have is left out.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }
}

/// A server to ask.
#[derive(Debug, Clone)]
pub struct Client(Way);

#[derive(Debug, Clone)]
enum Way {
    Socket(Socket),
    Network(Network),
}

impl Client {
    /// Asks over a socket of this machine.
    pub fn over_socket(path: impl Into<std::path::PathBuf>) -> Self {
        Self(Way::Socket(Socket::new(path.into())))
    }

    pub(super) const fn over_network(network: Network) -> Self {
        Self(Way::Network(network))
    }

    /// Where the server is, for people.
    pub fn place(&self) -> String {
        match &self.0 {
            Way::Socket(socket) => socket.place(),
            Way::Network(network) => network.place(),
        }
    }

    /// Sends; an answer is one that grants what was asked for.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, ClientError> {
        let (about, newer) = (request.about.clone(), request.newer);
        let answer = match &self.0 {
            Way::Socket(socket) => socket.send(request).await?,
            Way::Network(network) => network.send(request).await?,
        };
        answer.granted().await.map_err(|error| match (error, about) {
            (ClientError::Refused { status: 404, .. }, None) if newer.is_some() => ClientError::Strange {
                place: self.place(),
                why: format!("it is older than this program and does not tell {}", newer.unwrap_or_default()),
            },
            (ClientError::Refused { status: 404, title, retry_after, .. }, Some(what)) => {
                let detail = format!("{what} is not there, or you may not see it");
                ClientError::Refused { status: 404, title, detail, retry_after }
            }
            (error, _) => error,
        })
    }

    /// Sends and reads the JSON of the answer.
    pub async fn fetch<T: DeserializeOwned>(&self, request: Request) -> Result<T, ClientError> {
        self.send(request).await?.json().await
    }

    /// Sends, for an answer without content.
    pub async fn tell(&self, request: Request) -> Result<(), ClientError> {
        self.send(request).await.map(drop)
    }

    /// Sends and gives the answer piece by piece.
    pub async fn stream(
        &self,
        request: Request,
        mut piece: impl FnMut(&[u8]) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let mut answer = self.send(request).await?;
        while let Some(bytes) = answer.next().await? {
            piece(&bytes)?;
        }
        Ok(())
    }
}
