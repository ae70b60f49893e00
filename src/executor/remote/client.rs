//! The master's side of the executor's socket.
use std::collections::HashMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::protocol::{Answer, Reply, Request, VERSION, Verb};
use super::wire;
use crate::executor::{
    CacheBlob, CacheFill, CacheFilled, CacheTake, CacheTaken, Executor, ExecutorError, JobPlace, JobSpec, KeepLayers,
    Layer, Mask, Probe, ServiceNet, Signal, Space, StepAt, StepSpec, StepState, StoredLayer, Transport,
};
use crate::model::{JobId, Secret};

/// An answer and the descriptors that came with it.
type Answered = (Result<Answer, ExecutorError>, Vec<OwnedFd>);
type Waiting = Mutex<HashMap<u64, oneshot::Sender<Answered>>>;

/// One living connection.
struct Link {
    stream: UnixStream,
    write: Mutex<()>,
    waiting: Waiting,
}

/// An executor behind a Unix socket. Connects by itself, and again after the executor was restarted:
/// the verbs are idempotent, so a request whose connection broke is simply said again.
pub struct Client {
    socket: PathBuf,
    link: Mutex<Option<Arc<Link>>>,
    next: AtomicU64,
}

/// How often a request is said again while the executor is away, and how long each wait is.
const TRIES: u32 = 150;
const PAUSE: Duration = Duration::from_millis(200);

/// How long the executor may take to take a request, and to greet.
const PATIENCE: Duration = Duration::from_secs(5);

