//! Images of steps for all jobs: settings in force, and layers on their way from a registry to the executor.
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::Semaphore;

use super::Engine;
use super::error::chain;
use crate::executor::{ExecutorError, KeepLayers};
use crate::images::{self, Direct, Fetcher, ImageError, Layout, Login, Patience, Place, Pull, Registry, Settings};
use crate::model::image::Layer;
use crate::model::settings;
use crate::secrets;
use crate::store::config_commits;

/// Layers that are fetched at once, over all jobs: each unpacks while it arrives. A job has a few of them, so that a
/// slow registry of one holds up no other.
const AT_ONCE: usize = 24;
/// Bytes that wait in the pipe to the executor.
const PIPE: usize = 1 << 20;
/// How much of a layout's blob is passed on at once.
const PIECE: usize = 256 << 10;

/// Where the settings of registries come from.
#[derive(Debug)]
pub enum RegistrySource {
    /// The config in force, with Danube's own secrets.
    Config,
    /// These, in `danube run`.
    Fixed(Settings),
}

/// A registry's host and the digest of a layer there.
type Source = (String, String);

/// What images need of an engine.
pub struct Images {
    fetcher: Fetcher,
    source: RegistrySource,
    /// Directories of this machine in which jobs may name layouts.
    layouts: Vec<PathBuf>,
    /// What may stay of layers that no job needs.
    pub(super) keep: KeepLayers,
    direct: Mutex<BTreeMap<String, Direct>>,
    /// One fetches a layer from a registry, who else needs it from there waits.
    fetching: Mutex<HashMap<Source, Arc<tokio::sync::Mutex<()>>>>,
    slots: Semaphore,
}

impl Images {
    /// For one engine.
    pub fn new(source: RegistrySource, layouts: Vec<PathBuf>, keep: KeepLayers) -> Result<Self, ImageError> {
        Ok(Self {
            fetcher: Fetcher::new(Patience::default())?,
            source,
            layouts,
            keep,
            direct: Mutex::default(),
            fetching: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
        })
    }

    /// Makes a name of a registry lead elsewhere, past all settings: the one inside jobs.
    pub fn lead(&self, host: &str, direct: Direct) {
        self.direct.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), direct);
    }

    /// Opens a layout of this machine: below a directory that its administrator listed, or `trusted`, because the
    /// server's own settings name it.
    pub(super) fn layout_here(&self, path: &Path, archive: bool, trusted: bool) -> Result<Layout, ImageError> {
        let shown = path.display();
        let real = path.canonicalize();
        let real = real.map_err(|e| ImageError::NotFound(format!("{shown} can't be used as an OCI layout: {e}")))?;
        let listed = || {
            let dirs = self.layouts.iter().filter_map(|dir| dir.canonicalize().ok());
            dirs.into_iter().any(|dir| real.starts_with(dir))
        };
        if !trusted && !listed() {
            return Err(ImageError::Refused(format!(
                "{shown} is no directory from which jobs may take images: who runs the server lists it under \
                 `image_dirs` in the table [executor] of danube.toml, or the layout lies in the workspace (oci:./dir)"
            )));
        }
        match archive {
            false => Layout::directory(&real),
            true => {
                let file = File::open(&real);
                let file = file.map_err(|e| ImageError::NotFound(format!("{shown} can't be opened: {e}")))?;
                Layout::archive(file)
            }
        }
    }

    /// Waits until nobody else fetches this layer from there.
    pub(super) async fn alone(&self, origin: &Origin, digest: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let from = match origin {
            Origin::Registry(place, _) => place.host.clone(),
            Origin::Layout(_) => String::new(),
        };
        let lock = {
            let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
            fetching.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(fetching.entry((from, digest.to_owned())).or_default())
        };
        lock.lock_owned().await
    }

    /// Whether the layers that are here were brought by whoever asks for them now.
    pub(super) const fn are_of_one(&self) -> bool {
        matches!(self.source, RegistrySource::Fixed(_))
    }
}

