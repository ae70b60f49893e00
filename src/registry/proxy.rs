//! The way of one job to the registry: TLS, the job's credential, rules, then the program's socket.
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, header};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::answer::Refusal;
use super::ask::{self, Ask, Push, Pushed, Reference};
use super::quota::Used;
use super::{Door, Registry, State, USER, body, door, manifest, upstream};
use crate::artifacts::Digest;
use crate::model::Secret;
use crate::store::registry::{self, NewPush};
use crate::store::{Durability, StoreError};

/// Connections of one job at once; further ones wait in the listener's queue.
const CONNECTIONS: usize = 64;
/// A client has this long for its handshake and for its headers.
const HANDSHAKE: Duration = Duration::from_secs(10);
const HEADERS: Duration = Duration::from_secs(60);
/// The largest manifest, as registries have it.
const MANIFEST: usize = 4 << 20;
/// What a body of bytes is called.
const BYTES: &str = "application/octet-stream";

/// Headers that are about one connection, or that we say ourselves.
const OWN: [&str; 10] = [
    "authorization",
    "connection",
    "expect",
    "forwarded",
    "keep-alive",
    "proxy-authorization",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-proto",
];

impl Registry {
    /// Serves one job on its listener until told to stop.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, door: Arc<Door>, stop: CancellationToken) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let open = TaskTracker::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (this, door, stop) = (Arc::clone(&self), Arc::clone(&door), stop.clone());
                    open.spawn(async move {
                        tokio::select! {
                            () = this.connection(stream, door) => {}
                            () = stop.cancelled() => {}
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "a connection of a job to the registry was not accepted");
                    // Out of descriptors, for example: the reason lasts longer than a loop.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        open.close();
        open.wait().await;
        self.sessions.gone(door.job);
    }

    /// Serves this server itself, which pulls the images of steps: without TLS on this machine's loopback, to who shows
    /// its password, and for reading alone. Whose images a job may use, it asks before.
    pub async fn serve_own(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let open = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let (this, stop) = (Arc::clone(&self), stop.clone());
            open.spawn(async move {
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let this = Arc::clone(&this);
                    async move { Ok::<_, Infallible>(this.answer_own(request).await.unwrap_or_else(Refusal::response)) }
                });
                let mut builder = Builder::new();
                builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
                tokio::select! {
                    ended = builder.serve_connection(TokioIo::new(stream), service) => {
                        if let Err(error) = ended {
                            tracing::trace!(%error, "a connection to the registry broke");
                        }
                    }
                    () = stop.cancelled() => {}
                }
            });
        }
        open.close();
        open.wait().await;
    }

    async fn answer_own(&self, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !door::shows(shown, &Secret::new(format!("{USER}:{}", self.own_password().expose()))) {
            return Err(Refusal::unknown());
        }
        let uri = request.uri().clone();
        match ask::read(request.method(), uri.path(), uri.query().unwrap_or_default()) {
            Some(Ask::Base) => self.pass(request, uri).await,
            Some(Ask::Pull(pull)) => {
                let whole = request.method() == Method::GET;
                let answer = self.pass(request, uri).await?;
                if pull.manifest && answer.status() == StatusCode::OK {
                    self.used(&pull.repository, digest_of(answer.headers()), whole).await;
                }
                Ok(answer)
            }
            _ => Err(Refusal::no_such()),
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, door: Arc<Door>) {
        let config = match self.authority.server(self.store.clock().now()) {
            Ok(config) => config,
            Err(error) => return tracing::error!(%error, "the registry's name has no certificate"),
        };
        let _slow = stream.set_nodelay(true);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await else {
            return;
        };
        let service = hyper::service::service_fn(move |request: Request<Incoming>| {
            let (this, door) = (Arc::clone(&self), Arc::clone(&door));
            async move {
                let answered = this.answer(&door, request).await;
                Ok::<_, Infallible>(answered.unwrap_or_else(Refusal::response))
            }
        });
        let mut builder = Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
            tracing::trace!(%error, "a connection of a job to the registry broke");
        }
    }

    async fn answer(self: &Arc<Self>, door: &Door, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        if !door.knows(shown) {
            return Err(Refusal::unknown());
        }
        let uri = request.uri().clone();
        let asked = ask::read(request.method(), uri.path(), uri.query().unwrap_or_default());
        match asked.ok_or_else(Refusal::no_such)? {
            Ask::Base => self.pass(request, uri).await,
            Ask::Catalog => Err(Refusal::denied("danube: the list of all repositories is not for jobs")),
            Ask::Delete => Err(Refusal::unsupported(
                "danube: images are not removed by jobs; they go when they were not used for \
                 retention.registry_images_days",
            )),
            Ask::Pull(pull) => {
                door.may_pull(&self.store, &pull.repository).await?;
                // A blob that a client finds here it does not send: it must stay until the manifest that needs it.
                if !pull.manifest && request.method() == Method::HEAD && door.may_push(&pull.repository).is_ok() {
                    self.sessions.word(door.job, &pull.repository).await;
                }
                let whole = request.method() == Method::GET;
                let answer = self.pass(request, uri).await?;
                if pull.manifest && answer.status() == StatusCode::OK {
                    self.used(&pull.repository, digest_of(answer.headers()), whole).await;
                }
                Ok(answer)
            }
            Ask::Push(push) => {
                door.may_push(&push.repository)?;
                self.sessions.word(door.job, &push.repository).await;
                self.push(door, push, request, uri).await
            }
        }
    }

    async fn push(
        self: &Arc<Self>,
        door: &Door,
        push: Push,
        request: Request<Incoming>,
        uri: Uri,
    ) -> Result<Response<Body>, Refusal> {
        match push.what {
            Pushed::Manifest(reference) => self.manifest(door, push.repository, reference, request, uri).await,
            Pushed::Upload { from, bytes } => {
                let uri = match from {
                    // What the job may not read it may not take over either: then it sends its own bytes.
                    Some(from) if !ask::is_name(&from) || door.may_pull(&self.store, &from).await.is_err() => {
                        without_query(&uri)
                    }
                    _ => uri,
                };
                self.upload(door, request, uri, bytes).await
            }
        }
    }

    /// Takes bytes in, as far as the pipeline has room; `bytes` says whether any belong to the request.
    async fn upload(
        self: &Arc<Self>,
        door: &Door,
        request: Request<Incoming>,
        uri: Uri,
        bytes: bool,
    ) -> Result<Response<Body>, Refusal> {
        let full = || Refusal::denied(self.quota.refusal(&door.name));
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::DELETE) {
            return self.pass(request, uri).await;
        }
        let used = self.room(door).await?;
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        // Who has no room for a byte hears it at the first word: builders ask before they build.
        if !self.quota.fits(&used, announced.unwrap_or(0).max(1)) && *request.method() != Method::PUT {
            let (_, incoming) = request.into_parts();
            body::drain(Body::new(incoming).into_data_stream()).await;
            return Err(full());
        }
        let broke = Arc::new(AtomicBool::new(false));
        let (mut head, incoming) = request.into_parts();
        // The registry takes a form in the body for words of the query, before those that were looked at here.
        if head.headers.get_all(header::CONTENT_TYPE).iter().any(|kind| kind != BYTES) {
            head.headers.remove(header::CONTENT_TYPE);
        }
        let count = Arc::new(used.begin());
        let sent = if bytes {
            body::counted(incoming, Arc::clone(self), Arc::clone(&count), Arc::clone(&broke))
        } else {
            body::drain(Body::new(incoming).into_data_stream()).await;
            head.headers.remove(header::CONTENT_LENGTH);
            Body::empty()
        };
        let answer = self.forward(&head.method, &head.headers, uri.clone(), sent).await;
        drop(count);
        let good = answer.as_ref().is_ok_and(|answer| answer.status().is_success());
        if !good {
            used.look_again();
        }
        if broke.load(Ordering::Relaxed) {
            // What had come in takes room until it is given up.
            let _gone = self.forward(&Method::DELETE, &HeaderMap::new(), uri, Body::empty()).await;
            return Err(full());
        }
        answer
    }

    /// What the job's pipeline uses, looked up on the disk where that is not known.
    async fn room(self: &Arc<Self>, door: &Door) -> Result<Arc<Used>, Refusal> {
        let storage = self.storage().map_err(Refusal::unavailable)?;
        let (this, name) = (Arc::clone(self), door.name.clone());
        let looked = tokio::task::spawn_blocking(move || this.quota.of(&storage, &name)).await;
        looked.map_err(Refusal::unavailable)?.map_err(Refusal::unavailable)
    }

    /// Takes a manifest in. Its digest is taken here, from the bytes: what a job says of it counts for nothing.
    async fn manifest(
        self: &Arc<Self>,
        door: &Door,
        repository: String,
        reference: Reference,
        request: Request<Incoming>,
        uri: Uri,
    ) -> Result<Response<Body>, Refusal> {
        let (head, incoming) = request.into_parts();
        let read = body::whole(incoming, MANIFEST).await.map_err(Refusal::unavailable)?;
        let bytes = read.ok_or_else(|| Refusal::too_large("danube: a manifest has at most 4 MiB"))?;
        let digest = Digest::of(&bytes);
        let moved = match &reference {
            Reference::Tag(tag) => Some(self.tags.one_at_a_time(&repository, tag).await),
            Reference::Digest(_) => None,
        };
        if let Reference::Tag(tag) = &reference {
            door.may_move(&self.store, &repository, tag, &digest).await?;
        }
        let media_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let new = NewPush {
            job_id: door.job,
            repository: repository.clone(),
            tag: match reference {
                Reference::Tag(tag) => tag,
                Reference::Digest(_) => String::new(),
            },
            digest: digest.to_string(),
            media_type: media_type.unwrap_or_default().to_owned(),
            bytes: manifest::bytes(&bytes),
            protected: door.guards(&repository),
        };
        // Words of a query are for nobody here; a later registry may take some of them for further tags.
        let uri = without_query(&uri);
        let answer = self.forward(&head.method, &head.headers, uri, Body::from(bytes)).await?;
        if answer.status() != StatusCode::CREATED {
            return Ok(answer);
        }
        // Before the job hears of it: what it was told is a subject of its attestation.
        let lease = door.lease;
        let noted =
            self.store.write("registry.pushed", Durability::Progress, move |tx| registry::pushed(tx, lease, &new));
        noted.await.map_err(|error| match error {
            StoreError::NotFound { .. } => Refusal::denied("danube: the job of this registry has ended"),
            error => Refusal::unavailable(error),
        })?;
        drop(moved);
        self.counts.pushed(&repository);
        self.sessions.done(door.job, &repository);
        if let Ok(used) = self.room(door).await {
            used.look_again();
        }
        Ok(answer)
    }

    /// A request as it came, but for what is ours to say.
    async fn pass(&self, request: Request<Incoming>, uri: Uri) -> Result<Response<Body>, Refusal> {
        let (mut head, _) = request.into_parts();
        head.headers.remove(header::CONTENT_LENGTH);
        self.forward(&head.method, &head.headers, uri, Body::empty()).await
    }

    async fn forward(
        &self,
        method: &Method,
        headers: &HeaderMap,
        uri: Uri,
        body: Body,
    ) -> Result<Response<Body>, Refusal> {
        let program = self.program.as_ref().map_err(Refusal::unavailable)?;
        if let State::Down(why) = self.state() {
            return Err(Refusal::unavailable(format!("the registry is down and is being started again: {why}")));
        }
        let mut sent = Request::new(body);
        *sent.method_mut() = method.clone();
        *sent.uri_mut() = uri.path_and_query().and_then(|path| path.as_str().parse().ok()).unwrap_or_default();
        // Every one of several `Accept`: which form of a manifest is answered depends on them, and so its digest.
        for (name, value) in headers.iter().filter(|(name, _)| !is_own(name)) {
            sent.headers_mut().append(name, value.clone());
        }
        let answer = upstream::send(&program.socket(), sent).await;
        let answer = answer.map_err(|error| Refusal::unavailable(format!("the registry gave no answer: {error}")))?;
        let (mut head, body) = answer.into_parts();
        for name in ["connection", "transfer-encoding", "keep-alive"] {
            head.headers.remove(name);
        }
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Notes that an image was used. What is lost of it makes an image older than it is by one use.
    async fn used(&self, repository: &str, digest: Option<Digest>, whole: bool) {
        if whole {
            self.counts.pulled(repository);
        }
        let Some(digest) = digest else { return };
        let repository = repository.to_owned();
        let noted = self.store.write("registry.used", Durability::Progress, move |tx| {
            registry::touch(tx, &repository, &digest.to_string())
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "the use of an image could not be noted");
        }
    }
}

fn is_own(name: &HeaderName) -> bool {
    OWN.contains(&name.as_str())
}

fn digest_of(headers: &HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.strip_prefix("sha256:")?.parse().ok()
}

fn without_query(uri: &Uri) -> Uri {
    uri.path().parse().unwrap_or_default()
}