impl Client {
    /// For the executor that listens at `socket`.
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), link: Mutex::new(None), next: AtomicU64::new(1) }
    }

    fn link(&self) -> std::io::Result<Arc<Link>> {
        let mut slot = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = slot.as_ref() {
            return Ok(Arc::clone(link));
        }
        let stream = UnixStream::connect(&self.socket)?;
        // An executor that hangs must not hold a thread of the master for ever.
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let hello = Request { id: 0, verb: Verb::Hello { version: VERSION } };
        wire::send(&stream, &serde_json::to_vec(&hello)?, &[])?;
        let (body, _) = wire::recv(&stream)?.ok_or_else(|| std::io::Error::other("the executor hung up"))?;
        let reply: Reply = serde_json::from_slice(&body)?;
        reply.result.map_err(std::io::Error::other)?;
        // From here on a thread of its own reads, and an answer may take as long as a step.
        stream.set_read_timeout(None)?;
        let link = Arc::new(Link { stream, write: Mutex::new(()), waiting: Mutex::default() });
        let reader = Arc::clone(&link);
        std::thread::Builder::new().name("executor-link".to_owned()).spawn(move || read_replies(&reader))?;
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    fn forget(&self, broken: &Arc<Link>) {
        let mut slot = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|current| Arc::ptr_eq(current, broken)) {
            *slot = None;
        }
    }

    /// Sends once; `Ok(None)` means that the connection broke before an answer came.
    async fn try_call(self: &Client, body: &[u8], id: u64, fds: &[&File]) -> Result<Option<Answered>, std::io::Error> {
        let link = self.link()?;
        let (tell, answer) = oneshot::channel();
        link.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
        let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(|f| f.as_fd()).collect();
        let sent = {
            let _one = link.write.lock().unwrap_or_else(PoisonError::into_inner);
            wire::send(&link.stream, body, &borrowed)
        };
        if let Err(error) = sent {
            link.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
            if error.kind() == std::io::ErrorKind::InvalidInput {
                return Err(error);
            }
            self.forget(&link);
            return Ok(None);
        }
        match answer.await {
            Ok(result) => Ok(Some(result)),
            Err(_) => {
                self.forget(&link);
                Ok(None)
            }
        }
    }

    async fn call(&self, verb: Verb, fds: Vec<File>) -> Result<Answer, ExecutorError> {
        self.call_for(verb, fds).await.map(|(answer, _)| answer)
    }

    async fn call_for(&self, verb: Verb, fds: Vec<File>) -> Result<(Answer, Vec<OwnedFd>), ExecutorError> {
        let again = !matches!(
            verb,
            Verb::Export { .. }
                | Verb::Collect { .. }
                | Verb::Import { .. }
                | Verb::EnsureJob { .. }
                | Verb::AddLayer { .. }
        );
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let body = serde_json::to_vec(&Request { id, verb })
            .map_err(|e| ExecutorError::Start(format!("a request could not be written: {e}")))?;
        let files: Vec<&File> = fds.iter().collect();
        let mut last = String::new();
        for _ in 0..TRIES {
            match self.try_call(&body, id, &files).await {
                Ok(Some((result, came))) => return result.map(|answer| (answer, came)),
                // What was streamed half cannot be streamed again.
                Ok(None) if !again => break,
                Ok(None) => "the connection broke".clone_into(&mut last),
                Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
                    return Err(ExecutorError::User(error.to_string()));
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(ExecutorError::Lost(format!("the executor at {} does not answer: {last}", self.socket.display())))
    }

    async fn stored(&self, verb: Verb) -> Result<Vec<StoredLayer>, ExecutorError> {
        match self.call(verb, Vec::new()).await? {
            Answer::Layers { layers } => Ok(layers),
            _ => Err(unexpected()),
        }
    }

    async fn done(&self, verb: Verb, fds: Vec<File>) -> Result<(), ExecutorError> {
        self.call(verb, fds).await.map(|_| ())
    }
}

impl Client {
    /// Tells an executor that was started by hand to end once no step lives and nobody is connected.
    pub async fn leave(&self) -> Result<(), ExecutorError> {
        self.done(Verb::Leave, Vec::new()).await
    }
}

fn read_replies(link: &Link) {
    while let Ok(Some((body, fds))) = wire::recv(&link.stream) {
        let Ok(reply) = serde_json::from_slice::<Reply>(&body) else { break };
        let waiter = link.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&reply.id);
        if let Some(waiter) = waiter {
            // Who asked may be gone; the answer is then of no use.
            let _gone = waiter.send((reply.result, fds));
        }
    }
    // Dropping the senders tells every waiter that the connection broke.
    link.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(link) = self.link.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Wakes the reader, which then ends.
            let _closed = link.stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn unexpected() -> ExecutorError {
    ExecutorError::Start("the executor gave an answer of another kind: are both of one release?".to_owned())
}

impl Executor for Client {
    fn probe(&self) -> BoxFuture<'_, Result<Probe, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::Probe, Vec::new()).await? {
                Answer::Probe { probe } => Ok(probe),
                _ => Err(unexpected()),
            }
        })
    }

    fn ensure_job(&self, spec: JobSpec, source: File) -> BoxFuture<'_, Result<JobPlace, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::EnsureJob { spec }, vec![source]).await? {
                Answer::Place { place } => Ok(place),
                _ => Err(unexpected()),
            }
        })
    }

    fn hold_layers(&self, job: JobId, layers: Vec<String>) -> BoxFuture<'_, Result<Vec<String>, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::HoldLayers { job, layers }, Vec::new()).await? {
                Answer::Missing { layers } => Ok(layers),
                _ => Err(unexpected()),
            }
        })
    }

    fn add_layer(&self, layer: Layer, source: File) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::AddLayer { layer }, vec![source]))
    }

    fn layers(&self) -> BoxFuture<'_, Result<Vec<StoredLayer>, ExecutorError>> {
        Box::pin(self.stored(Verb::Layers))
    }

    fn evict_layers(&self, keep: KeepLayers) -> BoxFuture<'_, Result<Vec<StoredLayer>, ExecutorError>> {
        Box::pin(self.stored(Verb::EvictLayers { keep }))
    }

    fn ensure_step(
        &self,
        at: StepAt,
        spec: StepSpec,
        log: File,
        index: File,
    ) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::EnsureStep { at, spec: Box::new(spec) }, vec![log, index]))
    }

    fn observe(&self, at: StepAt) -> BoxFuture<'_, Result<StepState, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::Observe { at }, Vec::new()).await? {
                Answer::State { state } => Ok(state),
                _ => Err(unexpected()),
            }
        })
    }

    fn ready(&self, at: StepAt) -> BoxFuture<'_, Result<bool, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::Ready { at }, Vec::new()).await? {
                Answer::Ready { ready } => Ok(ready),
                _ => Err(unexpected()),
            }
        })
    }

    fn signal(&self, at: StepAt, signal: Signal) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Signal { at, signal }, Vec::new()))
    }

    fn add_mask(&self, job: JobId, masks: Vec<Mask>) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::AddMask { job, masks }, Vec::new()))
    }

    fn note(&self, at: StepAt, line: String) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Note { at, line }, Vec::new()))
    }

    fn connect(&self, job: JobId, linked: bool) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Connect { job, linked }, Vec::new()))
    }

    fn listen(
        &self,
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    ) -> BoxFuture<'_, Result<OwnedFd, ExecutorError>> {
        Box::pin(async move {
            match self.call_for(Verb::Listen { job, space, transport, at }, Vec::new()).await? {
                (Answer::Socket, fds) => fds.into_iter().next().ok_or_else(unexpected),
                _ => Err(unexpected()),
            }
        })
    }

    fn unlisten(
        &self,
        job: JobId,
        space: Space,
        transport: Transport,
        at: SocketAddrV4,
    ) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Unlisten { job, space, transport, at }, Vec::new()))
    }

    fn allow(&self, job: JobId, addresses: Vec<Ipv4Addr>, seconds: u32) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Allow { job, addresses, seconds }, Vec::new()))
    }

    fn attach_service(&self, job: JobId, number: u8) -> BoxFuture<'_, Result<ServiceNet, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::AttachService { job, number }, Vec::new()).await? {
                Answer::Service { service } => Ok(service),
                _ => Err(unexpected()),
            }
        })
    }

    fn detach_service(&self, job: JobId, number: u8) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::DetachService { job, number }, Vec::new()))
    }

    fn captured(&self, at: StepAt) -> BoxFuture<'_, Result<Secret<Vec<u8>>, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::Captured { at }, Vec::new()).await? {
                Answer::Captured { base64 } => base64::engine::general_purpose::STANDARD
                    .decode(base64)
                    .map(Secret::new)
                    .map_err(|_| ExecutorError::Lost("the captured value arrived damaged".to_owned())),
                _ => Err(unexpected()),
            }
        })
    }

    fn collect(&self, job: JobId, pattern: String, sink: File) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Collect { job, pattern }, vec![sink]))
    }

    fn export(&self, job: JobId, path: String, sink: File) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Export { job, path }, vec![sink]))
    }

    fn import(&self, job: JobId, dest: String, source: File) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Import { job, dest }, vec![source]))
    }

    fn cache_restore(&self, job: JobId, fill: CacheFill) -> BoxFuture<'_, Result<CacheFilled, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::CacheRestore { job, fill }, Vec::new()).await? {
                Answer::Filled { filled } => Ok(filled),
                _ => Err(unexpected()),
            }
        })
    }

    fn cache_save(&self, job: JobId, take: CacheTake) -> BoxFuture<'_, Result<CacheTaken, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::CacheSave { job, take }, Vec::new()).await? {
                Answer::Taken { taken } => Ok(taken),
                _ => Err(unexpected()),
            }
        })
    }

    fn cache_list(&self) -> BoxFuture<'_, Result<Vec<CacheBlob>, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::CacheList, Vec::new()).await? {
                Answer::Caches { blobs } => Ok(blobs),
                _ => Err(unexpected()),
            }
        })
    }

    fn cache_remove(&self, digests: Vec<String>) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::CacheRemove { digests }, Vec::new()))
    }

    fn keep(&self, job: JobId) -> BoxFuture<'_, Result<Option<u64>, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::Keep { job }, Vec::new()).await? {
                Answer::Kept { bytes } => Ok(bytes),
                _ => Err(unexpected()),
            }
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<JobId>, ExecutorError>> {
        Box::pin(async move {
            match self.call(Verb::List, Vec::new()).await? {
                Answer::Jobs { jobs } => Ok(jobs),
                _ => Err(unexpected()),
            }
        })
    }

    fn teardown(&self, job: JobId) -> BoxFuture<'_, Result<(), ExecutorError>> {
        Box::pin(self.done(Verb::Teardown { job }, Vec::new()))
    }
}
