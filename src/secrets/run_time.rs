//! Values that a job makes while it runs: masks and captured secrets, kept encrypted until it ends.
use super::cipher::Place;
use super::{NamedSecret, SecretError, Vault};
use crate::model::{JobId, LeaseId, Secret};
use crate::store::{Durability, Store, job_secrets};

/// The place of a value of a job.
pub(super) fn place<'a>(job: &'a str, key: &'a str) -> Place<'a> {
    Place { scope: "job", scope_id: job, name: key, version: 1 }
}

/// Keeps a value under the key of its call; the first one stands. Survives `kill -9`.
pub async fn keep_value(
    store: &Store,
    vault: &Vault,
    job: JobId,
    lease: LeaseId,
    key: &str,
    value: Secret<Vec<u8>>,
) -> Result<(), SecretError> {
    let (vault, key) = (vault.clone(), key.to_owned());
    let kept = store.write("secrets.keep_value", Durability::Progress, move |tx| {
        let stored = vault.seal(tx, &place(&job.to_string(), &key), value.expose())?;
        job_secrets::put(tx, lease, job, &key, &stored)
    });
    Ok(kept.await?)
}

/// The values of a job with the keys of their calls: what a resumed job's logs must not show.
pub async fn kept_values(store: &Store, vault: &Vault, job: JobId) -> Result<Vec<NamedSecret>, SecretError> {
    let rows = store.read(move |view| job_secrets::of_job(view, job)).await?;
    let owner = job.to_string();
    let open = |row: job_secrets::JobSecretRow| {
        let value = vault.open(&place(&owner, &row.key), &row.value_encrypted);
        let value = value
            .ok_or_else(|| SecretError::Damaged { key: row.key.clone(), command: format!("danube job rerun {job}") })?;
        Ok(NamedSecret { key: row.key, value })
    };
    rows.into_iter().map(open).collect()
}
