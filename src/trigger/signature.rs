//! The signature of a delivery: HMAC-SHA256 of the raw body, in hex.
use ring::hmac;

use crate::model::Secret;

/// A delivery is not signed by any secret of its address. Which part was wrong is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the delivery's signature is missing or wrong: compare the secret of the webhook with the one in Danube")]
pub struct BadSignature;

/// Checks a hex digest against each secret (the present one and, during a rotation, the one before).
/// Exactly 64 lower-case digits are a digest; an empty secret signs nothing.
pub(super) fn verify_hex(secrets: &[Secret<Vec<u8>>], body: &[u8], digest: &str) -> Result<(), BadSignature> {
    let canonical = digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !canonical {
        return Err(BadSignature);
    }
    let tag = hex::decode(digest).map_err(|_| BadSignature)?;
    let signed = secrets.iter().filter(|s| !s.expose().is_empty()).any(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        hmac::verify(&key, body, &tag).is_ok()
    });
    if signed { Ok(()) } else { Err(BadSignature) }
}
