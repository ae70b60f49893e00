//! Words with the registry program over its socket.
use std::io;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{HOST_PORT, RegistryError};

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("it can't be reached: {0}")]
    Reach(#[from] io::Error),
    #[error("the connection broke: {0}")]
    Broken(#[from] hyper::Error),
}

/// Sends one request on a connection of its own and gives the head of the answer; its body is read by the caller.
pub(super) async fn send(socket: &Path, mut request: Request<Body>) -> Result<Response<Incoming>, NoAnswer> {
    // What the client called it is what it is called in answers (`Location`).
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static(HOST_PORT));
    request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("https"));
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the answer's body, or when the caller drops that.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a connection to the registry broke");
        }
    });
    Ok(sender.send_request(request).await?)
}

/// Whether it answers.
pub(super) async fn ping(socket: &Path) -> Result<(), NoAnswer> {
    ask(socket, Method::GET, "/v2/").await.map(drop)
}

/// A request without a body.
pub(super) async fn ask(socket: &Path, method: Method, path: &str) -> Result<Response<Incoming>, NoAnswer> {
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| io::Error::other(format!("'{path}' is no address")))?;
    send(socket, request).await
}

/// Removes a manifest; well where it is not there.
pub(super) async fn delete(socket: &Path, repository: &str, digest: &str) -> Result<(), RegistryError> {
    let path = format!("/v2/{repository}/manifests/{digest}");
    let answer = ask(socket, Method::DELETE, &path).await;
    let answer = answer.map_err(|error| RegistryError::Unavailable(format!("the registry is down: {error}")))?;
    match answer.status() {
        StatusCode::ACCEPTED | StatusCode::NOT_FOUND => Ok(()),
        status => {
            Err(RegistryError::Answer { what: format!("remove {repository}@{digest}"), answer: status.to_string() })
        }
    }
}
