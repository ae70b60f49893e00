//! Processes for which a write is done when the kernel has it: the same program, without power-loss durability.
use std::collections::BTreeMap;
use std::io;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

/// Starts a child; every `fsync` of it and of its children answers at once that all is well.
///
/// A filter of the kernel stays with the thread that sets it and with the processes that thread starts: so one
/// thread sets it, starts the child and ends.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    let program = filter()?;
    let handle = Handle::current();
    std::thread::scope(|scope| {
        let starter = scope.spawn(move || {
            let _runtime = handle.enter();
            seccompiler::apply_filter(&program).map_err(io::Error::other)?;
            command.spawn()
        });
        starter.join().unwrap_or_else(|_| Err(io::Error::other("the starting thread failed")))
    })
}

fn filter() -> io::Result<BpfProgram> {
    // An error of the number 0 is none.
    let done = SeccompAction::Errno(0);
    let calls = [libc_call::FSYNC, libc_call::FDATASYNC, libc_call::SYNC_FILE_RANGE];
    let rules: BTreeMap<i64, Vec<seccompiler::SeccompRule>> = calls.map(|call| (call, Vec::new())).into();
    let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, done, arch).map_err(io::Error::other)?;
    filter.try_into().map_err(|error: seccompiler::BackendError| io::Error::other(error))
}

/// The numbers of the calls, which differ between machines.
#[cfg(target_arch = "x86_64")]
mod libc_call {
    pub(super) const FSYNC: i64 = 74;
    pub(super) const FDATASYNC: i64 = 75;
    pub(super) const SYNC_FILE_RANGE: i64 = 277;
}

/// The numbers of the calls, which differ between machines.
#[cfg(not(target_arch = "x86_64"))]
mod libc_call {
    pub(super) const FSYNC: i64 = 82;
    pub(super) const FDATASYNC: i64 = 83;
    pub(super) const SYNC_FILE_RANGE: i64 = 84;
}
