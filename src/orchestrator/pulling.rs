//! The image of a step: what its name stands for in this job, and its layers at hand.
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use danube_shim::frame;
use danube_shim::transfer::Item;
use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::{OnceCell, Semaphore};

use super::error::chain;
use super::images::{Asker, FetchError, Origin};
use super::watching::persist;
use super::{Engine, LiveJob};
use crate::executor::{ExecutorError, KeepLayers, Pinned};
use crate::images::{Image, ImageError, Layer, Layout, Reference};
use crate::registry;
use crate::store::{Durability, StepRow, egress, job_images, steps};

/// The name that stands for the machine's own tools.
const HOST: &str = "host";
/// How often a step's row says how far its image has come.
const TELL: Duration = Duration::from_secs(1);
/// The names of images that one job may use.
const NAMES: usize = 500;
/// Layers of one job that are fetched at once, and questions that are asked at once for those that are here.
const AT_ONCE: usize = 4;
const QUESTIONS: usize = 8;

/// What a job knows of its images.
pub(super) struct JobImages {
    /// By name.
    known: Mutex<HashMap<String, Arc<OnceCell<Ready>>>>,
    /// The layers that it brought itself or was seen to have a right to.
    granted: Mutex<HashSet<String>>,
    slots: Semaphore,
    /// One copy of a layout out of its workspace at a time.
    layouts: Semaphore,
}

impl Default for JobImages {
    fn default() -> Self {
        Self {
            known: Mutex::default(),
            granted: Mutex::default(),
            slots: Semaphore::new(AT_ONCE),
            layouts: Semaphore::new(1),
        }
    }
}

/// An image whose layers are on the executor.
#[derive(Clone)]
pub(super) struct Ready {
    pub(super) image: Arc<Image>,
    /// What it took, for the log of the step that waited.
    told: Arc<Mutex<Option<String>>>,
}

impl Ready {
    /// What the executor is told.
    pub(super) fn pinned(&self) -> Pinned {
        let user = &self.image.config.user;
        Pinned {
            digest: self.image.digest.clone(),
            layers: self.image.layers.iter().map(|layer| layer.digest.clone()).collect(),
            user: (!user.is_empty()).then(|| user.clone()),
        }
    }

