//! The executor's side of its socket: checks who calls, then runs each request on a thread of its own.
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;

use super::protocol::{Answer, Reply, Request, VERSION, Verb};
use super::wire;
use crate::executor::ExecutorError;
use crate::executor::local::Local;

/// Requests that are worked on at once, over all connections; each running step holds one.
const MAX_REQUESTS: usize = 1024;

/// Connections at once: one master, its successor while it starts, and a person who looks.
const MAX_CONNECTIONS: usize = 8;

/// Who may call, and when an executor that nobody needs ends.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The master's uid; root may call as well.
    pub master_uid: u32,
    /// Ends this long after the last client went, when no step lives; none: never.
    pub linger: Option<Duration>,
    /// Its jobs belong to one run: they end with it, `linger` after the last client went.
    pub end_jobs: bool,
}

struct Shared {
    local: Arc<Local>,
    requests: AtomicUsize,
    connections: AtomicUsize,
    leaving: AtomicBool,
    master_uid: u32,
}

/// Serves until nobody needs it any more (see `ServeOptions::linger`).
pub fn serve(listener: &UnixListener, local: Arc<Local>, options: &ServeOptions) -> io::Result<()> {
    let shared = Arc::new(Shared {
        local,
        requests: AtomicUsize::new(0),
        connections: AtomicUsize::new(0),
        leaving: AtomicBool::new(false),
        master_uid: options.master_uid,
    });
    listener.set_nonblocking(true)?;
    let mut idle_since: Option<Instant> = None;
    loop {
        let mut fds = [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)];
        let tick = rustix::event::Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        let _woken = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&tick)))?;
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = accept(stream, &shared, options) {
                    tracing::warn!(%error, "a connection could not be taken on");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => tracing::warn!(%error, "a connection could not be accepted"),
        }
        let asked = shared.leaving.load(Ordering::Acquire).then_some(Duration::ZERO);
        let Some(linger) = asked.or(options.linger) else { continue };
        let busy = !options.end_jobs && shared.local.any_step_lives();
        if shared.connections.load(Ordering::Acquire) > 0 || busy {
            idle_since = None;
        } else if idle_since.get_or_insert_with(Instant::now).elapsed() >= linger {
            if options.end_jobs {
                end_jobs(&shared.local);
            }
            return Ok(());
        }
    }
}

/// A run that was killed never comes back for these.
fn end_jobs(local: &Local) {
    for job in local.list().unwrap_or_default() {
        if let Err(error) = local.teardown(job) {
            tracing::error!(%job, %error, "a job of a run that is gone can't be removed");
        }
    }
}

fn accept(stream: UnixStream, shared: &Arc<Shared>, options: &ServeOptions) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let peer = rustix::net::sockopt::socket_peercred(&stream)?;
    let uid = peer.uid.as_raw();
    if uid != 0 && uid != options.master_uid {
        tracing::warn!(uid, "a connection of another user was refused");
        return Ok(());
    }
    if shared.connections.fetch_add(1, Ordering::AcqRel) >= MAX_CONNECTIONS {
        shared.connections.fetch_sub(1, Ordering::AcqRel);
        tracing::warn!(uid, "too many connections, one was refused");
        return Ok(());
    }
    let mine = Arc::clone(shared);
    std::thread::Builder::new().name("connection".to_owned()).spawn(move || {
        let stream = Arc::new(stream);
        if let Err(error) = converse(&stream, &mine) {
            tracing::warn!(%error, "a connection broke");
        }
        // Requests still under way hold the stream: the other side is told all the same.
        let _closed = stream.shutdown(std::net::Shutdown::Both);
        mine.connections.fetch_sub(1, Ordering::AcqRel);
    })?;
    Ok(())
}

fn converse(stream: &Arc<UnixStream>, shared: &Arc<Shared>) -> io::Result<()> {
    let write = Arc::new(Mutex::new(()));
    let mut greeted = false;
    while let Some((body, fds)) = wire::recv(stream)? {
        let request: Request = serde_json::from_slice(&body).map_err(io::Error::other)?;
        if let Verb::Hello { version } = request.verb {
            let result = if version == VERSION {
                greeted = true;
                Ok(Answer::Hello { version: VERSION })
            } else {
                Err(ExecutorError::Start(format!(
                    "the executor speaks version {VERSION}, the master {version}: restart both after an upgrade"
                )))
            };
            reply(stream, &write, request.id, result, None);
            continue;
        }
        if !greeted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the first request was no hello"));
        }
        if shared.requests.fetch_add(1, Ordering::AcqRel) >= MAX_REQUESTS {
            shared.requests.fetch_sub(1, Ordering::AcqRel);
            let busy = ExecutorError::Start(format!("more than {MAX_REQUESTS} requests at once"));
            reply(stream, &write, request.id, Err(busy), None);
            continue;
        }
        let (stream, write, mine) = (Arc::clone(stream), Arc::clone(&write), Arc::clone(shared));
        let spawned = std::thread::Builder::new().name("request".to_owned()).stack_size(512 << 10).spawn(move || {
            if matches!(request.verb, Verb::Leave) {
                mine.leaving.store(true, Ordering::Release);
            }
            let mut socket = None;
            let result = perform(&mine, request.verb, fds, &mut socket);
            reply(&stream, &write, request.id, result, socket);
            mine.requests.fetch_sub(1, Ordering::AcqRel);
        });
        if let Err(error) = spawned {
            shared.requests.fetch_sub(1, Ordering::AcqRel);
            return Err(error);
        }
    }
    Ok(())
}

