//! Caches around a step: filled before it begins, stored after it succeeded.
//!
//! Whose content a job sees, and whether it may write, is decided here from its row and the pipeline as the config
//! repo had it: never from what the danubefile or a step says.
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use globset::GlobBuilder;
use sha2::{Digest as _, Sha256};

use super::call::{Cache, StepRequest};
use super::error::chain;
use super::outcome::bytes;
use super::watching::persist;
use super::{CallError, LiveJob};
use crate::executor::{
    CacheFill, CacheFilled, CacheMount, CachePlace, CacheRoot, CacheTake, CacheTaken, ExecutorError, StepAt,
};
use crate::model::cache::{CachePath, Scope, WriteRule};
use crate::model::settings::Pipeline;
use crate::store::cache_uses::{self, Finding, Found, Saved, Saving};
use crate::store::caches::{self, CacheName, NewContent};
use crate::store::{CacheRow, Durability, JobRow, StepRow};

/// Files, directories and links of one cache.
const FILES: u64 = 500_000;
/// A note of this much is as long as anybody reads.
const NOTE: usize = 300;

/// What a step is started with.
#[derive(Default)]
pub(super) struct Filled {
    pub(super) mounts: Vec<CacheMount>,
    /// For the head of its log.
    pub(super) notes: Vec<String>,
}

/// A cache in this job.
struct Named {
    place: CachePlace,
    targets: Vec<CachePath>,
    own: CacheName,
    /// What is looked for, in order.
    read: Vec<CacheName>,
}

impl LiveJob {
    /// Whose content this job's caches are.
    pub(super) fn scope(&self) -> Scope {
        scope_of(&self.row, &self.pipeline)
    }

    /// Fills the caches that a step names; said again for the same attempt, the answers are the same.
    pub(super) async fn fill_caches(
        &self,
        at: StepAt,
        row: &StepRow,
        request: &StepRequest,
        home: &str,
    ) -> Result<Filled, ExecutorError> {
        let filled = try_join_all(request.caches.iter().map(|cache| self.fill(at, row, request, cache, home))).await?;
        Ok(filled.into_iter().fold(Filled::default(), |mut all, (mounts, note)| {
            all.mounts.extend(mounts);
            all.notes.push(note);
            all
        }))
    }

    async fn fill(
        &self,
        at: StepAt,
        row: &StepRow,
        request: &StepRequest,
        cache: &Cache,
        home: &str,
    ) -> Result<(Vec<CacheMount>, String), ExecutorError> {
        let named = self.named(cache, home).map_err(ExecutorError::User)?;
        let read = named.read.clone();
        let stored = self.engine.store.read(move |view| {
            for name in &read {
                if let Some(row) = caches::find(view, name)? {
                    return Ok(Some(row));
                }
            }
            Ok(None)
        });
        let stored = stored.await.map_err(|error| ExecutorError::Start(chain(&error)))?;
        let began = Instant::now();
        let fill = CacheFill {
            place: named.place.clone(),
            digest: stored.as_ref().map(|row| row.digest.clone()),
            at,
            user: request.user.clone(),
        };
        let filled = persist(&self.engine, || self.engine.executor.cache_restore(at.job, fill.clone())).await?;
        let finding = found(cache, stored.as_ref(), &filled, began.elapsed());
        self.note_finding(row, stored, &filled, finding.clone()).await;
        Ok((named.mounts(), said_found(&finding)))
    }

    /// What is lost by a failure here is a line on a page.
    async fn note_finding(&self, row: &StepRow, stored: Option<CacheRow>, filled: &CacheFilled, finding: Finding) {
        let step = row.id;
        let lost = matches!(filled, CacheFilled::Missing | CacheFilled::Damaged);
        let noted = self.engine.store.write("orchestrator.cache_found", Durability::Progress, move |tx| {
            match stored {
                Some(row) if lost => caches::forget_digest(tx, &row.digest)?,
                Some(row) if finding.found == Found::Hit => caches::touch(tx, row.id)?,
                _ => {}
            }
            cache_uses::note_found(tx, step, &finding)
        });
        if let Err(error) = noted.await {
            tracing::warn!(error = chain(&error), "what a step found in a cache could not be noted");
        }
    }

    /// Stores the caches of a step that succeeded. Nothing that goes wrong with them fails the step.
    pub(super) async fn store_caches(&self, row: &StepRow, request: &StepRequest, home: &str) {
        for cache in &request.caches {
            let began = Instant::now();
            let saving = match self.store_cache(cache, home).await {
                Ok(saving) => saving,
                Err(error) => Saving { note: format!("it could not be stored: {error}"), ..not_saved(cache) },
            };
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let note = self.masks.redact(&saving.note).chars().take(NOTE).collect();
            let (step, saving) = (row.id, Saving { millis, note, ..saving });
            let noted = self.engine.store.write("orchestrator.cache_saved", Durability::Progress, move |tx| {
                cache_uses::note_saved(tx, step, &saving)
            });
            if let Err(error) = noted.await {
                tracing::warn!(error = chain(&error), "what became of a cache could not be noted");
            }
        }
    }

