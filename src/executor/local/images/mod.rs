//! Layers of images: unpacked once, shared by all jobs, held by those that need them.
//!
//! `images/layers/<hex>/` holds one layer: its files in `fs/` and `layer.json`, whose time of change is that of its
//! last use. It comes there by one rename; what lies in `images/tmp/` is half a layer, and nobody's at the next start.

mod child;
mod evict;
mod record;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use super::Local;
use super::job::{io_error, make_dir, remove_tree};
use crate::executor::{ExecutorError, Layer, Pinned};
use crate::model::JobId;
use crate::platform::fault;

pub(super) use record::Record;

static NEXT: AtomicU64 = AtomicU64::new(0);

/// The most layers that one image may have.
const MOST: usize = 200;

/// Who may do what with layers at once.
#[derive(Default)]
pub(super) struct Guards {
    /// Held to write while layers are chosen to be removed.
    choosing: RwLock<()>,
}

impl Local {
    /// Notes that the job needs these layers, so that none is removed before its end; gives those that are not there.
    pub fn hold_layers(&self, job: JobId, layers: &[String]) -> Result<Vec<String>, ExecutorError> {
        self.can_use_images()?;
        if layers.is_empty() || layers.len() > MOST {
            return Err(refused(format!("it has {} layers; 1 to {MOST} can be put together", layers.len())));
        }
        let places = layers.iter().map(|digest| self.layer_dir(digest)).collect::<Result<Vec<_>, _>>()?;
        {
            let lock = self.lock_of(job);
            let _one = lock.lock().unwrap_or_else(PoisonError::into_inner);
            let _kept = self.guards.choosing.read().unwrap_or_else(PoisonError::into_inner);
            if !self.layout.job(job).exists() {
                return Err(ExecutorError::Lost(format!("job {job} has no workspace on this machine")));
            }
            let mut held = self.held_by(job);
            let before = held.len();
            held.extend(layers.iter().cloned());
            if held.len() > before {
                let text = serde_json::to_vec(&held).map_err(|e| ExecutorError::Start(e.to_string()))?;
                crate::platform::atomic::write("executor.held_layers", &self.layout.held_layers(job), &text, 0o600)
                    .map_err(|e| io_error("note which layers a job needs", &e))?;
            }
        }
        let missing = layers.iter().zip(&places).filter(|(_, place)| !place.exists()).map(|(digest, _)| digest.clone());
        let missing: Vec<String> = missing.collect();
        if missing.is_empty() {
            record::check_order(&places)?;
        }
        Ok(missing)
    }

    /// Unpacks a layer from what `source` (a pipe) gives. Several may bring the same one at once, so that a slow source
    /// holds up nobody: the first that is whole stays. Who is told that it went well, gave all of the layer.
    pub fn add_layer(&self, layer: &Layer, source: File) -> Result<(), ExecutorError> {
        self.can_use_images()?;
        let place = self.layer_dir(&layer.digest)?;
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let half = self.half_layers().join(name);
        let put = self.make_layer(layer, &half, source).and_then(|()| {
            match fault::around("executor.layer", || fs::rename(&half, &place)) {
                Ok(()) => Ok(true),
                Err(error) if taken(&error) => Ok(false),
                Err(error) => Err(io_error("put a layer into its place", &error)),
            }
        });
        match put {
            Ok(true) => record::sync_later(&place),
            Ok(false) | Err(_) => {
                if let Err(error) = remove_tree(&half) {
                    tracing::warn!(%error, "half a layer could not be removed");
                }
            }
        }
        put.map(drop)
    }

    fn make_layer(&self, layer: &Layer, half: &Path, source: File) -> Result<(), ExecutorError> {
        let failed = |e: std::io::Error| io_error("make room for a layer", &e);
        make_dir(half, 0o711).map_err(failed)?;
        let files = half.join("fs");
        make_dir(&files, 0o755).map_err(failed)?;
        let owners = self.roots.owners();
        std::os::unix::fs::chown(&files, Some(owners.base), Some(owners.base)).map_err(failed)?;
        let unpacked = self.unpack(layer, &files, source)?;
        let record = Record::new(layer, unpacked);
        let text = serde_json::to_vec(&record).map_err(|e| ExecutorError::Start(e.to_string()))?;
        fault::around("executor.layer_record", || fs::write(half.join(record::NAME), text))
            .map_err(|e| io_error("describe a layer", &e))
    }

    /// The layers of a step's root, the uppermost first; they count as used now.
    pub(super) fn layers_of(&self, image: &str, pinned: &Pinned) -> Result<Vec<PathBuf>, ExecutorError> {
        self.can_use_images()?;
        let mut found = Vec::with_capacity(pinned.layers.len() + 1);
        let mut seen = BTreeSet::new();
        // The same layer twice is no mistake, and nothing that the kernel puts together: beneath itself it adds nothing.
        for digest in pinned.layers.iter().rev().filter(|digest| seen.insert(*digest)) {
            let place = self.layer_dir(digest)?;
            record::touch(&place).map_err(|_| ExecutorError::ImagePull {
                image: image.to_owned(),
                reason: format!("its layer {digest} is not on this machine any more"),
            })?;
            found.push(place.join("fs"));
        }
        Ok(found)
    }

    fn can_use_images(&self) -> Result<(), ExecutorError> {
        match self.roots.unavailable() {
            None => Ok(()),
            Some(reason) => Err(ExecutorError::PolicyDenied(format!(
                "images can't be used on this machine, \"host\" alone: {reason}"
            ))),
        }
    }

    /// Where a layer lies. The name comes from the master, so it is looked at.
    fn layer_dir(&self, digest: &str) -> Result<PathBuf, ExecutorError> {
        let hex = digest.strip_prefix("sha256:").filter(|hex| hex.len() == 64);
        let hex = hex.filter(|hex| hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        let hex = hex.ok_or_else(|| refused("a layer of it has no SHA-256 digest".to_owned()))?;
        Ok(self.whole_layers().join(hex))
    }

    pub(super) fn whole_layers(&self) -> PathBuf {
        self.layout.images().join("layers")
    }

    pub(super) fn half_layers(&self) -> PathBuf {
        self.layout.images().join("tmp")
    }

    fn held_by(&self, job: JobId) -> BTreeSet<String> {
        let text = fs::read(self.layout.held_layers(job)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

/// Whether another one was put there before.
fn taken(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists)
}

/// The image, whatever it is called by who asked.
fn refused(why: String) -> ExecutorError {
    ExecutorError::User(why)
}
