//! Which secret a job gets: granted by its pipeline's document, the nearest scope first.
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use globset::GlobBuilder;

use super::cipher::Place;
use super::{NamedSecret, SecretError, SecretSource, Vault};
use crate::model::settings::Pipeline;
use crate::model::{JobId, PipelineId, Principal, Secret};
use crate::store::audit_log::{self, Decision, Entry};
use crate::store::secrets::{self as table, Scope, SecretRow};
use crate::store::{Durability, JobRow, Store, StoreError, View, jobs, teams};

/// The stored secrets of one job on a server. Every `get` is in the audit log.
#[derive(Clone)]
pub struct JobSecrets {
    store: Store,
    vault: Vault,
    reader: Arc<Reader>,
}

/// What decides which secrets a job may read.
struct Reader {
    job: JobId,
    pipeline_id: PipelineId,
    pipeline: Pipeline,
    branch: String,
    fork: bool,
}

impl JobSecrets {
    /// The secrets of a job, by the pipeline recorded with it.
    pub fn new(store: &Store, vault: &Vault, job: &JobRow) -> Result<Self, SecretError> {
        let reader = Reader {
            job: job.id,
            pipeline_id: job.pipeline_id,
            pipeline: job.pipeline()?,
            branch: job.branch.clone(),
            fork: job.fork,
        };
        Ok(Self { store: store.clone(), vault: vault.clone(), reader: Arc::new(reader) })
    }

    async fn fetch(&self, key: &str) -> Result<Secret<Vec<u8>>, SecretError> {
        let found = if self.reader.grants(key)? { self.find(key).await? } else { None };
        self.audit(key, found.as_ref()).await?;
        let row = found.ok_or_else(|| self.reader.not_available(key))?;
        self.reader.open(&self.vault, &row)
    }

    async fn find(&self, key: &str) -> Result<Option<SecretRow>, SecretError> {
        let (reader, key) = (Arc::clone(&self.reader), key.to_owned());
        Ok(self.store.read(move |view| reader.nearest(view, &key)).await?)
    }

    /// Before the value is handed out: no read goes unrecorded.
    async fn audit(&self, key: &str, found: Option<&SecretRow>) -> Result<(), SecretError> {
        let entry = Entry {
            principal: Principal::Job { id: self.reader.job },
            action: "secret.read".to_owned(),
            resource: format!("secret {}", key.chars().take(128).collect::<String>().escape_default()),
            decision: if found.is_some() { Decision::Allowed } else { Decision::Denied },
            detail: found
                .map(|row| format!("{} scope, version {}", row.scope.as_str(), row.version))
                .unwrap_or_default(),
            pipeline: Some(self.reader.pipeline_id),
        };
        Ok(self.store.write("secrets.audit", Durability::Progress, move |tx| audit_log::append(tx, &entry)).await?)
    }

    async fn all(&self) -> Result<Vec<NamedSecret>, SecretError> {
        let mut keys = Vec::new();
        for grant in &self.reader.pipeline.secrets {
            if self.reader.grants(&grant.key)? && !keys.contains(&grant.key) {
                keys.push(grant.key.clone());
            }
        }
        let reader = Arc::clone(&self.reader);
        let rows = self
            .store
            .read(move |view| keys.iter().map(|key| reader.nearest(view, key)).collect::<Result<Vec<_>, _>>())
            .await?;
        // A damaged value can't be shown by anybody; who asks for it gets the error.
        let values = rows.into_iter().flatten().filter_map(|row| {
            let value = self.reader.open(&self.vault, &row).ok()?;
            Some(NamedSecret { key: row.key, value })
        });
        Ok(values.collect())
    }
}

impl SecretSource for JobSecrets {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Secret<Vec<u8>>, SecretError>> {
        self.fetch(key).boxed()
    }

    fn granted(&self) -> BoxFuture<'_, Result<Vec<NamedSecret>, SecretError>> {
        self.all().boxed()
    }

    fn may_reveal(&self, key: &str) -> bool {
        self.reader.pipeline.secrets.iter().any(|grant| {
            grant.key == key && grant.reveal && matches!(self.reader.covers(key, &grant.branches), Ok(true))
        })
    }
}

impl Reader {
    fn grants(&self, key: &str) -> Result<bool, SecretError> {
        for grant in self.pipeline.secrets.iter().filter(|grant| grant.key == key) {
            if self.covers(key, &grant.branches)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a grant on these branches holds for the job. `*` stays within a part of the name, `**` does not.
    fn covers(&self, key: &str, branches: &[String]) -> Result<bool, SecretError> {
        if self.fork {
            return Ok(false);
        }
        for pattern in branches {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            let glob = glob.map_err(|source| SecretError::BadPattern {
                pipeline: self.pipeline.name.clone(),
                key: key.to_owned(),
                pattern: pattern.clone(),
                why: source.kind().to_string(),
            })?;
            if glob.compile_matcher().is_match(&self.branch) {
                return Ok(true);
            }
        }
        Ok(branches.is_empty())
    }

    /// Pipeline before team before global; nothing for a job that does not run.
    fn nearest(&self, view: &View<'_>, key: &str) -> Result<Option<SecretRow>, StoreError> {
        if jobs::get(view, self.job)?.lease_id.is_none() {
            return Ok(None);
        }
        if let Some(row) = table::find(view, Scope::Pipeline(self.pipeline_id), key)? {
            return Ok(Some(row));
        }
        if let Some(team) = teams::find_by_name(view, &self.pipeline.team)?
            && let Some(row) = table::find(view, Scope::Team(team.id), key)?
        {
            return Ok(Some(row));
        }
        table::find(view, Scope::Global, key)
    }

    fn open(&self, vault: &Vault, row: &SecretRow) -> Result<Secret<Vec<u8>>, SecretError> {
        let flag = match row.scope() {
            Scope::Global => "--global".to_owned(),
            Scope::Team(_) => format!("--team {}", self.pipeline.team),
            Scope::Pipeline(_) => format!("--pipeline {}", self.pipeline.name),
        };
        open(vault, row).ok_or_else(|| damaged(&row.key, &flag))
    }

    /// One text for "does not exist" and "not granted": a guess of names learns nothing.
    fn not_available(&self, key: &str) -> SecretError {
        SecretError::NotAvailable {
            pipeline: self.pipeline.name.clone(),
            key: key.chars().take(128).collect::<String>().escape_default().to_string(),
        }
    }
}

/// A secret that the configuration names for Danube itself (webhooks, git credentials): of global scope.
pub async fn of_danube(store: &Store, vault: &Vault, key: &str) -> Result<Secret<Vec<u8>>, SecretError> {
    let (vault, key) = (vault.clone(), key.to_owned());
    store.read(move |view| Ok(of_danube_in(view, &vault, &key))).await?
}

/// The same within a view.
pub fn of_danube_in(view: &View<'_>, vault: &Vault, key: &str) -> Result<Secret<Vec<u8>>, SecretError> {
    let row = table::find(view, Scope::Global, key)?;
    let row = row.ok_or_else(|| SecretError::NotStored { key: key.to_owned() })?;
    open(vault, &row).ok_or_else(|| damaged(key, "--global"))
}

fn open(vault: &Vault, row: &SecretRow) -> Option<Secret<Vec<u8>>> {
    let owner = row.scope().owner_id();
    let place = Place { scope: row.scope.as_str(), scope_id: &owner, name: &row.key, version: row.version };
    vault.open(&place, &row.value_encrypted)
}

fn damaged(key: &str, flag: &str) -> SecretError {
    SecretError::Damaged { key: key.to_owned(), command: format!("danube secret set {key} {flag}") }
}
