//! The key in memory, and the setting, listing and deleting of secrets.
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use ring::aead::NONCE_LEN;

use super::cipher::{self, Place};
use super::key::{Key, KeyId};
use super::{SecretError, key_file};
use crate::model::Secret;
use crate::platform::Ids;
use crate::store::secrets::{self as table, Scope, SecretName};
use crate::store::{Durability, Store, StoreError, Tx, settings};

/// The shortest value: shorter ones could not be redacted without hiding half of every log.
pub const MIN_VALUE: usize = 6;

/// The longest value.
pub const MAX_VALUE: usize = 64 * 1024;

/// The setting that says with which key the values are encrypted.
pub(super) const KEY_ID: &str = "encryption_key_id";

/// Holds the encryption key, and during a rotation the one before or after it. Clones share it.
#[derive(Clone)]
pub struct Vault {
    keys_dir: PathBuf,
    ids: Arc<dyn Ids>,
    // A std lock: held to look a key up, never across a wait.
    ring: Arc<RwLock<Vec<Arc<Key>>>>,
}

impl Vault {
    fn key(&self, id: KeyId) -> Option<Arc<Key>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).iter().find(|key| key.id == id).cloned()
    }

    /// Adds the key that a rotation goes over to, beside the one in force; earlier ones are forgotten.
    pub(super) fn add(&self, next: Arc<Key>, in_force: &str) {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.retain(|key| key.id.to_string() == in_force);
        ring.push(next);
    }

    pub(super) fn keys_dir(&self) -> &Path {
        &self.keys_dir
    }

    pub(super) fn ids(&self) -> &dyn Ids {
        self.ids.as_ref()
    }

    /// Encrypts a value under the key that the database names in this very transaction: a write
    /// beside a rotation is sealed with the key that is in force once both are committed.
    pub(super) fn seal(&self, tx: &Tx<'_>, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let what = "find the encryption key that is in force";
        let id = settings::find(tx, KEY_ID)?.ok_or_else(|| StoreError::not_found(what))?;
        let key = KeyId::parse(&id).and_then(|id| self.key(id));
        let key = key.ok_or_else(|| StoreError::corrupt(what, format!("the key {id} is not loaded")))?;
        Ok(seal(&key, tx, place, plain))
    }

    /// Decrypts a stored value; none: damaged, moved, or of an unknown key.
    pub(super) fn open(&self, place: &Place<'_>, stored: &[u8]) -> Option<Secret<Vec<u8>>> {
        cipher::open(&*self.key(cipher::key_id(stored)?)?, place, stored)
    }
}

/// Encrypts a value under a new random nonce.
pub(super) fn seal(key: &Key, tx: &Tx<'_>, place: &Place<'_>, plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    tx.fill(&mut nonce);
    cipher::seal(key, nonce, place, plain)
}

/// Opens `<data>/keys`: makes the key at the first start, and ends a rotation that was interrupted.
///
/// A database with secrets and no key file is refused: a new key could open none of them.
pub async fn open(store: &Store, keys: &Path, ids: Arc<dyn Ids>) -> Result<Vault, SecretError> {
    super::rotate::settle(store, keys).await?;
    let path = key_file::current_path(keys);
    let known = store.read(|view| settings::find(view, KEY_ID)).await?;
    let key =
        if path.exists() || known.is_some() { key_file::read(&path)? } else { key_file::make(&path, ids.as_ref())? };
    let id = key.id.to_string();
    match known {
        Some(known) if known != id => {
            return Err(SecretError::KeyFile {
                path,
                why: format!("the stored secrets are encrypted with the key {known}, and this is {id}"),
                fix: "put the right key file back, from the backup that belongs to this database".to_owned(),
            });
        }
        Some(_) => {}
        None => {
            store.write("secrets.key_id", Durability::Acknowledged, move |tx| settings::set(tx, KEY_ID, &id)).await?
        }
    }
    Ok(Vault { keys_dir: keys.to_owned(), ids, ring: Arc::new(RwLock::new(vec![Arc::new(key)])) })
}

/// Whether a secret may have this name and value.
pub fn check_value(key: &str, value: &[u8]) -> Result<(), SecretError> {
    let first_fits = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first_fits || key.len() > 128 || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(SecretError::BadKey {
            key: key.chars().take(128).collect::<String>().escape_default().to_string(),
        });
    }
    let refuse = |why: String| Err(SecretError::BadValue { key: key.to_owned(), why });
    match value.len() {
        n if n < MIN_VALUE => {
            let bytes = if n == 1 { "byte" } else { "bytes" };
            refuse(format!("it has {n} {bytes}, and values shorter than {MIN_VALUE} cannot be kept out of logs"))
        }
        n if n > MAX_VALUE => refuse(format!("it has {n} bytes, more than {MAX_VALUE}")),
        _ => Ok(()),
    }
}

/// Sets a secret; durable when it returns. Setting it again makes a new version.
pub async fn set(
    store: &Store,
    vault: &Vault,
    scope: Scope,
    key: &str,
    value: Secret<Vec<u8>>,
    by: &str,
) -> Result<(), SecretError> {
    check_value(key, value.expose())?;
    let (vault, key, by) = (vault.clone(), key.to_owned(), by.to_owned());
    store
        .write("secrets.set", Durability::Acknowledged, move |tx| {
            let version = table::find(tx, scope, &key)?.map_or(1, |known| known.version.saturating_add(1));
            let owner = scope.owner_id();
            let place = Place { scope: scope.kind().as_str(), scope_id: &owner, name: &key, version };
            let stored = vault.seal(tx, &place, value.expose())?;
            table::put(tx, scope, &key, version, &stored, &by)
        })
        .await?;
    Ok(())
}

/// Deletes a secret; durable when it returns. False: there was none.
pub async fn delete(store: &Store, scope: Scope, key: &str) -> Result<bool, SecretError> {
    let key = key.to_owned();
    Ok(store.write("secrets.delete", Durability::Acknowledged, move |tx| table::delete(tx, scope, &key)).await?)
}

/// The names of a scope's secrets, never the values.
pub async fn list(store: &Store, scope: Scope) -> Result<Vec<SecretName>, SecretError> {
    Ok(store.read(move |view| table::names(view, scope)).await?)
}
