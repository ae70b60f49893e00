//! Network namespaces with a name: a file to which the kernel's handle of one is bound.
use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::executor::local::sys;

/// Makes a namespace that `prepare` has filled, and then gives it its name: what has the name is whole.
pub(super) fn make(name: &Path, prepare: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    if stands(name) {
        return Ok(());
    }
    on_a_thread(|| {
        sys::own_network()?;
        prepare()?;
        File::create(name)?;
        mount_bind("/proc/thread-self/ns/net", name)?;
        // No other namespace of the machine gets a copy that would keep it alive.
        mount_change(name, MountPropagationFlags::PRIVATE)?;
        Ok(())
    })
}

/// Whether a name leads to a namespace. The empty file of one that was cut short does not.
pub(super) fn stands(name: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    matches!((device(name), device(Path::new("/proc/self/ns/net"))), (Ok(one), Ok(two)) if one == two)
}

/// Takes the name away; the namespace goes with the last who is in it.
pub(super) fn remove(name: &Path) -> io::Result<()> {
    while stands(name) {
        unmount(name, UnmountFlags::DETACH)?;
    }
    match fs::remove_file(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Does something inside a namespace; children that it starts are inside as well.
pub(super) fn inside<T: Send>(name: &Path, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    let handle = File::open(name)?;
    on_a_thread(|| {
        move_into_link_name_space(std::os::fd::AsFd::as_fd(&handle), Some(LinkNameSpaceType::Network))?;
        work()
    })
}

/// A thread that has been elsewhere does nothing else afterwards.
fn on_a_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("net".to_owned()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread inside the network failed")))
    })
}
