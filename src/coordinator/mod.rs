//! The gRPC service that a danubefile talks to: one per job, on the job's own Unix socket.
//!
//! Owns: the job's credential check, bounds of a request, messages to values and back, errors to
//! `Status`. May use: orchestrator, danube-proto. Must not touch: store, executor.
//!
//! A handler only waits: the work belongs to the orchestrator and goes on where a connection breaks.

mod artifacts;
mod builds;
mod facts;
mod recorded;
mod reports;
mod secrets;
mod service;
mod services;
mod session;
mod status;
mod steps;

use std::sync::Arc;

use danube_proto::v1::coordinator_server::{Coordinator, CoordinatorServer};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_web::GrpcWebLayer;

use crate::orchestrator::{LiveJob, Recording};
use recorded::Recorded;
use service::Service;

/// The largest request.
const REQUEST_BYTES: usize = 1 << 20;
/// Calls under way on one connection.
const CALLS_AT_ONCE: usize = 64;

/// Answers a job's calls until it is told to stop.
///
/// gRPC-Web over HTTP/1.1 for the SDK's standard library, plain gRPC over HTTP/2 for anybody else.
pub async fn serve(listener: UnixListener, job: Arc<LiveJob>, stop: CancellationToken) {
    serve_calls(listener, Service::new(job), stop).await;
}

/// Answers the calls of a danubefile from a recording; the socket lies where nobody else comes.
pub async fn serve_recorded(listener: UnixListener, recording: Arc<Recording>, stop: CancellationToken) {
    serve_calls(listener, Recorded(recording), stop).await;
}

async fn serve_calls(listener: UnixListener, calls: impl Coordinator, stop: CancellationToken) {
    let service = CoordinatorServer::new(calls).max_decoding_message_size(REQUEST_BYTES);
    let served = Server::builder()
        .accept_http1(true)
        .concurrency_limit_per_connection(CALLS_AT_ONCE)
        .layer(GrpcWebLayer::new())
        .add_service(service)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), stop.cancelled());
    if let Err(error) = served.await {
        tracing::error!(%error, "the socket of a job is not served any more");
    }
}

#[cfg(test)]
mod tests;
