//! Ids and random bytes as values.
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use ring::rand::{SecureRandom, SystemRandom};
use uuid::Uuid;

/// Makes ids and random bytes. Everything that needs them is handed one.
pub trait Ids: Send + Sync + 'static {
    /// A new UUIDv7.
    fn uuid(&self) -> Uuid;

    /// Fills a buffer with bytes fit for keys and nonces.
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's source.
#[derive(Debug, Clone)]
pub struct SystemIds(SystemRandom);

impl Default for SystemIds {
    fn default() -> Self {
        Self::new()
    }
}

impl SystemIds {
    /// The machine's source.
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
    fn uuid(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.0.fill(bytes).expect("the kernel's random source answers on Linux once the machine is up");
    }
}

/// Counts upwards from a seed: for tests and simulations, never for keys.
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Ids for SeededIds {
    fn uuid(&self) -> Uuid {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        Uuid::from_u64_pair(0x0190_0000_0000_7000 | (n >> 48), 0x8000_0000_0000_0000 | (n & 0xFFFF_FFFF_FFFF))
    }

    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let n = self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            chunk.copy_from_slice(&n.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// 32 random bytes as URL-safe text: tokens, session ids, one-time links.
pub fn random_token(ids: &dyn Ids) -> String {
    let mut bytes = [0u8; 32];
    ids.fill(&mut bytes);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
