//! The lock: one directory, no new rights, few system calls, bounds on what a process may take.
use std::io;

use rustix::process::{Resource, Rlimit, chroot, fchdir, setrlimit};
use seccompiler::{TargetArch, apply_filter_all_threads, compile_from_json};

/// Memory beside the program itself; a decoder with the largest window that is taken needs half of it.
const MEMORY: u64 = 512 << 20;

/// What is still called once the threads run. All else fails as if it were not allowed.
const CALLS: &[&str] = &[
    "brk",
    "chdir",
    "clock_gettime",
    "clock_nanosleep",
    "close",
    "dup",
    "exit",
    "exit_group",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fcntl",
    "fgetxattr",
    "fsetxattr",
    "fstat",
    "ftruncate",
    "futex",
    "getdents64",
    "getpid",
    "getrandom",
    "gettid",
    "lgetxattr",
    "linkat",
    "lseek",
    "lsetxattr",
    "madvise",
    "mkdirat",
    "mknodat",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "openat",
    "prctl",
    "read",
    "readlinkat",
    "readv",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "sigaltstack",
    "statx",
    "symlinkat",
    "tgkill",
    "umask",
    "unlinkat",
    "utimensat",
    "write",
    "writev",
];

/// Locks this process, all its threads, into the directory on descriptor 3.
pub(super) fn lock_in(file_bytes: u64) -> io::Result<()> {
    // SAFETY-free: the descriptor is opened anew, by its number.
    let dir = std::fs::File::open("/proc/self/fd/3")?;
    fchdir(&dir)?;
    chroot(".")?;
    std::env::set_current_dir("/")?;
    drop(dir);
    rustix::process::umask(rustix::fs::Mode::empty());
    let limit = |resource, most: u64| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    limit(Resource::Data, MEMORY)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, file_bytes)?;
    limit(Resource::Nofile, 64)?;
    limit(Resource::Nproc, 0)?;
    filter()
}

fn filter() -> io::Result<()> {
    let arch = if cfg!(target_arch = "aarch64") { TargetArch::aarch64 } else { TargetArch::x86_64 };
    let calls: Vec<_> = CALLS.iter().map(|name| serde_json::json!({ "syscall": name })).collect();
    let profile = serde_json::json!({
        "unpack": { "mismatch_action": { "errno": libc_eperm() }, "match_action": "allow", "filter": calls },
    });
    let mut programs = compile_from_json(profile.to_string().as_bytes(), arch).map_err(io::Error::other)?;
    let program = programs.remove("unpack").ok_or_else(|| io::Error::other("the profile is empty"))?;
    apply_filter_all_threads(&program).map_err(io::Error::other)
}

const fn libc_eperm() -> i32 {
    rustix::io::Errno::PERM.raw_os_error()
}