/// Where the layers of an image are had.
pub(super) enum Origin {
    /// In a registry, under the settings of this pull.
    Registry(Place, Arc<Pull>),
    /// In a layout that is open.
    Layout(Arc<Layout>),
}

/// For whom an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// The server's own settings name it.
    Server,
    /// A danubefile names it.
    Job,
    /// A danubefile that a stranger wrote.
    Fork,
}

impl Engine {
    /// A pull from a registry, by the settings in force now; it keeps them to its end.
    pub(super) async fn pull_from(&self, place: &Place, asker: Asker) -> Result<Arc<Pull>, ImageError> {
        let mut settings = match &self.images.source {
            RegistrySource::Fixed(settings) => Settings { anywhere: true, ..settings.clone() },
            RegistrySource::Config => self.registries_of_config(place, asker).await?,
        };
        settings.direct = self.images.direct.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Arc::new(Pull::new(settings)))
    }

    /// What a name in a registry stands for now.
    pub(super) async fn resolve(&self, place: &Place, pull: &Pull) -> Result<images::Image, ImageError> {
        self.images.fetcher.resolve(pull, place).await
    }

    async fn registries_of_config(&self, place: &Place, asker: Asker) -> Result<Settings, ImageError> {
        let global = self.store.read(config_commits::global_in_force).await;
        let global = global.map_err(|e| ImageError::Unavailable(format!("the config can't be read: {}", chain(&e))))?;
        // Who may be asked; a password of anybody else is none of this pull's business, whatever became of it.
        let own = global.registries.iter().find(|entry| entry.host == place.host);
        let mirrors = own.into_iter().flat_map(|entry| entry.mirrors.iter().filter_map(|m| images::mirror_host(m)));
        let hosts: Vec<String> = mirrors.chain([place.host.clone()]).collect();
        let mut registries = BTreeMap::new();
        for entry in global.registries {
            let login = match asker != Asker::Fork && hosts.contains(&entry.host) {
                true => self.login_of(&entry).await?,
                false => None,
            };
            let registry = Registry { mirrors: entry.mirrors, login, plain_http: entry.plain_http };
            registries.insert(entry.host, registry);
        }
        if asker == Asker::Server {
            registries.entry(place.host.clone()).or_default();
        }
        Ok(Settings { registries, withheld: asker == Asker::Fork, ..Settings::default() })
    }

    async fn login_of(&self, entry: &settings::Registry) -> Result<Option<Login>, ImageError> {
        let (Some(user), Some(key)) = (&entry.username, &entry.password_secret) else { return Ok(None) };
        let found = secrets::of_danube(&self.store, &self.vault, key).await;
        let found = found
            .map_err(|e| ImageError::Refused(format!("the password of the registry {}: {}", entry.host, chain(&e))))?;
        let text = String::from_utf8(found.expose().clone())
            .map_err(|_| ImageError::Refused(format!("the secret {key}, a registry's password, is not text")))?;
        let password = crate::model::Secret::new(text.trim_end_matches('\n').to_owned());
        Ok(Some(Login { user: user.clone(), password }))
    }

    /// Makes sure that a layer which is here may be had from there: others may have brought it under rights of their
    /// own.
    pub(super) async fn may_have(&self, origin: &Origin, layer: &Layer) -> Result<(), ImageError> {
        let (digest, size) = (layer.digest.clone(), layer.size);
        match origin {
            Origin::Registry(place, pull) => self.images.fetcher.may_read(pull, place, &digest, size).await,
            Origin::Layout(layout) => {
                let layout = Arc::clone(layout);
                let verified = tokio::task::spawn_blocking(move || layout.verify(&digest, size)).await;
                verified.map_err(|e| ImageError::Unavailable(e.to_string()))?
            }
        }
    }

    /// Brings one layer from where it is to the executor; `bytes` counts what has come.
    pub(super) async fn fetch_layer(
        &self,
        origin: &Origin,
        layer: &Layer,
        bytes: &Arc<AtomicU64>,
    ) -> Result<(), FetchError> {
        let _slot = self.images.slots.acquire().await;
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        // A longer pipe is a wish.
        let _short = rustix::pipe::fcntl_setpipe_size(&writer, PIPE);
        let adding = self.executor.add_layer(layer.clone(), File::from(OwnedFd::from(reader)));
        let sending = async {
            match origin {
                Origin::Registry(place, pull) => {
                    self.send_blob((place, pull), &layer.digest, OwnedFd::from(writer), bytes).await
                }
                Origin::Layout(layout) => {
                    let (layout, digest) = (Arc::clone(layout), layer.digest.clone());
                    let counted = Arc::clone(bytes);
                    let sent = move || copy(&layout, &digest, File::from(OwnedFd::from(writer)), &counted);
                    tokio::task::spawn_blocking(sent).await.map_err(|e| ImageError::Unavailable(e.to_string()))?
                }
            }
        };
        let (added, sent) = tokio::join!(adding, sending);
        match (added, sent) {
            (Ok(()), _) => Ok(()),
            // Whoever sent knows best why too little came.
            (Err(ExecutorError::Start(_)), Err(error)) => Err(FetchError::Image(error)),
            (Err(error), _) => Err(FetchError::Executor(error)),
        }
    }

    async fn send_blob(
        &self,
        (place, pull): (&Place, &Pull),
        digest: &str,
        writer: OwnedFd,
        bytes: &AtomicU64,
    ) -> Result<(), ImageError> {
        let broken = |e: std::io::Error| ImageError::Unavailable(format!("a pipe to the executor broke: {e}"));
        let mut blob = self.images.fetcher.blob(pull, place, digest).await?;
        let mut sink = pipe::Sender::from_owned_fd(writer).map_err(broken)?;
        while let Some(piece) = blob.next().await? {
            if sink.write_all(&piece).await.is_err() {
                // The executor has seen enough, and says why.
                return Ok(());
            }
            bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes layers that no job needs as far as they are beyond their bounds; failures are told and left.
    pub(super) async fn evict_layers(&self, keep: KeepLayers) -> u64 {
        match self.executor.evict_layers(keep).await {
            Ok(gone) => {
                let bytes = gone.iter().map(|layer| layer.bytes).sum();
                if !gone.is_empty() {
                    tracing::info!(layers = gone.len(), bytes, "layers of images that no job needs were removed");
                }
                bytes
            }
            Err(error) => {
                tracing::warn!(%error, "layers of images could not be removed");
                0
            }
        }
    }
}

/// Passes a blob of a layout on.
fn copy(layout: &Layout, digest: &str, mut sink: File, bytes: &AtomicU64) -> Result<(), ImageError> {
    use std::io::Write as _;
    let mut blob = layout.blob(digest)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = blob.read(&mut piece);
        let read = read.map_err(|e| ImageError::Unavailable(format!("the layout can't be read: {e}")))?;
        if read == 0 || sink.write_all(&piece[..read]).is_err() {
            return Ok(());
        }
        bytes.fetch_add(read as u64, Ordering::Relaxed);
    }
}

fn failed(error: std::io::Error) -> FetchError {
    FetchError::Executor(ExecutorError::Start(format!("no pipe to the executor: {error}")))
}

/// Why a layer did not come.
pub(super) enum FetchError {
    /// It can't be had.
    Image(ImageError),
    /// It can't be used here.
    Executor(ExecutorError),
}

impl FetchError {
    /// The same for whoever named the image.
    pub(super) fn of(self, image: &str) -> ExecutorError {
        let image = images::without_password(image);
        match self {
            Self::Image(error) if error.is_retryable() => ExecutorError::ImagePull { image, reason: error.to_string() },
            Self::Image(error) => ExecutorError::ImageUnavailable { image, reason: error.to_string() },
            Self::Executor(ExecutorError::User(reason)) => ExecutorError::ImageUnavailable { image, reason },
            Self::Executor(ExecutorError::Start(reason)) => ExecutorError::ImagePull { image, reason },
            Self::Executor(other) => other,
        }
    }
}
