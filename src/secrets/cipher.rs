//! The stored form of a value: version byte | key id | nonce | ciphertext with tag.
use ring::aead::NONCE_LEN;
use zeroize::Zeroizing;

use super::key::{ID_BYTES, Key, KeyId};
use crate::model::Secret;

const FORM: u8 = 1;
const HEAD: usize = 1 + ID_BYTES + NONCE_LEN;

/// Where a value belongs: it decrypts nowhere else.
pub(super) struct Place<'a> {
    pub(super) scope: &'a str,
    pub(super) scope_id: &'a str,
    pub(super) name: &'a str,
    pub(super) version: u32,
}

impl Place<'_> {
    /// The associated data: every field behind its length, so that no two places look alike.
    fn aad(&self) -> Vec<u8> {
        let mut aad = vec![FORM];
        for field in [self.scope, self.scope_id, self.name] {
            aad.extend((field.len() as u64).to_be_bytes());
            aad.extend(field.as_bytes());
        }
        aad.extend(self.version.to_be_bytes());
        aad
    }
}

/// Encrypts a value for a place. The nonce must be random and new.
pub(super) fn seal(key: &Key, nonce: [u8; NONCE_LEN], place: &Place<'_>, plain: &[u8]) -> Vec<u8> {
    // Encrypted in a buffer with room for the tag: growing it would leave plain bytes behind.
    let mut buffer = Vec::with_capacity(plain.len() + 16);
    buffer.extend_from_slice(plain);
    key.seal(nonce, &place.aad(), &mut buffer);
    let mut stored = Vec::with_capacity(HEAD + buffer.len());
    stored.push(FORM);
    stored.extend_from_slice(&key.id.0);
    stored.extend_from_slice(&nonce);
    stored.extend_from_slice(&buffer);
    stored
}

/// Decrypts a stored value; none: another key, another place, or damaged.
pub(super) fn open(key: &Key, place: &Place<'_>, stored: &[u8]) -> Option<Secret<Vec<u8>>> {
    if stored.first() != Some(&FORM) || key_id(stored) != Some(key.id) {
        return None;
    }
    let nonce = stored.get(1 + ID_BYTES..HEAD)?.try_into().ok()?;
    let mut buffer = Zeroizing::new(stored.get(HEAD..)?.to_vec());
    key.open(nonce, &place.aad(), &mut buffer).map(|plain| Secret::new(plain.to_vec()))
}

/// The key that a stored value was encrypted with.
pub(super) fn key_id(stored: &[u8]) -> Option<KeyId> {
    stored.get(1..1 + ID_BYTES)?.try_into().ok().map(KeyId)
}
