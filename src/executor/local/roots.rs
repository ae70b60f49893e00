//! Roots of containers that are put together from shared layers: whether this machine can, and with what.
//!
//! Files of layers belong to a range of users of their own. Each job sees them as its own by a mount that maps that
//! range to the job's; a user namespace says how, made once for each range.
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use danube_shim::overlay::{Overlay, Place};

use super::job::{make_dir, remove_tree};
use super::uids::Range;
use super::{Layout, rootfs, sys};
use crate::executor::StepKind;
use crate::platform::fault;

/// What roots are made of.
pub(super) struct Roots {
    dir: PathBuf,
    shim: PathBuf,
    /// Whose the files of layers are on disk.
    owners: Range,
    /// Why a root can't be put together from layers here.
    unavailable: Option<String>,
    users: Mutex<HashMap<u32, Arc<File>>>,
}

/// How a shim puts a root together, and the users for that.
pub(super) type Stacked = Option<(Overlay, Arc<File>)>;

/// What fills a layer of our own.
type Make = fn(&Path, Range, StepKind) -> io::Result<()>;

/// A root that a container gets.
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) overlay: Stacked,
}

impl Root {
    /// Sees to it that directories are there when the container starts.
    pub(super) fn make(&mut self, places: Vec<Place>) -> io::Result<()> {
        match &mut self.overlay {
            Some((overlay, _)) => overlay.places = places,
            None => places.iter().try_for_each(|place| place.make(&self.path))?,
        }
        Ok(())
    }
}

impl Roots {
    /// Makes the shared layers of the pseudo-image, and looks what the machine can do.
    pub(super) fn open(layout: &Layout, rootless: bool) -> io::Result<Self> {
        let owners = if rootless { Range::ONE } else { Range::IMAGES };
        let mut roots =
            Self { dir: layout.images(), shim: layout.shim(), owners, unavailable: None, users: Mutex::default() };
        make_dir(&roots.dir, 0o711)?;
        roots.make_shared()?;
        roots.unavailable = match rootless {
            true => Some("it takes root".to_owned()),
            false => roots.probe().err().map(|error| error.to_string()),
        };
        if let Some(reason) = roots.unavailable.as_ref().filter(|_| !rootless) {
            tracing::warn!(reason, "roots of containers can't be put together from layers here: each gets copies");
        }
        Ok(roots)
    }

    /// Makes the layers of our own that are missing, once for all. What has its name is believed from then on, also after
    /// a loss of power: it is on disk before.
    fn make_shared(&self) -> io::Result<()> {
        let mut made = Vec::new();
        for kind in [StepKind::Step, StepKind::Service, StepKind::Coordinator] {
            let both: [(PathBuf, Make); 2] = [(self.host(kind), rootfs::make), (self.places(kind), rootfs::places)];
            for (path, make) in both {
                if path.exists() {
                    continue;
                }
                let half = path.with_extension("tmp");
                remove_tree(&half)?;
                make(&half, self.owners, kind)?;
                made.push((half, path));
            }
        }
        if !made.is_empty() {
            rustix::fs::syncfs(File::open(&self.dir)?)?;
        }
        made.iter().try_for_each(|(half, path)| fault::around("executor.own_layer", || fs::rename(half, path)))
    }

    /// Whose the files of layers are on disk.
    pub(super) const fn owners(&self) -> Range {
        self.owners
    }

    /// Why images can't be used here.
    pub(super) fn unavailable(&self) -> Option<&str> {
        self.unavailable.as_deref()
    }

    /// The root of the pseudo-image `host`, the same for all; not to be written to.
    pub(super) fn host(&self, kind: StepKind) -> PathBuf {
        self.dir.join(format!("host-{}-{}", name(kind), rootfs::fingerprint()))
    }

    /// What lies above the layers of every image.
    fn places(&self, kind: StepKind) -> PathBuf {
        self.dir.join(format!("places-{}-{}", name(kind), rootfs::fingerprint()))
    }

    /// A private root on the pseudo-image `host` below `bundle`.
    pub(super) fn on_host(&self, bundle: &Path, kind: StepKind, users: Range) -> io::Result<Root> {
        if self.unavailable.is_none() {
            return self.stacked(bundle, vec![self.host(kind)], users);
        }
        let path = bundle.join("rootfs");
        rootfs::make(&path, users, kind)?;
        Ok(Root { path, overlay: None })
    }

    /// A private root on the layers of an image, the uppermost first.
    pub(super) fn on_image(
        &self,
        bundle: &Path,
        kind: StepKind,
        mut layers: Vec<PathBuf>,
        users: Range,
    ) -> io::Result<Root> {
        layers.insert(0, self.places(kind));
        self.stacked(bundle, layers, users)
    }

    fn stacked(&self, bundle: &Path, layers: Vec<PathBuf>, users: Range) -> io::Result<Root> {
        let [root, below, upper, work] = ["rootfs", "below", "upper", "work"].map(|name| bundle.join(name));
        for path in [&root, &below, &work] {
            make_dir(path, 0o755)?;
        }
        make_dir(&upper, 0o755)?;
        std::os::unix::fs::chown(&upper, Some(users.base), Some(users.base))?;
        let overlay = Overlay { layers, below, upper, work, root: root.clone(), mapped: true, places: Vec::new() };
        Ok(Root { path: root, overlay: Some((overlay, self.users_of(users)?)) })
    }

    /// The namespace by which files of layers become those of a job's users.
    fn users_of(&self, users: Range) -> io::Result<Arc<File>> {
        let mut known = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(namespace) = known.get(&users.base) {
            return Ok(Arc::clone(namespace));
        }
        let namespace = Arc::new(user_namespace(&format!("{} {} {}", self.owners.base, users.base, users.size))?);
        known.insert(users.base, Arc::clone(&namespace));
        Ok(namespace)
    }

    /// Puts a root together as a step would.
    fn probe(&self) -> io::Result<()> {
        let dir = self.dir.join("probe.tmp");
        remove_tree(&dir)?;
        make_dir(&dir, 0o711)?;
        for name in ["layer", "below", "upper", "work", "root"] {
            make_dir(&dir.join(name), 0o755)?;
        }
        let mut command = Command::new(&self.shim);
        command.arg("probe").arg(&dir).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        sys::pass(&mut command, &[&*self.users_of(Range::IMAGES)?])?;
        let output = command.output()?;
        remove_tree(&dir)?;
        match output.status.success() {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

const fn name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Coordinator => "coordinator",
        StepKind::Step => "step",
        StepKind::Service => "service",
    }
}

/// A user namespace with this map for users and groups (`inside outside count`), held by the descriptor alone.
pub(super) fn user_namespace(map: &str) -> io::Result<File> {
    // Lives until its input ends: long enough to be mapped and looked at.
    let mut command = Command::new("/bin/cat");
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    sys::in_own_users(&mut command);
    let mut child = command.spawn()?;
    let made = namespace_of(child.id(), map);
    drop(child.stdin.take());
    child.wait()?;
    made
}

fn namespace_of(pid: u32, map: &str) -> io::Result<File> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    for name in ["uid_map", "gid_map"] {
        File::options().write(true).open(proc.join(name))?.write_all(map.as_bytes())?;
    }
    File::open(proc.join("ns/user"))
}
