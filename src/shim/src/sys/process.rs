//! Processes and signals: children, their end, and what they are told.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

use libc::{c_int, pid_t};

use super::check;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A descriptor that becomes readable when the process ends.
pub fn pidfd(pid: pid_t) -> io::Result<OwnedFd> {
    // SAFETY: integers; the descriptor is new and ours (close-on-exec by definition).
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, pid, 0) as c_int)?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn ended(status: c_int) -> Ended {
    if libc::WIFSIGNALED(status) {
        Ended::Signal(libc::WTERMSIG(status))
    } else {
        Ended::Code(libc::WEXITSTATUS(status))
    }
}

/// Waits for one child.
pub fn wait(pid: pid_t) -> io::Result<Ended> {
    let mut status = 0;
    loop {
        // SAFETY: the status is ours.
        match check(unsafe { libc::waitpid(pid, &raw mut status, 0) }) {
            Ok(_) => return Ok(ended(status)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Collects any child that has ended.
pub fn reap() -> Option<(pid_t, Ended)> {
    let mut status = 0;
    // SAFETY: the status is ours.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (pid, ended(status)))
}

/// Whether any child is left that has not been collected.
pub fn has_children() -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    let looked = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the details are ours and are not read.
    check(unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), looked) }).is_ok()
}

/// Splits this process in two; `None` in the child.
pub fn fork() -> io::Result<Option<pid_t>> {
    // SAFETY: one thread, so the child may go on like any program.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid > 0).then_some(pid))
}

/// Sends a signal.
pub fn kill(pid: pid_t, signal: c_int) {
    // SAFETY: integers.
    unsafe { libc::kill(pid, signal) };
}

extern "C" fn nothing(_signal: c_int) {}

/// Makes these signals harmless here, without handing that on to programs that are started.
pub fn shrug_off(signals: &[c_int]) {
    for signal in signals {
        // SAFETY: the handler does nothing; a handler, unlike SIG_IGN, ends with exec.
        unsafe { libc::signal(*signal, nothing as extern "C" fn(c_int) as usize) };
    }
}

/// Signals as a new program expects them: none blocked, none ignored.
pub fn default_signals() {
    // SAFETY: the set is filled before it is used; SIG_DFL is valid for all but two, which refuse.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut none = MaybeUninit::uninit();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// A set of signals that are taken one by one instead of delivered.
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Holds these signals back from now on.
    pub fn hold(signals: &[c_int]) -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: sigemptyset fills the set before the others read it.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in signals {
                check(libc::sigaddset(set.as_mut_ptr(), *signal))?;
            }
            check(libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), ptr::null_mut()))?;
            Ok(Self(set.assume_init()))
        }
    }

    /// Waits for the next of them.
    pub fn next(&self) -> io::Result<c_int> {
        loop {
            // SAFETY: the set is filled; no details are asked for.
            match check(unsafe { libc::sigwaitinfo(&raw const self.0, ptr::null_mut()) }) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Waits for the next of them, at most so long; `None` where none came.
    pub fn next_within(&self, limit: Duration) -> io::Result<Option<c_int>> {
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        // SAFETY: the set is filled and the time is ours; no details are asked for.
        match check(unsafe { libc::sigtimedwait(&raw const self.0, ptr::null_mut(), &raw const timeout) }) {
            Ok(signal) => Ok(Some(signal)),
            // Interrupted is as good as early: who waits looks at the time again.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
