//! `danube-shim step`: starts one container, redacts and writes its output, records its exit.
//!
//! Owns: the step's lock, control socket and records, and the step's output until it is on disk.
//! May use: the contract and the redactor of the library half.
//! Must not touch: signals to the container and its removal, which are the executor's.

mod control;
mod counters;
mod launch;
mod output;
mod pump;

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use danube_shim::record::{Exit, Records, Started};
use danube_shim::redact::Patterns;
use danube_shim::start::StepStart;
use danube_shim::{fault, filter, frame, overlay, record, start, sys};

use control::Control;
use output::Output;
use pump::Pump;

/// What `danube-shim step` ends with when the step was started before.
const STARTED_BEFORE: i32 = 3;
/// How often the lock is tried, and the pause between two tries.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How often the exit record is tried while the disk is full.
const EXIT_RECORD_TRIES: u32 = 60;

/// What was inherited, and what it said.
struct Inherited {
    start: StepStart,
    log: File,
    index: File,
    /// Keeps descriptor 3 free for the container's start frame.
    third: File,
    /// To whom the files of layers belong.
    users: Option<File>,
}

/// Runs the supervisor; the exit code says only whether the step was taken on.
pub(crate) fn run() -> i32 {
    match take_on() {
        Ok(Some(claimed)) => claimed.supervise(),
        Ok(None) => STARTED_BEFORE,
        Err(problem) => {
            crate::say(&format!("danube-shim: {problem}"));
            2
        }
    }
}

/// A step that this process alone may run.
struct Claimed {
    inherited: Inherited,
    records: Rc<Records>,
    started: Started,
    /// Held for life: who can take it knows that no shim lives.
    _lock: File,
}

/// Everything that happens before the step counts as started.
fn take_on() -> Result<Option<Claimed>, String> {
    let inherited = inherit()?;
    sys::new_session();
    // Handlers instead of "ignore": crun and the container must not inherit that.
    sys::default_signals();
    sys::shrug_off(&[
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGQUIT,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGPIPE,
    ]);
    let step_dir = &inherited.start.step_dir;
    let at = |error: io::Error| format!("cannot use {}: {error}", step_dir.display());
    std::env::set_current_dir("/").map_err(at)?;
    let lock = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(step_dir.join("lock"))
        .map_err(at)?;
    if !taken(&lock) {
        return Ok(None);
    }
    let path = Records::path_in(step_dir);
    match DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(error)),
        _ => {}
    }
    if let Some(ids) = inherited.start.drop {
        std::os::unix::fs::chown(&path, Some(ids.uid), Some(ids.gid)).map_err(at)?;
    }
    let records = Rc::new(Records::open(step_dir).map_err(|error| error.to_string())?);
    if records.started().map_err(|error| error.to_string())?.is_some() {
        return Ok(None);
    }
    let started = Started { version: record::VERSION, pid: std::process::id(), at_ns: sys::realtime_ns() };
    records.write_started(&started).map_err(|error| error.to_string())?;
    Ok(Some(Claimed { inherited, records, started, _lock: lock }))
}

/// Takes the step's lock. Whoever only looks whether a shim lives holds it for an instant.
fn taken(lock: &File) -> bool {
    (0..LOCK_TRIES).any(|tries| {
        if tries > 0 {
            std::thread::sleep(LOCK_PAUSE);
        }
        lock.try_lock().is_ok()
    })
}

fn inherit() -> Result<Inherited, String> {
    let missing = |error| format!("descriptors 3, 4 and 5 must be start frame, log and index: {error}");
    let mut frame_in = sys::inherited(3).map_err(missing)?;
    let log = sys::inherited(4).map_err(missing)?;
    let index = sys::inherited(5).map_err(missing)?;
    let users = sys::inherited(6).ok();
    sys::close_from(7).map_err(missing)?;
    let start: StepStart = frame::read(&mut frame_in, frame::STEP_START_LIMIT).map_err(|error| error.to_string())?;
    if frame_in.read(&mut [0]).map_err(missing)? > 0 {
        return Err("there is more than one frame on descriptor 3".to_owned());
    }
    if start.version > start::VERSION {
        return Err(format!(
            "the start frame has version {}, this shim reads up to {}; both must be of the same release",
            start.version,
            start::VERSION
        ));
    }
    if let Some(wish) = &start.fault {
        fault::arm(wish).map_err(|error| error.to_string())?;
    }
    let nowhere = fs::OpenOptions::new().read(true).write(true).open("/dev/null").map_err(missing)?;
    for number in [0, 1, 3] {
        sys::place(&nowhere, number).map_err(missing)?;
    }
    // The frame's pipe is closed by that; its number goes on as a placeholder.
    Ok(Inherited { start, log, index, third: frame_in, users })
}