fn reply(
    stream: &UnixStream,
    write: &Mutex<()>,
    id: u64,
    result: Result<Answer, ExecutorError>,
    socket: Option<OwnedFd>,
) {
    let sent = serde_json::to_vec(&Reply { id, result }).map_err(io::Error::other).and_then(|body| {
        let _one = write.lock().unwrap_or_else(PoisonError::into_inner);
        let fds: Vec<_> = socket.iter().map(AsFd::as_fd).collect();
        wire::send(stream, &body, &fds)
    });
    if let Err(error) = sent {
        // The master asks again after it has connected anew.
        tracing::debug!(%error, "an answer was not taken");
    }
}

fn perform(
    shared: &Shared,
    verb: Verb,
    fds: Vec<OwnedFd>,
    socket: &mut Option<OwnedFd>,
) -> Result<Answer, ExecutorError> {
    let local = &shared.local;
    for fd in &fds {
        check_descriptor(fd, matches!(verb, Verb::EnsureStep { .. }).then_some(shared.master_uid))?;
    }
    let mut files = fds.into_iter().map(std::fs::File::from);
    let mut next = || files.next().ok_or_else(|| ExecutorError::Start("a descriptor is missing".to_owned()));
    match verb {
        Verb::Hello { .. } => Ok(Answer::Hello { version: VERSION }),
        Verb::Probe => Ok(Answer::Probe { probe: local.probe() }),
        Verb::EnsureJob { spec } => Ok(Answer::Place { place: local.ensure_job(&spec, next()?)? }),
        Verb::EnsureStep { at, spec } => {
            local.ensure_step(at, *spec, next()?, next()?)?;
            Ok(Answer::Done)
        }
        Verb::HoldLayers { job, layers } => Ok(Answer::Missing { layers: local.hold_layers(job, &layers)? }),
        Verb::AddLayer { layer } => local.add_layer(&layer, next()?).map(|()| Answer::Done),
        Verb::Layers => Ok(Answer::Layers { layers: local.layers()? }),
        Verb::EvictLayers { keep } => Ok(Answer::Layers { layers: local.evict_layers(keep)? }),
        Verb::Observe { at } => Ok(Answer::State { state: local.observe(at)? }),
        Verb::Ready { at } => Ok(Answer::Ready { ready: local.ready(at)? }),
        Verb::Signal { at, signal } => local.signal(at, signal).map(|()| Answer::Done),
        Verb::AddMask { job, masks } => local.add_mask(job, &masks).map(|()| Answer::Done),
        Verb::Note { at, line } => local.note(at, &line).map(|()| Answer::Done),
        Verb::Connect { job, linked } => local.connect(job, linked).map(|()| Answer::Done),
        Verb::Listen { job, space, transport, at } => {
            *socket = Some(local.listen(job, space, transport, at)?);
            Ok(Answer::Socket)
        }
        Verb::Unlisten { job, space, transport, at } => {
            local.unlisten(job, space, transport, at);
            Ok(Answer::Done)
        }
        Verb::Allow { job, addresses, seconds } => local.allow(job, &addresses, seconds).map(|()| Answer::Done),
        Verb::AttachService { job, number } => Ok(Answer::Service { service: local.attach_service(job, number)? }),
        Verb::DetachService { job, number } => local.detach_service(job, number).map(|()| Answer::Done),
        Verb::Captured { at } => {
            let base64 = base64::engine::general_purpose::STANDARD.encode(local.captured(at)?.expose());
            Ok(Answer::Captured { base64 })
        }
        Verb::Export { job, path } => local.export(job, &path, next()?).map(|()| Answer::Done),
        Verb::Collect { job, pattern } => local.collect(job, &pattern, next()?).map(|()| Answer::Done),
        Verb::Import { job, dest } => local.import(job, &dest, next()?).map(|()| Answer::Done),
        Verb::CacheRestore { job, fill } => Ok(Answer::Filled { filled: local.cache_restore(job, &fill)? }),
        Verb::CacheSave { job, take } => Ok(Answer::Taken { taken: local.cache_save(job, &take)? }),
        Verb::CacheList => Ok(Answer::Caches { blobs: local.cache_list()? }),
        Verb::CacheRemove { digests } => local.cache_remove(&digests).map(|()| Answer::Done),
        Verb::Keep { job } => Ok(Answer::Kept { bytes: local.keep(job)? }),
        Verb::List => Ok(Answer::Jobs { jobs: local.list()? }),
        Verb::Teardown { job } => local.teardown(job).map(|()| Answer::Done),
        Verb::Leave => Ok(Answer::Done),
    }
}

/// Nothing but files and pipes may come: no name (`O_PATH`), no socket, no device, no directory. A log is
/// written as root for its first lines, so it is a file of the master's own that is only appended to.
fn check_descriptor(fd: &OwnedFd, log_of: Option<u32>) -> Result<(), ExecutorError> {
    use rustix::fs::{FileType, OFlags};
    let failed = |e: rustix::io::Errno| ExecutorError::PolicyDenied(e.to_string());
    let flags = rustix::fs::fcntl_getfl(fd.as_fd()).map_err(failed)?;
    let stat = rustix::fs::fstat(fd.as_fd()).map_err(failed)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let good = match log_of {
        _ if flags.contains(OFlags::PATH) => false,
        Some(master) => kind == FileType::RegularFile && flags.contains(OFlags::APPEND) && stat.st_uid == master,
        None => matches!(kind, FileType::RegularFile | FileType::Fifo),
    };
    if good { Ok(()) } else { Err(ExecutorError::PolicyDenied("a descriptor of a kind that is not taken".to_owned())) }
}
