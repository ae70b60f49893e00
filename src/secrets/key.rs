//! One encryption key in memory.
use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// Bytes that tell keys apart.
pub(super) const ID_BYTES: usize = 8;

/// The name of a key: no secret, stored with every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId(pub(super) [u8; ID_BYTES]);

impl KeyId {
    /// Reads what `Display` wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        hex::decode(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// An AES-256-GCM key.
pub(super) struct Key {
    pub(super) id: KeyId,
    key: LessSafeKey,
}

impl Key {
    /// Takes over 32 raw bytes.
    pub(super) fn new(bytes: &Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, bytes.as_ref()).expect("AES-256 takes every 32 bytes");
        let mut hash = Sha256::new();
        hash.update(b"danube encryption key id");
        hash.update(bytes.as_ref());
        let digest = hash.finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self { id: KeyId(id), key: LessSafeKey::new(key) }
    }

    /// Encrypts in place and appends the tag.
    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &mut Vec<u8>) {
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), buffer)
            .expect("values are far below the cipher's limit of 64 GB");
    }

    /// Decrypts in place; none: not this key, not this place, or damaged.
    pub(super) fn open<'a>(&self, nonce: [u8; NONCE_LEN], aad: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_in_place(nonce, Aad::from(aad), buffer).ok().map(|plain| &*plain)
    }
}