impl Claimed {
    fn supervise(self) -> i32 {
        let records = Rc::clone(&self.records);
        let blank = Exit {
            version: record::VERSION,
            exit_code: -1,
            signal: None,
            oom_kills: 0,
            pids_refused: 0,
            log_bytes: self.inherited.log.metadata().map_or(0, |log| log.len()),
            log_truncated: false,
            started_ns: self.started.at_ns,
            ended_ns: 0,
            error: None,
        };
        let result = catch_unwind(AssertUnwindSafe(|| run_container(self.inherited, &records, &blank)));
        let mut exit = result.unwrap_or_else(|_| Exit {
            error: Some("the step's supervisor failed; this is a fault in danube".to_owned()),
            ..blank
        });
        if exit.ended_ns == 0 {
            exit.ended_ns = sys::realtime_ns();
        }
        for _ in 0..EXIT_RECORD_TRIES {
            if records.write_exit(&exit).is_ok() {
                return 0;
            }
            // A full disk may get room again; nobody else can say how the step ended.
            std::thread::sleep(Duration::from_secs(1));
        }
        1
    }
}

/// The step itself; whatever goes wrong ends up in the record.
fn run_container(inherited: Inherited, records: &Rc<Records>, blank: &Exit) -> Exit {
    let failed = |error: String| Exit { error: Some(error), ..blank.clone() };
    let Inherited { start, log, index, third, users } = inherited;
    let patterns = match Patterns::new(&start.patterns) {
        Ok(patterns) => patterns,
        Err(error) => return failed(error.to_string()),
    };
    let mut output = match Output::open(log, index, start.log_limit, Rc::clone(records)) {
        Ok(output) => output,
        Err(error) => return failed(format!("cannot write the step's log: {error}")),
    };
    for note in &start.notes {
        output.note(&patterns.redact(note.as_bytes()));
    }
    let control = match Control::listen(&start.step_dir) {
        Ok(control) => control,
        Err(error) => return failed(format!("cannot listen for the executor: {error}")),
    };
    if let Err(error) = prepare_mounts(&start, users.as_ref()) {
        return failed(format!("cannot prepare the step's mounts: {error}"));
    }
    drop(users);
    let container = match launch::launch(&start, third) {
        Ok(container) => container,
        Err(error) => return failed(error),
    };
    let counters = counters::Counters::open(&start.cgroups);
    let dropped = drop_privileges(&start).map_err(|error| format!("cannot give up privileges: {error}"));
    let mut pump = Pump::new(&start, patterns, container.stdout, container.stderr);
    if let Some(ready) = container.ready {
        pump.watch(ready, Rc::clone(records));
    }
    drop(start.container);
    let ended = pump.run(container.pid, container.pidfd.as_fd(), &mut output, control);
    let ended_ns = sys::realtime_ns();
    let error = pump.finish(&mut output, records).err();
    output.close();
    let (exit_code, signal, lost) = match ended {
        Ok(sys::Ended::Code(code)) => (code, None, None),
        Ok(sys::Ended::Signal(signal)) => (128 + signal, Some(signal), None),
        Err(error) => (-1, None, Some(format!("cannot tell how the step ended: {error}"))),
    };
    Exit {
        exit_code,
        signal,
        oom_kills: counters.kills(),
        pids_refused: counters.refused(),
        log_bytes: output.length(),
        log_truncated: output.is_truncated(),
        ended_ns,
        error: lost.or(error).or(dropped.err()),
        ..blank.clone()
    }
}

fn prepare_mounts(start: &StepStart, users: Option<&File>) -> io::Result<()> {
    sys::become_subreaper()?;
    if start.hide_unified || start.overlay.is_some() {
        sys::private_mounts()?;
    }
    if start.hide_unified {
        sys::unmount(c"/sys/fs/cgroup/unified")?;
    }
    match &start.overlay {
        Some(root) if root.mapped && users.is_none() => {
            Err(io::Error::other("descriptor 6, a user namespace, is missing"))
        }
        Some(root) => overlay::mount(root, users.filter(|_| root.mapped)),
        None => Ok(()),
    }
}

fn drop_privileges(start: &StepStart) -> io::Result<()> {
    if let Some(ids) = start.drop {
        sys::drop_bounding_set();
        sys::become_user(ids.uid, ids.gid)?;
    }
    sys::drop_capabilities()?;
    sys::no_new_privileges()?;
    sys::become_undumpable()?;
    sys::set_filter(&filter::program())
}
