use std::fmt;

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
};
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use zeroize::Zeroizing;

use super::BadPem;
use crate::artifacts::Digest;

/// The Ed25519 key that signs statements. It is wiped from memory when dropped and never printed.
pub struct SigningKey {
    key: ed25519_dalek::SigningKey,
    public: PublicKey,
}

impl SigningKey {
    /// Makes the key that belongs to 32 bytes of randomness.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self::new(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Reads PEM in PKCS#8.
    pub fn from_pem(pem: &str) -> Result<Self, BadPem> {
        if pem.contains("BEGIN PUBLIC KEY") {
            return Err(BadPem::PublicKey);
        }
        let pair = KeypairBytes::from_pkcs8_pem(pem.trim()).map_err(|e| BadPem::Invalid(e.to_string()))?;
        let key = ed25519_dalek::SigningKey::try_from(pair).map_err(|e| BadPem::Invalid(e.to_string()))?;
        Ok(Self::new(key))
    }

    /// Writes PEM in PKCS#8.
    pub fn to_pem(&self) -> Zeroizing<String> {
        // Without the public half this is PKCS#8 version 1: OpenSSL 3.0 cannot read version 2.
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).expect("a key of fixed size always has a PEM form")
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }

    fn new(key: ed25519_dalek::SigningKey) -> Self {
        let public = PublicKey::new(key.verifying_key());
        Self { key, public }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.keyid)
    }
}

/// The public half, with which anybody verifies.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    keyid: String,
}

impl PublicKey {
    /// Reads PEM in SPKI.
    pub fn from_pem(pem: &str) -> Result<Self, BadPem> {
        if pem.contains("PRIVATE KEY") {
            return Err(BadPem::PrivateKey);
        }
        let key = VerifyingKey::from_public_key_pem(pem.trim()).map_err(|e| BadPem::Invalid(e.to_string()))?;
        if key.is_weak() {
            return Err(BadPem::Weak);
        }
        Ok(Self::new(key))
    }

    /// Writes PEM in SPKI.
    pub fn to_pem(&self) -> String {
        self.key.to_public_key_pem(LineEnding::LF).expect("a key of fixed size always has a PEM form")
    }

    /// The key's id: hexadecimal SHA-256 of its SPKI in DER.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    fn new(key: VerifyingKey) -> Self {
        let spki = key.to_public_key_der().expect("a key of fixed size always has a DER form");
        Self { key, keyid: Digest::of(spki.as_bytes()).to_string() }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.keyid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_form() {
        let key = SigningKey::from_seed(&[7; 32]);
        let again = SigningKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(again.public(), key.public());
        assert_eq!(&PublicKey::from_pem(&key.public().to_pem()).unwrap(), key.public());
        assert!(key.public().verifies(b"m", &again.sign(b"m")));
        assert!(!key.public().verifies(b"n", &again.sign(b"m")));
    }

    #[test]
    fn the_pem_form_is_the_one_that_openssl_writes() {
        // `openssl pkey -in` of the key whose secret bytes are all zero.
        let expected = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(SigningKey::from_seed(&[0; 32]).to_pem().as_str(), expected);
    }

    #[test]
    fn the_two_halves_are_not_taken_for_each_other() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(matches!(PublicKey::from_pem(&key.to_pem()), Err(BadPem::PrivateKey)));
        assert!(matches!(SigningKey::from_pem(&key.public().to_pem()), Err(BadPem::PublicKey)));
    }

    #[test]
    fn a_key_for_which_anybody_can_sign_is_refused() {
        let identity = VerifyingKey::from_bytes(&{
            let mut bytes = [0; 32];
            bytes[0] = 1;
            bytes
        });
        let pem = identity.unwrap().to_public_key_pem(LineEnding::LF).unwrap();
        assert!(matches!(PublicKey::from_pem(&pem), Err(BadPem::Weak)));
    }

    #[test]
    fn printing_the_signing_key_shows_its_id_only() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert_eq!(format!("{key:?}"), format!("SigningKey({})", key.public().keyid()));
    }
}