    async fn store_cache(&self, cache: &Cache, home: &str) -> Result<Saving, String> {
        let named = self.named(cache, home)?;
        let scope = &named.own.scope;
        match cache.write {
            WriteRule::Never => {
                return Ok(Saving { note: "its rule is write=\"never\"".to_owned(), ..not_saved(cache) });
            }
            WriteRule::Protected if *scope != Scope::Protected => {
                let note = format!("only jobs of protected branches store it, and this one is of {scope}");
                return Ok(Saving { note, ..not_saved(cache) });
            }
            WriteRule::Protected | WriteRule::Always => {}
        }
        if !cache.key.is_empty() {
            let own = named.own.clone();
            let known = self.engine.store.read(move |view| caches::find(view, &own)).await;
            if known.map_err(|error| chain(&error))?.is_some() {
                return Ok(Saving {
                    note: "this key is stored".to_owned(),
                    saved: Saved::Unchanged,
                    ..not_saved(cache)
                });
            }
        }
        let take = CacheTake {
            place: named.place,
            most_bytes: self.engine.bounds.caches.pipeline_bytes.min(self.engine.bounds.caches.bytes),
            most_files: FILES,
        };
        // What is stored is swept until a row names it.
        let _kept = self.engine.cache_gate.store().await;
        let job = self.row.id;
        let taken = persist(&self.engine, || self.engine.executor.cache_save(job, take.clone())).await;
        match taken.map_err(|error| error.to_string())? {
            CacheTaken::Unchanged => Ok(Saving { saved: Saved::Unchanged, ..not_saved(cache) }),
            CacheTaken::Refused { reason } => Ok(Saving { note: reason, ..not_saved(cache) }),
            CacheTaken::Stored { digest, bytes, remark } => {
                let content = NewContent { digest, bytes };
                let (lease, label, own) = (self.lease.id, self.row.label(), named.own);
                let stored = self.engine.store.write("orchestrator.cache_stored", Durability::Progress, move |tx| {
                    let known = caches::find(tx, &own)?.is_some_and(|row| row.digest == content.digest);
                    Ok((known, known || caches::store(tx, lease, (job, &label), &own, &content)?))
                });
                let note = remark.unwrap_or_default();
                match stored.await.map_err(|error| chain(&error))? {
                    (true, _) => Ok(Saving { saved: Saved::Unchanged, note, bytes, ..not_saved(cache) }),
                    (false, true) => Ok(Saving { saved: Saved::Stored, note, bytes, ..not_saved(cache) }),
                    (false, false) => {
                        Ok(Saving { note: "another job has stored this key meanwhile".to_owned(), ..not_saved(cache) })
                    }
                }
            }
        }
    }

    fn named(&self, cache: &Cache, home: &str) -> Result<Named, String> {
        let targets: Vec<CachePath> =
            cache.paths.iter().map(|path| CachePath::parse(path, home)).collect::<Result<_, _>>()?;
        let paths = serde_json::to_string(&cache.paths).map_err(|error| error.to_string())?;
        let name = |scope: Scope| CacheName {
            pipeline: self.row.pipeline_id,
            scope,
            name: cache.name.clone(),
            key: cache.key.clone(),
            paths: paths.clone(),
        };
        let own = name(self.scope());
        let mut read = vec![own.clone()];
        if own.scope != Scope::Protected {
            read.push(name(Scope::Protected));
        }
        Ok(Named { place: place(cache, &targets), targets, own, read })
    }
}

impl Named {
    fn mounts(&self) -> Vec<CacheMount> {
        let numbered = (0..).zip(&self.targets);
        numbered
            .filter_map(|(number, target)| match target {
                CachePath::Absolute(to) => Some(CacheMount { id: self.place.id.clone(), number, to: to.clone() }),
                CachePath::Workspace(_) => None,
            })
            .collect()
    }
}

/// One place in a job for one name, key and list of paths: its steps share it.
fn place(cache: &Cache, targets: &[CachePath]) -> CachePlace {
    let text = serde_json::json!([cache.name, cache.key, targets.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>()]);
    let mut id = hex::encode(Sha256::digest(text.to_string().as_bytes()));
    id.truncate(32);
    let root = |target: &CachePath| match target {
        CachePath::Workspace(path) => CacheRoot::Workspace(path.clone()),
        CachePath::Absolute(_) => CacheRoot::Own,
    };
    CachePlace { id, paths: targets.iter().map(root).collect() }
}

