//! An executor that runs nothing: the command of a step says how it ends. Its state outlives the
//! master of a test, like containers outlive a real one.
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use danube_shim::index::{self, Record, Stream};
use danube_shim::{frame, transfer};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::executor::*;
use crate::model::{JobId, Secret};

type Answer<'a, T> = BoxFuture<'a, Result<T, ExecutorError>>;

/// What became of an attempt, and what it was.
struct Attempt {
    state: watch::Sender<Option<StepState>>,
    spec: StepSpec,
    log: Mutex<(File, File)>,
}

#[derive(Default)]
struct State {
    attempts: HashMap<StepAt, Arc<Attempt>>,
    jobs: HashMap<JobId, tempfile::TempDir>,
    files: HashMap<String, Vec<u8>>,
    imported: Vec<(String, Vec<u8>)>,
    masked: Vec<String>,
    torn_down: Vec<JobId>,
    /// Stored content of caches, by digest.
    caches: HashMap<String, u64>,
    caches_here: HashMap<(JobId, String), (StepAt, CacheFilled)>,
    /// What the next cache that is stored holds.
    cache_content: String,
    filled: Vec<CacheFill>,
    /// Services that answer.
    ready: std::collections::HashSet<StepAt>,
    /// Networks of services that stand.
    attached: std::collections::HashSet<u8>,
    /// The numbers of services for which one was made, in order.
    numbers: Vec<u8>,
    /// Workspaces that were kept, with their sizes.
    kept: HashMap<JobId, u64>,
    /// What the next ones take on disk.
    size: u64,
    killed: Vec<StepAt>,
    /// Addresses that were let through.
    allowed: Vec<Vec<std::net::Ipv4Addr>>,
    /// Lines for the logs of steps.
    notes: Vec<String>,
    /// How many of the next calls of a verb get no answer.
    failing: HashMap<&'static str, usize>,
}

impl State {
    /// Whether this call of a verb gets no answer.
    fn fails(&mut self, verb: &'static str) -> bool {
        let left = self.failing.entry(verb).or_default();
        let fails = *left > 0;
        *left = left.saturating_sub(1);
        fails
    }
}

fn no_answer<'a, T: Send + 'a>() -> Answer<'a, T> {
    async { Err(ExecutorError::Lost("the connection broke".to_owned())) }.boxed()
}

/// The fake.
#[derive(Default)]
pub(crate) struct FakeExecutor {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    pub(crate) not_enforced: Mutex<Vec<String>>,
    pub(crate) networks: std::sync::atomic::AtomicBool,
}

/// A step is known by its command, a service by its image.
fn command_of(spec: &StepSpec) -> &str {
    spec.argv.last().map_or(spec.image.as_str(), String::as_str)
}

pub(crate) fn end(exit_code: i32) -> StepEnd {
    StepEnd {
        exit_code,
        oom_kills: 0,
        pids_refused: 0,
        full: None,
        log_overflow: false,
        log_truncated: false,
        log_bytes: 0,
        started_ns: 1_000_000_000,
        ended_ns: 3_500_000_000,
        error: None,
    }
}