    /// What the pull took; once.
    pub(super) fn note(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How far a pull has come.
#[derive(Default)]
struct Progress {
    bytes: Arc<AtomicU64>,
    layers: AtomicUsize,
    /// The server's own settings name the image: nobody asks by what right.
    trusted: bool,
}

impl LiveJob {
    /// The image of that name with its layers at hand; `None`: the machine's own tools. `row` says meanwhile how far it
    /// is. `trusted`: the server's own settings name it.
    pub(super) async fn image(&self, row: &StepRow, name: &str, trusted: bool) -> Result<Option<Ready>, ExecutorError> {
        if name == HOST {
            return Ok(None);
        }
        let cell = {
            let mut known = self.images.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= NAMES && !known.contains_key(name) {
                let why = format!("the job has used {NAMES} names of images before it, which are the most of one job");
                return Err(FetchError::Image(ImageError::Name(why)).of(name));
            }
            Arc::clone(known.entry(name.to_owned()).or_default())
        };
        let ready = cell.get_or_try_init(|| self.pull(row, name, trusted)).await?;
        Ok(Some(ready.clone()))
    }

    /// What was at hand may not be any more: the next one looks again.
    pub(super) fn forget_image(&self, name: &str) {
        self.images.known.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    async fn pull(&self, row: &StepRow, name: &str, trusted: bool) -> Result<Ready, ExecutorError> {
        let named = |error: ImageError| FetchError::Image(error).of(name);
        let reference = Reference::parse(name).map_err(named)?;
        let copied = matches!(&reference, Reference::Layout { path, .. } if !path.starts_with('/'));
        let _one = match copied {
            true => self.images.layouts.acquire().await.ok(),
            false => None,
        };
        let began = Instant::now();
        let job = self.row.id;
        let (key, unread) = (name.to_owned(), |e: crate::store::StoreError| ExecutorError::Start(chain(&e)));
        let known = self.engine.store.read(move |view| job_images::find(view, job, &key)).await.map_err(unread)?;
        let known: Option<Image> = known.and_then(|text| serde_json::from_str(&text).ok());
        let mut origin = None;
        let image = match known {
            Some(image) => image,
            None => {
                self.tell(row, &format!("looking up {name}")).await;
                let opened = origin.insert(self.open_origin(&reference, name, trusted).await?);
                let found = self.look_up(&reference, name, opened).await;
                self.note_asked(row, opened).await;
                self.keep_image(name, found?).await?
            }
        };
        let wanted: Vec<String> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
        let missing = persist(&self.engine, || self.engine.executor.hold_layers(job, wanted.clone())).await;
        let missing = missing.map_err(|e| FetchError::Executor(e).of(name))?;
        let foreign = match trusted || self.engine.images.are_of_one() || self.ran_on(&image).await? {
            true => Vec::new(),
            false => self.not_granted(&image, &missing),
        };
        let image = Arc::new(image);
        let mut note = format!("danube: image {name} is {}", image.digest);
        if !missing.is_empty() || !foreign.is_empty() {
            let origin = match origin {
                Some(origin) => origin,
                None => self.open_origin(&reference, name, trusted).await?,
            };
            let progress = Progress { trusted, ..Progress::default() };
            let brought = async {
                self.grant(&origin, &foreign).await.map_err(|error| error.of(name))?;
                match missing.is_empty() {
                    true => Ok(()),
                    false => self.fetch(row, name, &image, &missing, &origin, &progress).await,
                }
            };
            let brought = brought.await;
            self.note_asked(row, &origin).await;
            brought?;
            if !missing.is_empty() {
                let rest = self.engine.executor.hold_layers(job, wanted).await;
                let rest = rest.map_err(|e| FetchError::Executor(e).of(name))?;
                if let Some(digest) = rest.first() {
                    let reason = format!("its layer {digest} did not stay");
                    return Err(ExecutorError::ImagePull { image: name.to_owned(), reason });
                }
                let (count, all) = (missing.len(), image.layers.len());
                let bytes = size(progress.bytes.load(Ordering::Relaxed));
                let took = began.elapsed().as_secs_f64();
                note = format!("{note}; fetched {count} of {all} layers, {bytes}, in {took:.1} s");
                // What a pull brought may be too much together with what was there.
                let engine = Arc::clone(&self.engine);
                self.work.spawn(async move { engine.evict_layers(engine.images.keep).await });
            }
        }
        Ok(Ready { image, told: Arc::new(Mutex::new(Some(note))) })
    }

    /// Where an image is had.
    async fn open_origin(&self, reference: &Reference, name: &str, trusted: bool) -> Result<Origin, ExecutorError> {
        let named = |error: ImageError| FetchError::Image(error).of(name);
        let Reference::Registry(place) = reference else {
            return Ok(Origin::Layout(self.layout(reference, name, trusted).await?));
        };
        if place.host == registry::HOST_PORT {
            self.may_use(&place.repository).await.map_err(named)?;
        }
        let bounds = &self.engine.bounds;
        let asker = match [&bounds.default_image, &bounds.builder_image].into_iter().any(|own| own == name) || trusted {
            true => Asker::Server,
            false if self.row.fork => Asker::Fork,
            false => Asker::Job,
        };
        let pull = self.engine.pull_from(place, asker).await.map_err(named)?;
        Ok(Origin::Registry(place.clone(), pull))
    }

    /// What a name stands for now.
    async fn look_up(&self, reference: &Reference, name: &str, origin: &Origin) -> Result<Image, ExecutorError> {
        let named = |error: ImageError| FetchError::Image(error).of(name);
        match origin {
            Origin::Registry(place, pull) => self.engine.resolve(place, pull).await.map_err(named),
            Origin::Layout(layout) => {
                let inner = match reference {
                    Reference::Layout { name, .. } => name.clone(),
                    Reference::Registry(_) => None,
                };
                let opened = Arc::clone(layout);
                let read = tokio::task::spawn_blocking(move || opened.image(inner.as_deref())).await;
                read.map_err(|e| ExecutorError::Start(e.to_string()))?.map_err(named)
            }
        }
    }

    /// Records whom a pull asked: the job did, by way of this master.
    async fn note_asked(&self, row: &StepRow, origin: &Origin) {
        let Origin::Registry(_, pull) = origin else { return };
        let (job, step, hosts) = (self.row.id, row.seq, pull.take_asked());
        if hosts.is_empty() {
            return;
        }
        let noted = self.engine.store.write("orchestrator.asked_for_image", Durability::Progress, move |tx| {
            hosts.iter().try_for_each(|host| egress::record_pull(tx, job, step, host))
        });
        if let Err(error) = noted.await {
            tracing::warn!(error = chain(&error), "the hosts that were asked for an image could not be recorded");
        }
    }

    /// Whether a step of this job ran on the image: then it may.
    async fn ran_on(&self, image: &Image) -> Result<bool, ExecutorError> {
        let job = self.row.id;
        let rows = self.engine.store.read(move |view| steps::of_job(view, job)).await;
        let rows = rows.map_err(|e| ExecutorError::Start(chain(&e)))?;
        Ok(rows.iter().any(|row| row.seq > 0 && row.image_digest.as_deref() == Some(&image.digest)))
    }

    /// The layers that are here by the doing of others, as far as this job knows.
    fn not_granted(&self, image: &Image, missing: &[String]) -> Vec<Layer> {
        let granted = self.images.granted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashSet::new();
        let here = image.layers.iter().filter(|layer| !missing.contains(&layer.digest));
        here.filter(|layer| !granted.contains(&layer.digest) && seen.insert(&layer.digest)).cloned().collect()
    }

    /// Makes sure that this job may have layers that are here already.
    async fn grant(&self, origin: &Origin, layers: &[Layer]) -> Result<(), FetchError> {
        let asking = futures::stream::iter(layers.iter().map(Ok));
        asking.try_for_each_concurrent(QUESTIONS, |layer| self.grant_one(origin, layer)).await
    }

    async fn grant_one(&self, origin: &Origin, layer: &Layer) -> Result<(), FetchError> {
        self.engine.may_have(origin, layer).await.map_err(FetchError::Image)?;
        self.images.granted.lock().unwrap_or_else(PoisonError::into_inner).insert(layer.digest.clone());
        Ok(())
    }

    /// Whether this job's pipeline may read a repository of the registry beside the server.
    async fn may_use(&self, repository: &str) -> Result<(), ImageError> {
        let none = |why: &str| Err(ImageError::NotFound(why.to_owned()));
        let Some(registry) = &self.engine.registry else { return none("there is no registry where this runs") };
        if let Some(why) = registry.absent() {
            return none(why);
        }
        match registry.may_read(self.row.pipeline_id, repository).await {
            Ok(true) => Ok(()),
            Ok(false) => none(&format!("there is no repository '{repository}' that this pipeline may read")),
            Err(error) => Err(ImageError::Unavailable(chain(&error))),
        }
    }

    async fn layout(&self, reference: &Reference, name: &str, trusted: bool) -> Result<Arc<Layout>, ExecutorError> {
        let named = |error: ImageError| FetchError::Image(error).of(name);
        let Reference::Layout { path, archive, .. } = reference else {
            return Err(named(ImageError::Name(format!("{name} is no layout"))));
        };
        let (path, archive) = (path.clone(), *archive);
        let opened = if path.starts_with('/') {
            let engine = Arc::clone(&self.engine);
            let open = move || engine.images.layout_here(path.as_ref(), archive, trusted);
            tokio::task::spawn_blocking(open).await.map_err(|e| ExecutorError::Start(e.to_string()))?
        } else {
            let exported = persist(&self.engine, || self.exported(path.clone())).await;
            let file = exported.map_err(|e| FetchError::Executor(e).of(name))?;
            let open = move || Layout::archive(file);
            tokio::task::spawn_blocking(open).await.map_err(|e| ExecutorError::Start(e.to_string()))?
        };
        opened.map(Arc::new).map_err(named)
    }

    /// A file or directory of the workspace as a file without a name: a tar either way.
    async fn exported(&self, path: String) -> Result<File, ExecutorError> {
        let failed = |what: &str, e: &dyn std::error::Error| ExecutorError::Start(format!("{what}: {}", chain(e)));
        let (reader, writer) = std::io::pipe().map_err(|e| failed("no pipe to the executor", &e))?;
        let exporting = self.engine.executor.export(self.row.id, path, File::from(OwnedFd::from(writer)));
        let scratch = self.engine.dirs.scratch.clone();
        // Holes of its files take no room there, and do here.
        let most = self.workspace_bytes();
        let reading = tokio::task::spawn_blocking(move || {
            let mut reader = File::from(OwnedFd::from(reader));
            let _item: Item =
                frame::read(&mut reader, frame::HEADER_LIMIT).map_err(|e| std::io::Error::other(e.to_string()))?;
            let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
            let file = rustix::fs::open(&scratch, flags, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
            let mut file = File::from(file);
            let copied = std::io::copy(&mut (&mut reader).take(most.saturating_add(1)), &mut file)?;
            Ok::<_, std::io::Error>((copied <= most).then_some(file))
        });
        let (exported, read) = tokio::join!(exporting, reading);
        let read = read.map_err(|e| failed("the layout could not be read", &e))?;
        if let Ok(None) = read {
            // Whoever sent it only saw that nobody took more.
            return Err(ExecutorError::User(format!(
                "the OCI layout has more than {}, the size of the job's workspace (the pipeline's workspace_size_gb)",
                super::outcome::bytes(most)
            )));
        }
        exported?;
        let read = read.transpose().unwrap_or_else(|| Err(std::io::Error::other("nothing of it came")));
        read.map_err(|e| match e.kind() {
            std::io::ErrorKind::StorageFull => ExecutorError::OutOfSpace(format!("no room for an OCI layout: {e}")),
            _ => failed("the layout could not be copied from the workspace", &e),
        })
    }

    /// Notes what a name stands for in this job; gives what counts.
    async fn keep_image(&self, name: &str, image: Image) -> Result<Image, ExecutorError> {
        let unkept = |e: &dyn std::error::Error| ExecutorError::Start(format!("could not keep an image: {}", chain(e)));
        let text = serde_json::to_string(&image).map_err(|e| unkept(&e))?;
        let (lease, job, name, digest) = (self.lease.id, self.row.id, name.to_owned(), image.digest);
        let kept = self.engine.store.write("orchestrator.image", Durability::Progress, move |tx| {
            job_images::keep(tx, lease, job, (&name, &digest, &text))
        });
        let kept = kept.await.map_err(|e| unkept(&e))?;
        serde_json::from_str(&kept).map_err(|e| unkept(&e))
    }

    /// Brings the missing layers, some side by side.
    async fn fetch(
        &self,
        row: &StepRow,
        name: &str,
        image: &Image,
        missing: &[String],
        origin: &Origin,
        progress: &Progress,
    ) -> Result<(), ExecutorError> {
        let mut seen = HashSet::new();
        let wanted = image.layers.iter().filter(|layer| missing.contains(&layer.digest));
        let layers: Vec<&Layer> = wanted.filter(|layer| seen.insert(&layer.digest)).collect();
        let all: u64 = layers.iter().map(|layer| layer.size).sum();
        let count = layers.len();
        let fetching = futures::stream::iter(layers.into_iter().map(Ok)).try_for_each_concurrent(None, |layer| async {
            // Before others may have to wait for this one.
            let _slot = self.images.slots.acquire().await;
            let _alone = self.engine.images.alone(origin, &layer.digest).await;
            // Another job may have brought it meanwhile.
            let there = self.engine.executor.hold_layers(self.row.id, vec![layer.digest.clone()]).await;
            if there.map_err(FetchError::Executor)?.is_empty() {
                if !progress.trusted && !self.engine.images.are_of_one() {
                    self.grant_one(origin, layer).await?;
                }
                progress.layers.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            // An executor that was restarted meanwhile has nothing of it: then from the start.
            let again = || async {
                match self.engine.fetch_layer(origin, layer, &progress.bytes).await {
                    Err(FetchError::Executor(lost @ ExecutorError::Lost(_))) => Err(lost),
                    other => Ok(other),
                }
            };
            let fetched = persist(&self.engine, again).await.map_err(FetchError::Executor)?;
            let fetched = match fetched {
                Err(FetchError::Executor(ExecutorError::OutOfSpace(why))) => {
                    // What nobody needs makes room, once.
                    if self.engine.evict_layers(KeepLayers { bytes: 0, seconds: 0 }).await == 0 {
                        return Err(FetchError::Executor(ExecutorError::OutOfSpace(why)));
                    }
                    self.engine.fetch_layer(origin, layer, &progress.bytes).await
                }
                other => other,
            };
            progress.layers.fetch_add(1, Ordering::Relaxed);
            if fetched.is_ok() {
                self.images.granted.lock().unwrap_or_else(PoisonError::into_inner).insert(layer.digest.clone());
            }
            fetched
        });
        let telling = async {
            let mut ticks =
                futures::stream::unfold((), |()| async { Some((tokio::time::sleep(TELL).await, ())) }).boxed();
            loop {
                let done = progress.layers.load(Ordering::Relaxed);
                let bytes = progress.bytes.load(Ordering::Relaxed);
                self.tell(
                    row,
                    &format!("pulling {name}: {done}/{count} layers, {} of {}", size(bytes.min(all)), size(all)),
                )
                .await;
                ticks.next().await;
            }
        };
        let fetched = tokio::select! {
            fetched = fetching => fetched,
            never = telling => never,
        };
        fetched.map_err(|error| error.of(name))
    }

    /// Says in the step's row what it waits for. Nothing depends on it.
    async fn tell(&self, row: &StepRow, text: &str) {
        let (lease, id, text) = (self.lease.id, row.id, text.to_owned());
        let told = self
            .engine
            .store
            .write("orchestrator.waiting", Durability::Progress, move |tx| steps::wait_for(tx, lease, id, &text));
        if let Err(error) = told.await {
            tracing::debug!(error = chain(&error), "a step's row does not say what it waits for");
        }
    }
}

/// A size for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// Holds the layers of images within their bounds until told to stop.
pub async fn keep_layers_in_bounds(engine: Arc<Engine>, stop: tokio_util::sync::CancellationToken) {
    /// Between two looks.
    const LOOK: Duration = Duration::from_secs(600);
    loop {
        engine.evict_layers(engine.images.keep).await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