/// Whose content a job's caches are. What anybody can start from outside is never the protected branches'.
fn scope_of(job: &JobRow, pipeline: &Pipeline) -> Scope {
    if let Some(number) = job.pull_request {
        return Scope::PullRequest(number);
    }
    if let Some(tag) = &job.tag {
        return Scope::Tag(tag.clone());
    }
    let glob = |pattern: &String| GlobBuilder::new(pattern).literal_separator(true).build();
    let covers = |pattern: &String| glob(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(&job.branch));
    if !job.fork && pipeline.protected_branches.iter().any(covers) {
        return Scope::Protected;
    }
    Scope::Branch(job.branch.clone())
}

fn found(cache: &Cache, stored: Option<&CacheRow>, filled: &CacheFilled, took: Duration) -> Finding {
    let from = stored.map_or_else(String::new, |row| {
        let scope = row.of().map_or_else(|| row.scope.clone(), |scope| scope.to_string());
        format!("{}, {scope}", row.job_label)
    });
    let (found, bytes, note) = match filled {
        CacheFilled::Here => (Found::Here, 0, "an earlier step of this job had it".to_owned()),
        CacheFilled::Restored { bytes } => (Found::Hit, *bytes, from),
        CacheFilled::Empty => (Found::Miss, 0, String::new()),
        CacheFilled::Missing => (Found::Miss, 0, "its content is not on this machine any more".to_owned()),
        CacheFilled::Damaged => {
            (Found::Miss, 0, "its content was damaged on disk and is removed (the digest is another)".to_owned())
        }
        CacheFilled::Refused { reason } => (Found::Miss, 0, format!("it could not be restored: {reason}")),
    };
    Finding {
        name: cache.name.clone(),
        key: cache.key.clone(),
        found,
        note: note.chars().take(NOTE).collect(),
        bytes,
        millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The line at the head of the step's log.
fn said_found(finding: &Finding) -> String {
    let key = if finding.key.is_empty() { String::new() } else { format!(", key {}", finding.key) };
    let name = &finding.name;
    match finding.found {
        Found::Hit => format!(
            "danube: cache {name}: restored {} of {}{key} in {:.1} s",
            bytes(finding.bytes),
            finding.note,
            Duration::from_millis(finding.millis).as_secs_f64()
        ),
        Found::Here => format!("danube: cache {name}: as an earlier step of this job left it{key}"),
        Found::Miss if finding.note.is_empty() => format!("danube: cache {name}: nothing is stored{key}"),
        Found::Miss => format!("danube: cache {name}: {}{key}", finding.note),
    }
}

fn not_saved(cache: &Cache) -> Saving {
    Saving { name: cache.name.clone(), saved: Saved::No, note: String::new(), bytes: 0, millis: 0 }
}

/// The home of a step, where `~` leads.
pub(super) fn home_of(request: &StepRequest) -> &str {
    match request.env.get("HOME") {
        Some(super::call::Value::Text(home)) if home.starts_with('/') => home,
        _ => "/root",
    }
}

/// Refuses caches that no honest danubefile names.
pub(super) fn check(request: &StepRequest) -> Result<(), CallError> {
    let home = home_of(request);
    let wrong = |text: String| Err(CallError::Invalid(text));
    if request.caches.len() > 16 {
        return wrong(format!("caches= names {} caches, the limit is 16", request.caches.len()));
    }
    let mut targets = std::collections::BTreeSet::new();
    for (number, cache) in request.caches.iter().enumerate() {
        let name = &cache.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty()
            || name.len() > 100
            || !name.chars().all(plain)
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return wrong("the name of a cache must be letters, digits, '.', '_' and '-', at most 100".to_owned());
        }
        if request.caches[..number].iter().any(|other| other.name == *name) {
            return wrong(format!("caches= names the cache '{name}' twice"));
        }
        if cache.key.chars().count() > 256 || cache.key.chars().any(char::is_control) {
            return wrong(format!("the key of cache '{name}' is longer than 256 characters or has control characters"));
        }
        if cache.paths.is_empty() || cache.paths.len() > 16 {
            return wrong(format!("the cache '{name}' has {} paths: write 1 to 16", cache.paths.len()));
        }
        for path in &cache.paths {
            let target = CachePath::parse(path, home).map_err(CallError::Invalid)?;
            if !targets.insert(format!("{target:?}")) {
                return wrong(format!("the path '{path}' is in two caches of one step, or twice in one"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
