//! The forges, one file each: which headers they sign with and what their bodies mean.
use crate::model::Secret;

use super::delivery::{Delivery, Unparsable};
use super::github;
use super::headers::Headers;
use super::signature::BadSignature;

/// A forge whose deliveries are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// GitHub, also on one's own machine.
    Github,
}

impl Forge {
    /// The forge of a webhook's address.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "github" => Some(Self::Github),
            _ => None,
        }
    }

    /// The word in a webhook's address and in `webhooks`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Github => "github",
        }
    }

    /// Checks who sent the bytes; nothing of them has been read yet.
    pub fn verify(self, headers: &Headers, body: &[u8], secrets: &[Secret<Vec<u8>>]) -> Result<(), BadSignature> {
        match self {
            Self::Github => github::verify(headers, body, secrets),
        }
    }

    /// Reads a verified delivery.
    pub fn parse_delivery(self, headers: &Headers, body: &[u8]) -> Result<Delivery, Unparsable> {
        match self {
            Self::Github => github::parse(headers, body),
        }
    }
}
