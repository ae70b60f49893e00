//! Deliveries of GitHub.
use serde::Deserialize;

use crate::model::Secret;

use super::delivery::{Delivery, DeliveryKind, Push, Unparsable};
use super::headers::Headers;
use super::signature::{BadSignature, verify_hex};

/// The longest address, name or reference that is believed.
const MAX_TEXT: usize = 1024;

/// Checks `X-Hub-Signature-256`; the older SHA-1 header beside it is never looked at.
pub(super) fn verify(headers: &Headers, body: &[u8], secrets: &[Secret<Vec<u8>>]) -> Result<(), BadSignature> {
    let value = headers.only("X-Hub-Signature-256").ok_or(BadSignature)?;
    verify_hex(secrets, body, value.strip_prefix("sha256=").ok_or(BadSignature)?)
}

/// Reads what happened.
pub(super) fn parse(headers: &Headers, body: &[u8]) -> Result<Delivery, Unparsable> {
    let id = headers
        .only("X-GitHub-Delivery")
        .filter(|id| is_safe(id, 100, |b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':')))
        .ok_or_else(|| Unparsable::new("it needs one X-GitHub-Delivery header of at most 100 plain characters"))?;
    let event = headers
        .only("X-GitHub-Event")
        .filter(|name| is_safe(name, 64, |b| b.is_ascii_lowercase() || b == b'_'))
        .ok_or_else(|| Unparsable::new("it needs one X-GitHub-Event header that names the event"))?;
    let kind = match event {
        "push" => DeliveryKind::Push(push(body)?),
        "ping" => DeliveryKind::Ping,
        other => DeliveryKind::Other { name: other.to_owned() },
    };
    Ok(Delivery { id: id.to_owned(), kind })
}

fn is_safe(text: &str, most: usize, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= most && text.bytes().all(allowed)
}

#[derive(Deserialize)]
struct RawPush {
    #[serde(rename = "ref")]
    reference: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    #[serde(default)]
    created: bool,
    repository: RawRepository,
}

#[derive(Deserialize)]
struct RawRepository {
    full_name: String,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    html_url: Option<String>,
}

fn push(body: &[u8]) -> Result<Push, Unparsable> {
    if body.starts_with(b"payload=") {
        return Err(Unparsable::new("the webhook sends a form: set its content type to application/json"));
    }
    if body.iter().find(|b| !b.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Unparsable::new("the push event is not a JSON object"));
    }
    let raw: RawPush = serde_json::from_slice(body).map_err(|e| Unparsable::new(format!("the push event: {e}")))?;
    let addresses: Vec<String> =
        [raw.repository.clone_url, raw.repository.ssh_url, raw.repository.html_url].into_iter().flatten().collect();
    if addresses.is_empty() {
        return Err(Unparsable::new("the push event names no address of its repository"));
    }
    let texts = addresses.iter().chain([&raw.repository.full_name, &raw.reference]);
    if texts.into_iter().any(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control)) {
        return Err(Unparsable::new(format!(
            "the push event has an address, name or ref above {MAX_TEXT} bytes or with control characters"
        )));
    }
    if !raw.reference.starts_with("refs/") {
        return Err(Unparsable::new("the push event's ref does not start with refs/"));
    }
    let before = commit("before", &raw.before)?;
    let after = commit("after", &raw.after)?;
    Ok(Push {
        addresses,
        repository: raw.repository.full_name,
        reference: raw.reference,
        before: before.filter(|_| !raw.created),
        after: after.filter(|_| !raw.deleted),
    })
}

/// A full commit id; forty zeros stand for "none".
fn commit(field: &str, text: &str) -> Result<Option<String>, Unparsable> {
    if text.len() != 40 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Unparsable::new(format!("the push event's '{field}' is not a commit id of 40 hex digits")));
    }
    Ok(text.bytes().any(|b| b != b'0').then(|| text.to_owned()))
}

#[cfg(test)]
mod tests;
