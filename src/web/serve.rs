//! The two listeners: the network, and the machine's own socket.
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::error::WebError;
use super::peer::Peer;
use super::routes::router;
use super::state::AppState;

/// A client has this long to send its headers, counted from the connection or the last answer.
const HEADERS: Duration = Duration::from_secs(10);
/// A handler has this long to begin its answer; live logs go on after that.
const ANSWER: Duration = Duration::from_secs(120);
/// Open connections; further ones wait in the listener's queue.
const CONNECTIONS: usize = 1024;
/// Open requests get this long when the server stops.
const FAREWELL: Duration = Duration::from_secs(10);
/// Bytes of headers.
const HEADER_BYTES: usize = 32 * 1024;

/// Serves the network until told to stop; then waits for open requests.
pub async fn serve_tcp(listener: TcpListener, state: AppState, stop: CancellationToken) {
    let accept = async || {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok((stream, Peer::Network(address)))
    };
    serve(accept, router(state), HEADERS, stop).await;
}

/// Serves the machine's socket: root and this process's own user, told by the kernel; others are hung up on.
pub async fn serve_unix(listener: UnixListener, state: AppState, stop: CancellationToken) {
    let own = rustix::process::getuid().as_raw();
    let accept = async || {
        let (stream, _) = listener.accept().await?;
        let uid = stream.peer_cred()?.uid();
        if uid != 0 && uid != own {
            return Err(io::Error::other(format!("user {uid} is neither root nor the service user")));
        }
        Ok((stream, Peer::Machine))
    };
    serve(accept, router(state), HEADERS, stop).await;
}

async fn serve<S, F>(accept: impl Fn() -> F, router: Router, headers: Duration, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = io::Result<(S, Peer)>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let open = TaskTracker::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                open.spawn(async move {
                    connection(stream, peer, router, headers, stop).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                // Out of descriptors, for example: the reason lasts longer than a loop.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
    open.close();
    if tokio::time::timeout(FAREWELL, open.wait()).await.is_err() {
        tracing::info!("some connections were still open when the server stopped");
    }
}

async fn connection<S>(stream: S, peer: Peer, router: Router, headers: Duration, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        answer(router.clone(), request)
    });
    // HTTP/1 alone: finding out the version would wait for the first byte without a limit.
    let mut builder = Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(headers).max_buf_size(HEADER_BYTES);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        done = connection.as_mut() => {
            if let Err(error) = done {
                tracing::trace!(%error, "a connection broke");
            }
            return;
        }
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    // The rest of an open request; the caller bounds it.
    let _ended = connection.await;
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response, Infallible> {
    let answer = router.oneshot(request.map(Body::new));
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => answer,
        Err(_) => Ok(WebError::too_slow().problem()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn a_silent_connection_gives_up_its_place() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let stop = stop.clone();
            async move {
                let accept = async || {
                    let (stream, address) = listener.accept().await?;
                    Ok((stream, Peer::Network(address)))
                };
                serve(accept, Router::new(), Duration::from_millis(20), stop).await;
            }
        });
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut answer = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(60), silent.read_to_end(&mut answer)).await;
        assert!(closed.is_ok(), "the connection is still open");
        stop.cancel();
        serving.await.unwrap();
    }
}