impl FakeExecutor {
    /// Waits until the state is as wished.
    async fn until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        let mut changed = self.changed.subscribe();
        loop {
            if let Some(found) = look(&self.state.lock().unwrap()) {
                return found;
            }
            changed.changed().await.unwrap();
        }
    }

    fn bump(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// Waits for an attempt with this command to be there; its place.
    pub(crate) async fn started(&self, command: &str) -> StepAt {
        let found =
            |state: &State| state.attempts.iter().find(|(_, a)| command_of(&a.spec) == command).map(|(at, _)| *at);
        self.until(found).await
    }

    /// Waits for the coordinator of that attempt.
    pub(crate) async fn coordinator(&self, attempt: u32) -> StepAt {
        let found = |state: &State| state.attempts.keys().find(|at| at.step == 0 && at.attempt == attempt).copied();
        self.until(found).await
    }

    /// How often a command was started.
    pub(crate) fn starts(&self, command: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.attempts.values().filter(|a| command_of(&a.spec) == command).count()
    }

    /// Waits for a job's coordinator and ends it well.
    pub(crate) async fn end_coordinator_of(&self, job: JobId) {
        let found = |state: &State| state.attempts.keys().find(|at| at.step == 0 && at.job == job).copied();
        let at = self.until(found).await;
        self.finish(at, StepState::Ended(end(0)));
    }

    /// A service answers from now on.
    pub(crate) fn answers(&self, at: StepAt) {
        self.state.lock().unwrap().ready.insert(at);
        self.bump();
    }

    /// The networks of services that stand.
    pub(crate) fn attached(&self) -> usize {
        self.state.lock().unwrap().attached.len()
    }

    /// The numbers that services had, in order.
    pub(crate) fn numbers(&self) -> Vec<u8> {
        self.state.lock().unwrap().numbers.clone()
    }

    /// What caches hold that are stored from now on.
    pub(crate) fn cache_holds(&self, content: &str) {
        content.clone_into(&mut self.state.lock().unwrap().cache_content);
    }

    /// What a command was started with.
    pub(crate) fn spec(&self, command: &str) -> StepSpec {
        let state = self.state.lock().unwrap();
        state.attempts.values().find(|a| command_of(&a.spec) == command).unwrap().spec.clone()
    }

    /// What the coordinator was started with.
    pub(crate) fn coordinator_env(&self) -> Vec<(String, String)> {
        let state = self.state.lock().unwrap();
        state.attempts.iter().find(|(at, _)| at.step == 0).unwrap().1.spec.env.clone()
    }

    /// Writes what an attempt prints, as the shim does: record, then bytes.
    pub(crate) fn print(&self, at: StepAt, stream: Stream, text: &str) {
        let state = self.state.lock().unwrap();
        print(&state.attempts[&at], stream, text);
    }

    /// Ends an attempt.
    pub(crate) fn finish(&self, at: StepAt, to: StepState) {
        self.state.lock().unwrap().attempts[&at].state.send_replace(Some(to));
        self.bump();
    }

    /// Puts a file into every workspace.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), bytes.to_vec());
    }

    pub(crate) fn imported(&self) -> Vec<(String, Vec<u8>)> {
        self.state.lock().unwrap().imported.clone()
    }

    pub(crate) fn masked(&self) -> Vec<String> {
        self.state.lock().unwrap().masked.clone()
    }

    pub(crate) fn torn_down(&self) -> Vec<JobId> {
        self.state.lock().unwrap().torn_down.clone()
    }

    /// Leaves the next calls of a verb without an answer.
    pub(crate) fn fail(&self, verb: &'static str, times: usize) {
        self.state.lock().unwrap().failing.insert(verb, times);
    }

    /// The calls of a verb that are still to fail.
    pub(crate) fn failures_left(&self, verb: &'static str) -> usize {
        self.state.lock().unwrap().failing.get(verb).copied().unwrap_or(0)
    }

    /// The workspaces that are kept.
    pub(crate) fn kept(&self) -> Vec<JobId> {
        let mut kept: Vec<JobId> = self.state.lock().unwrap().kept.keys().copied().collect();
        kept.sort();
        kept
    }

    /// Waits until a workspace is kept.
    pub(crate) async fn keeps(&self, job: JobId) {
        self.until(|state| state.kept.contains_key(&job).then_some(())).await;
    }

    /// What workspaces take on disk from now on.
    pub(crate) fn weigh(&self, bytes: u64) {
        self.state.lock().unwrap().size = bytes;
    }

    /// Loses a kept workspace, as a person with `rm` would.
    pub(crate) fn lose(&self, job: JobId) {
        self.state.lock().unwrap().kept.remove(&job);
    }

    pub(crate) fn allowed(&self) -> Vec<Vec<std::net::Ipv4Addr>> {
        self.state.lock().unwrap().allowed.clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.state.lock().unwrap().notes.clone()
    }

    pub(crate) fn killed(&self) -> Vec<StepAt> {
        self.state.lock().unwrap().killed.clone()
    }

    pub(crate) fn socket(&self, job: JobId) -> std::path::PathBuf {
        self.state.lock().unwrap().jobs[&job].path().join("rpc.sock")
    }
}

fn print(attempt: &Attempt, stream: Stream, text: &str) {
    let mut files = attempt.log.lock().unwrap();
    let offset = files.0.metadata().unwrap().len();
    if files.1.metadata().unwrap().len() == 0 {
        files.1.write_all(index::HEADER).unwrap();
    }
    let record = Record { offset, time_ns: 1, length: u32::try_from(text.len()).unwrap(), stream };
    files.1.write_all(&record.to_bytes()).unwrap();
    files.0.write_all(text.as_bytes()).unwrap();
}

