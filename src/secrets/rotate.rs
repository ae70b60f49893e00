//! A new encryption key for every value.
//!
//! The new key is durable as `encryption.key.next` before the one transaction that encrypts
//! everything anew and names it; after that the file takes its place. Killed anywhere in between,
//! the next start sees by the name in the database which of the two files is right.
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::cipher::Place;
use super::key::Key;
use super::vault::{KEY_ID, seal};
use super::{SecretError, Vault, key_file, run_time};
use crate::platform::{atomic, fault};
use crate::store::{Durability, Store, StoreError, Tx, job_secrets, secrets as table, settings};

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Values encrypted anew.
    pub values: usize,
    /// Keys of damaged values, left as they were: they must be set again.
    pub damaged: Vec<String>,
}

/// Encrypts everything anew with a new key, in one transaction; durable when it returns.
pub async fn rotate_key(store: &Store, vault: &Vault) -> Result<Rotated, SecretError> {
    settle(store, vault.keys_dir()).await?;
    let next = Arc::new(key_file::make(&key_file::next_path(vault.keys_dir()), vault.ids())?);
    let in_force = store.read(|view| settings::find(view, KEY_ID)).await?.unwrap_or_default();
    vault.add(Arc::clone(&next), &in_force);
    let old = vault.clone();
    let rotated = store.write("secrets.rotate", Durability::Acknowledged, move |tx| reencrypt(tx, &old, &next)).await?;
    settle(store, vault.keys_dir()).await?;
    Ok(rotated)
}

fn reencrypt(tx: &Tx<'_>, old: &Vault, next: &Key) -> Result<Rotated, StoreError> {
    let mut rotated = Rotated { values: 0, damaged: Vec::new() };
    for row in table::all(tx)? {
        let owner = row.scope().owner_id();
        let place = Place { scope: row.scope.as_str(), scope_id: &owner, name: &row.key, version: row.version };
        match old.open(&place, &row.value_encrypted) {
            Some(plain) => {
                table::reencrypt(tx, row.id, &seal(next, tx, &place, plain.expose()))?;
                rotated.values += 1;
            }
            None => rotated.damaged.push(row.key),
        }
    }
    for row in job_secrets::all(tx)? {
        let owner = row.job_id.to_string();
        let place = run_time::place(&owner, &row.key);
        match old.open(&place, &row.value_encrypted) {
            Some(plain) => {
                job_secrets::reencrypt(tx, row.job_id, &row.key, &seal(next, tx, &place, plain.expose()))?;
                rotated.values += 1;
            }
            None => rotated.damaged.push(format!("{} of job {}", row.key, row.job_id)),
        }
    }
    settings::set(tx, KEY_ID, &next.id.to_string())?;
    Ok(rotated)
}

/// Ends a rotation that is under way: the database says which key is in force.
pub(super) async fn settle(store: &Store, keys: &Path) -> Result<(), SecretError> {
    let (current, next) = (key_file::current_path(keys), key_file::next_path(keys));
    if !next.exists() {
        return Ok(());
    }
    let in_force = store.read(|view| settings::find(view, KEY_ID)).await?;
    let committed = key_file::read(&next).is_ok_and(|key| in_force == Some(key.id.to_string()));
    let settled = fault::around("secrets.settle", || {
        if committed {
            fs::rename(&next, &current)?
        } else {
            fs::remove_file(&next)?
        }
        atomic::sync_dir(keys)
    });
    settled.map_err(|source: io::Error| SecretError::KeyFile {
        path: next,
        why: format!("the rotation that made it cannot be ended ({source})"),
        fix: "make the directory of keys writable for the service user".to_owned(),
    })
}