/// How a command ends; `None` runs on until it is signalled or finished by the test.
fn script(at: StepAt, command: &str) -> Option<StepState> {
    let ended = |end| Some(StepState::Ended(end));
    match command.split_once(' ').unwrap_or((command, "")) {
        ("exit", code) => ended(end(code.parse().unwrap())),
        ("print", _) => ended(end(0)),
        ("oom", _) => ended(StepEnd { oom_kills: 1, ..end(137) }),
        ("overflow", _) => ended(StepEnd { log_overflow: true, ..end(137) }),
        ("lost", _) => Some(StepState::Lost),
        ("never", _) => Some(StepState::NotStarted),
        // Fails in its first attempts.
        ("flaky", n) if at.attempt <= n.parse().unwrap() => ended(end(1)),
        ("flaky", _) => ended(end(0)),
        _ => None,
    }
}

impl Executor for FakeExecutor {
    fn probe(&self) -> Answer<'_, Probe> {
        let not_enforced = self.not_enforced.lock().unwrap().clone();
        let probe = Probe {
            kind: "fake".to_owned(),
            version: "1".to_owned(),
            not_enforced,
            networks: self.networks.load(std::sync::atomic::Ordering::Relaxed),
            warnings: Vec::new(),
            host_image: true,
            allow: Vec::new(),
        };
        async { Ok(probe) }.boxed()
    }

    fn ensure_job(&self, spec: JobSpec, _source: File) -> Answer<'_, JobPlace> {
        let mut state = self.state.lock().unwrap();
        if let Some(from) = spec.adopt
            && state.kept.remove(&from).is_none()
            && !state.jobs.contains_key(&spec.job)
        {
            return async { Err(ExecutorError::User("the workspace is gone".to_owned())) }.boxed();
        }
        let dir = state.jobs.entry(spec.job).or_insert_with(|| tempfile::tempdir().unwrap());
        let place = JobPlace { socket_dir: dir.path().to_owned(), space: None };
        async { Ok(place) }.boxed()
    }

    fn hold_layers(&self, _job: JobId, _layers: Vec<String>) -> Answer<'_, Vec<String>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn add_layer(&self, _layer: Layer, _source: File) -> Answer<'_, ()> {
        async { Ok(()) }.boxed()
    }

    fn layers(&self) -> Answer<'_, Vec<StoredLayer>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn evict_layers(&self, _keep: KeepLayers) -> Answer<'_, Vec<StoredLayer>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn ensure_step(&self, at: StepAt, spec: StepSpec, log: File, index: File) -> Answer<'_, ()> {
        let command = command_of(&spec).to_owned();
        if command == "denied" {
            return async { Err(ExecutorError::PolicyDenied("cpu = 1000".to_owned())) }.boxed();
        }
        let mut state = self.state.lock().unwrap();
        // It did not even arrive.
        if at.step != 0 && state.fails("ensure_step unheard") {
            return no_answer();
        }
        state.attempts.entry(at).or_insert_with(|| {
            let ending = if spec.kind == StepKind::Coordinator { None } else { script(at, &command) };
            let attempt = Attempt { state: watch::Sender::new(ending), spec, log: Mutex::new((log, index)) };
            for note in &attempt.spec.notes {
                print(&attempt, Stream::Note, &format!("{note}\n"));
            }
            if let Some(text) = command.strip_prefix("print ") {
                print(&attempt, Stream::Stderr, "noise\n");
                print(&attempt, Stream::Stdout, text);
            }
            Arc::new(attempt)
        });
        let broken = at.step != 0 && state.fails("ensure_step");
        drop(state);
        self.bump();
        if broken { no_answer() } else { async { Ok(()) }.boxed() }
    }

    fn observe(&self, at: StepAt) -> Answer<'_, StepState> {
        if at.step != 0 && self.state.lock().unwrap().fails("observe") {
            return no_answer();
        }
        let attempt = self.state.lock().unwrap().attempts.get(&at).cloned();
        async move {
            let Some(attempt) = attempt else { return Ok(StepState::NotStarted) };
            let mut state = attempt.state.subscribe();
            let ended = state.wait_for(Option::is_some).await.unwrap().clone();
            Ok(ended.unwrap())
        }
        .boxed()
    }

    fn ready(&self, at: StepAt) -> Answer<'_, bool> {
        async move {
            let found = |state: &State| match (state.ready.contains(&at), state.attempts.get(&at)) {
                (true, _) => Some(true),
                (false, Some(attempt)) if attempt.state.borrow().is_none() => None,
                _ => Some(false),
            };
            Ok(self.until(found).await)
        }
        .boxed()
    }

    fn connect(&self, _job: JobId, _linked: bool) -> Answer<'_, ()> {
        async { Ok(()) }.boxed()
    }

    fn listen(&self, _: JobId, _: Space, transport: Transport, _: std::net::SocketAddrV4) -> Answer<'_, OwnedFd> {
        let socket = match transport {
            Transport::Udp => OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()),
            Transport::Tcp => OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap()),
        };
        async { Ok(socket) }.boxed()
    }

    fn allow(&self, _job: JobId, addresses: Vec<std::net::Ipv4Addr>, _seconds: u32) -> Answer<'_, ()> {
        if addresses.iter().any(std::net::Ipv4Addr::is_loopback) {
            return async { Err(ExecutorError::PolicyDenied("it is an address of this machine".to_owned())) }.boxed();
        }
        self.state.lock().unwrap().allowed.push(addresses);
        async { Ok(()) }.boxed()
    }

    fn note(&self, _at: StepAt, line: String) -> Answer<'_, ()> {
        self.state.lock().unwrap().notes.push(line);
        async { Ok(()) }.boxed()
    }

    fn attach_service(&self, _job: JobId, number: u8) -> Answer<'_, ServiceNet> {
        let [address, dns] = [1, 0].map(|last| std::net::Ipv4Addr::new(10, 0, number, last));
        let mut state = self.state.lock().unwrap();
        state.attached.insert(number);
        state.numbers.push(number);
        drop(state);
        async move { Ok(ServiceNet { address, dns }) }.boxed()
    }

    fn detach_service(&self, _job: JobId, number: u8) -> Answer<'_, ()> {
        let mut state = self.state.lock().unwrap();
        if state.fails("detach") {
            return no_answer();
        }
        state.attached.remove(&number);
        async { Ok(()) }.boxed()
    }

    fn signal(&self, at: StepAt, signal: Signal) -> Answer<'_, ()> {
        if signal == Signal::Kill {
            let mut state = self.state.lock().unwrap();
            if state.fails("kill") {
                return no_answer();
            }
            state.killed.push(at);
        }
        let attempt = Arc::clone(&self.state.lock().unwrap().attempts[&at]);
        let stubborn = command_of(&attempt.spec) == "stubborn";
        let code = match signal {
            Signal::Term if stubborn => None,
            Signal::Term => Some(143),
            Signal::Kill => Some(137),
        };
        let lives = attempt.state.borrow().is_none();
        if let (Some(code), true) = (code, lives) {
            self.finish(at, StepState::Ended(end(code)));
        }
        async { Ok(()) }.boxed()
    }

    fn add_mask(&self, _job: JobId, masks: Vec<Mask>) -> Answer<'_, ()> {
        self.state.lock().unwrap().masked.extend(masks.into_iter().map(|mask| mask.value));
        async { Ok(()) }.boxed()
    }

    fn captured(&self, at: StepAt) -> Answer<'_, Secret<Vec<u8>>> {
        let command = self.state.lock().unwrap().attempts[&at].spec.argv.last().unwrap().clone();
        let value = command.strip_prefix("print ").unwrap_or_default().to_owned() + "\n";
        async { Ok(Secret::new(value.into_bytes())) }.boxed()
    }

    fn export(&self, _job: JobId, path: String, mut sink: File) -> Answer<'_, ()> {
        let bytes = self.state.lock().unwrap().files.get(&path).cloned();
        async move {
            let Some(bytes) = bytes else {
                return Err(ExecutorError::User(format!("{path}: no such file in the workspace")));
            };
            let size = Some(bytes.len() as u64);
            let item = transfer::Item { version: transfer::VERSION, kind: transfer::Kind::File, name: path, size };
            let sent = tokio::task::spawn_blocking(move || {
                frame::write(&mut sink, &item).unwrap();
                sink.write_all(&bytes)
            });
            sent.await.unwrap().map_err(|error| ExecutorError::User(error.to_string()))
        }
        .boxed()
    }

    fn collect(&self, _job: JobId, pattern: String, mut sink: File) -> Answer<'_, ()> {
        let mut files: Vec<(String, Vec<u8>)> = {
            let state = self.state.lock().unwrap();
            let glob = globset::Glob::new(&pattern).unwrap().compile_matcher();
            let named = state.files.iter().filter(|(path, _)| glob.is_match(path));
            named.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
        };
        files.sort();
        async move {
            if files.is_empty() {
                return Err(ExecutorError::User(format!("{pattern}: no such file in the workspace")));
            }
            let sent = tokio::task::spawn_blocking(move || {
                for (name, bytes) in files {
                    let (kind, size) = (transfer::Kind::File, Some(bytes.len() as u64));
                    frame::write(&mut sink, &transfer::Item { version: transfer::VERSION, kind, name, size }).unwrap();
                    sink.write_all(&bytes)?;
                }
                Ok::<_, std::io::Error>(())
            });
            sent.await.unwrap().map_err(|error| ExecutorError::User(error.to_string()))
        }
        .boxed()
    }

    fn import(&self, _job: JobId, dest: String, mut source: File) -> Answer<'_, ()> {
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let item: transfer::Item = frame::read(&mut source, frame::HEADER_LIMIT).unwrap();
                let mut bytes = Vec::new();
                source.read_to_end(&mut bytes).unwrap();
                (item.name, bytes)
            });
            let (name, bytes) = read.await.unwrap();
            self.state.lock().unwrap().imported.push((format!("{dest}/{name}"), bytes));
            Ok(())
        }
        .boxed()
    }

    fn cache_restore(&self, job: JobId, fill: CacheFill) -> Answer<'_, CacheFilled> {
        let mut state = self.state.lock().unwrap();
        let filled = match state.caches_here.get(&(job, fill.place.id.clone())) {
            Some((at, filled)) if *at == fill.at => filled.clone(),
            Some(_) => CacheFilled::Here,
            None => match &fill.digest {
                None => CacheFilled::Empty,
                Some(digest) => match state.caches.get(digest) {
                    Some(bytes) => CacheFilled::Restored { bytes: *bytes },
                    None => CacheFilled::Missing,
                },
            },
        };
        state.caches_here.entry((job, fill.place.id.clone())).or_insert_with(|| (fill.at, filled.clone()));
        state.filled.push(fill);
        async { Ok(filled) }.boxed()
    }

    fn cache_save(&self, _job: JobId, _take: CacheTake) -> Answer<'_, CacheTaken> {
        use sha2::Digest as _;
        let mut state = self.state.lock().unwrap();
        let text = state.cache_content.clone();
        if text == "refused" {
            return async { Ok(CacheTaken::Refused { reason: "its paths are empty".to_owned() }) }.boxed();
        }
        let digest = hex::encode(sha2::Sha256::digest(text.as_bytes()));
        state.caches.insert(digest.clone(), text.len() as u64);
        let bytes = text.len() as u64;
        let broken = state.fails("cache_save");
        drop(state);
        if broken {
            return no_answer();
        }
        async move { Ok(CacheTaken::Stored { digest, bytes, remark: None }) }.boxed()
    }

    fn cache_list(&self) -> Answer<'_, Vec<CacheBlob>> {
        let state = self.state.lock().unwrap();
        let blobs = state.caches.iter().map(|(digest, bytes)| CacheBlob { digest: digest.clone(), bytes: *bytes });
        let blobs = blobs.collect();
        async { Ok(blobs) }.boxed()
    }

    fn cache_remove(&self, digests: Vec<String>) -> Answer<'_, ()> {
        self.state.lock().unwrap().caches.retain(|digest, _| !digests.contains(digest));
        async { Ok(()) }.boxed()
    }

    fn keep(&self, job: JobId) -> Answer<'_, Option<u64>> {
        let mut state = self.state.lock().unwrap();
        if state.fails("keep") {
            return no_answer();
        }
        state.attempts.retain(|at, _| at.job != job);
        let size = state.size;
        let bytes = state.jobs.remove(&job).map(|_| size).or(state.kept.get(&job).copied());
        state.kept.extend(bytes.map(|bytes| (job, bytes)));
        let hangs = state.fails("keep without an answer");
        drop(state);
        self.bump();
        if hangs {
            return futures::future::pending().boxed();
        }
        async move { Ok(bytes) }.boxed()
    }

    fn list(&self) -> Answer<'_, Vec<JobId>> {
        let state = self.state.lock().unwrap();
        let jobs = state.jobs.keys().chain(state.kept.keys()).copied().collect();
        async { Ok(jobs) }.boxed()
    }

    fn teardown(&self, job: JobId) -> Answer<'_, ()> {
        let mut state = self.state.lock().unwrap();
        if state.fails("teardown") {
            return no_answer();
        }
        state.attempts.retain(|at, _| at.job != job);
        state.jobs.remove(&job);
        state.kept.remove(&job);
        state.torn_down.push(job);
        async { Ok(()) }.boxed()
    }
}
