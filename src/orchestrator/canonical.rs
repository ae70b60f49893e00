//! The canonical form of a call: what its hash is taken over, and what the journal shows of it.
//!
//! Fields at their defaults are left out, so that a later release may add fields without changing
//! the hash of calls that don't use them. Plain values of `env=` and `files=` enter as keyed
//! digests: a password that somebody wrote as text can't be guessed from the database.
use std::collections::BTreeMap;

use ring::hmac;
use serde_json::{Value as Json, json};

use super::call::{Cache, Capture, StepRequest, Value};
use super::services::ServiceRequest;
use crate::executor::Root;
use crate::model::cache::WriteRule;

/// A call, ready for the journal.
#[derive(Debug, Clone)]
pub struct Canonical {
    hashed: BTreeMap<&'static str, Json>,
    shown: BTreeMap<&'static str, Json>,
}

impl Canonical {
    /// A call without fields.
    pub(super) fn new(kind: &'static str) -> Self {
        let kind = BTreeMap::from([("call", json!(kind))]);
        Self { hashed: kind.clone(), shown: kind }
    }

    /// Adds a field unless it is at its default.
    pub(super) fn with<T: serde::Serialize + Default + PartialEq>(self, name: &'static str, value: T) -> Self {
        if value == T::default() { self } else { self.put(name, json!(value)) }
    }

    /// Adds a text that the journal never shows.
    pub(super) fn with_hidden(mut self, key: &hmac::Key, name: &'static str, value: &str) -> Self {
        self.hashed.insert(name, json!(digest(key, value)));
        self.shown.insert(name, json!("[hidden]"));
        self
    }

    /// Adds the name of an image: a password in it is hashed, so that the same call stays the same, and never shown.
    fn with_image(self, name: &str) -> Self {
        let mut with = self.with("image", name);
        if let Some(shown) = with.shown.get_mut("image") {
            *shown = json!(crate::images::without_password(name));
        }
        with
    }

    fn put(mut self, name: &'static str, value: Json) -> Self {
        self.hashed.insert(name, value.clone());
        self.shown.insert(name, value);
        self
    }

    fn with_values(mut self, key: &hmac::Key, name: &'static str, values: &BTreeMap<String, Value>) -> Self {
        if values.is_empty() {
            return self;
        }
        let form = |text: &dyn Fn(&str) -> Json| -> BTreeMap<String, Json> {
            let one = |value: &Value| match value {
                Value::Text(plain) => text(plain),
                Value::Secret(secret) => json!({ "secret": secret }),
                Value::Captured(handle) => json!({ "captured": handle }),
            };
            values.iter().map(|(name, value)| (name.clone(), one(value))).collect()
        };
        self.hashed.insert(name, json!(form(&|plain| json!({ "text": digest(key, plain) }))));
        self.shown.insert(name, json!(form(&|plain| json!(plain))));
        self
    }

    /// A step.
    pub fn step(key: &hmac::Key, request: &StepRequest) -> Self {
        let retry = &request.retry;
        let mut on: Vec<&str> = retry.on.iter().map(|cause| cause.as_str()).collect();
        on.sort_unstable();
        on.dedup();
        let retry =
            (retry.times > 0).then(|| json!({ "times": retry.times, "on": on, "backoff_ms": millis(retry.backoff) }));
        let capture = match request.capture {
            Capture::No => "",
            Capture::Stdout => "stdout",
            Capture::Secret => "secret",
        };
        let call = Self::new("run")
            .with("command", request.command.as_str())
            .with("name", request.name.as_str())
            .with_image(&request.image)
            .with_values(key, "env", &request.env)
            .with_values(key, "files", &request.files)
            .with("workdir", if request.workdir == "/workspace" { "" } else { request.workdir.as_str() })
            .with("timeout_ms", request.timeout.map_or(0, millis))
            .with("capture", capture)
            .with("once", request.once)
            .with("user", request.user.as_deref().unwrap_or_default())
            .with("readonly_root", request.root == Root::Readonly)
            .with("cpu", request.cpu)
            .with("memory_bytes", request.memory_bytes)
            .with("no_network", !request.network)
            .with("allow_failure", request.allow_failure)
            .with("caches", request.caches.iter().map(cache).collect::<Vec<_>>())
            .with("caps", request.caps.clone())
            .with("build", request.build.is_some());
        match retry {
            Some(retry) => call.put("retry", retry),
            None => call,
        }
    }

    /// A service.
    pub fn service(key: &hmac::Key, request: &ServiceRequest) -> Self {
        Self::new("start")
            .with("name", request.name.as_str())
            .with_image(&request.image)
            .with("port", request.port)
            .with_values(key, "env", &request.env)
            .with("ready", request.ready.as_str())
            .with("ready_timeout_ms", request.ready_timeout.map_or(0, millis))
    }

    /// The end of a service's body.
    pub fn service_end() -> Self {
        Self::new("stop")
    }

    /// SHA-256 over the canonical fields, in hex.
    pub(super) fn hash(&self) -> String {
        use sha2::Digest as _;
        let text = json!(sorted(&json!(self.hashed))).to_string();
        hex::encode(sha2::Sha256::digest(text.as_bytes()))
    }

    /// What the journal keeps to show: JSON, every text redacted.
    pub(super) fn shown(&self, redact: &dyn Fn(&str) -> String) -> String {
        redacted(&json!(self.shown), redact).to_string()
    }
}

/// A cache without what it leaves at its default; the order of its paths counts, its content is kept by it.
fn cache(cache: &Cache) -> Json {
    let mut form = json!({ "name": cache.name, "paths": cache.paths });
    if !cache.key.is_empty() {
        form["key"] = json!(cache.key);
    }
    if cache.write != WriteRule::default() {
        form["write"] = json!(cache.write.as_str());
    }
    form
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn digest(key: &hmac::Key, text: &str) -> String {
    hex::encode(hmac::sign(key, text.as_bytes()))
}

/// The same value as a list of sorted pairs all the way down: independent of how a JSON map is kept.
fn sorted(value: &Json) -> Json {
    match value {
        Json::Object(map) => {
            let pairs: BTreeMap<&String, &Json> = map.iter().collect();
            Json::Array(pairs.into_iter().map(|(name, value)| json!([name, sorted(value)])).collect())
        }
        Json::Array(items) => Json::Array(items.iter().map(sorted).collect()),
        plain => plain.clone(),
    }
}

fn redacted(value: &Json, redact: &dyn Fn(&str) -> String) -> Json {
    match value {
        Json::Object(map) => map.iter().map(|(name, value)| (redact(name), redacted(value, redact))).collect(),
        Json::Array(items) => items.iter().map(|item| redacted(item, redact)).collect(),
        Json::String(text) => Json::String(redact(text)),
        plain => plain.clone(),
    }
}

/// What "nondeterministic pipeline" says: the recorded call and this one, side by side.
pub(super) fn difference(key: &str, recorded: (&str, &str), now: (&str, &str)) -> String {
    format!(
        "nondeterministic pipeline: the call {key} is not the one that was recorded\n  recorded at {}: {}\n  \
         now at {}: {}\na danubefile must make the same calls in the same order each time it runs; take times and \
         random numbers from ctx.now() and ctx.random()",
        recorded.0,
        line(recorded.1),
        now.0,
        line(now.1),
    )
}

/// The shown form of a call as one readable line, bounded.
pub(super) fn line(shown: &str) -> String {
    let fields: BTreeMap<String, Json> = serde_json::from_str(shown).unwrap_or_default();
    let call = fields.get("call").and_then(Json::as_str).unwrap_or("call");
    let rest = fields.iter().filter(|(name, _)| *name != "call").map(|(name, value)| format!("{name}={value}"));
    let text = format!("{call}({})", rest.collect::<Vec<_>>().join(", "));
    let mut short: String = text.chars().take(400).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::tests::request;
    use proptest::prelude::*;

    fn key() -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, b"test")
    }

    fn hash(request: &StepRequest) -> String {
        Canonical::step(&key(), request).hash()
    }

    #[test]
    fn the_form_of_a_hash_does_not_change() {
        // Journals outlive an upgrade: another hash here would end every job that is resumed.
        assert_eq!(hash(&request("make")), "67399ebdcfcabb691053f2adb744e277894d480077807c83890acd007776a4c8");
    }

    #[test]
    fn defaults_do_not_count() {
        let mut same = request("make");
        same.workdir = "/workspace".to_owned();
        same.retry.backoff = std::time::Duration::from_secs(9);
        assert_eq!(hash(&same), hash(&request("make")));
    }

    fn cached(name: &str, key: &str, write: WriteRule) -> Cache {
        Cache { name: name.to_owned(), paths: vec!["~/.x".to_owned()], key: key.to_owned(), write }
    }

    #[test]
    fn every_field_counts() {
        let changes: [fn(&mut StepRequest); 20] = [
            |r| r.command.push('x'),
            |r| r.name.push('x'),
            |r| r.image.push('x'),
            |r| _ = r.env.insert("A".to_owned(), Value::Text("x".to_owned())),
            |r| _ = r.env.insert("A".to_owned(), Value::Secret("x".to_owned())),
            |r| _ = r.files.insert("A".to_owned(), Value::Text("x".to_owned())),
            |r| r.workdir = "/tmp".to_owned(),
            |r| r.retry.times = 1,
            |r| r.timeout = Some(std::time::Duration::from_secs(1)),
            |r| r.capture = Capture::Stdout,
            |r| r.once = true,
            |r| r.user = Some("1".to_owned()),
            |r| r.root = Root::Readonly,
            |r| r.cpu = 1.0,
            |r| r.allow_failure = true,
            |r| r.caches = vec![cached("a", "", WriteRule::Protected)],
            |r| r.caches = vec![cached("b", "", WriteRule::Protected)],
            |r| r.caches = vec![cached("a", "k", WriteRule::Protected)],
            |r| r.caches = vec![cached("a", "", WriteRule::Always)],
            |r| r.caps.push("SETFCAP".to_owned()),
        ];
        let mut seen = std::collections::BTreeSet::from([hash(&request("make"))]);
        for change in changes {
            let mut other = request("make");
            change(&mut other);
            assert!(seen.insert(hash(&other)), "{other:?}");
        }
    }

    #[test]
    fn plain_values_are_shown_redacted_and_hashed_under_the_key() {
        let mut with = request("make");
        with.env.insert("A".to_owned(), Value::Text("hunter22".to_owned()));
        let call = Canonical::step(&key(), &with);
        assert!(!json!(call.hashed).to_string().contains("hunter22"));
        let shown = call.shown(&|text| text.replace("hunter22", "[secret X]"));
        assert!(shown.contains("[secret X]") && !shown.contains("hunter22"), "{shown}");
    }

    #[test]
    fn a_password_in_the_name_of_an_image_is_hashed_and_never_shown() {
        let name = |password: &str| format!("https://me:{password}@registry.example.com/app@sha256:{}", "a".repeat(64));
        let mut with = request("make");
        with.image = name("hunter22");
        let service = ServiceRequest {
            name: "db".to_owned(),
            image: with.image.clone(),
            port: 1,
            env: BTreeMap::new(),
            ready: String::new(),
            ready_timeout: None,
        };
        for call in [Canonical::step(&key(), &with), Canonical::service(&key(), &service)] {
            let shown = call.shown(&str::to_owned);
            assert!(shown.contains("registry.example.com/app") && !shown.contains("hunter22"), "{shown}");
        }
        let first = hash(&with);
        with.image = name("hunter23");
        assert_ne!(hash(&with), first, "another call");
    }

    #[test]
    fn a_difference_shows_both_calls_with_their_lines() {
        let shown = |command: &str| Canonical::step(&key(), &request(command)).shown(&str::to_owned);
        let text = difference("/run#1", ("danubefile.py:3", &shown("a")), ("danubefile.py:4", &shown("b")));
        assert!(text.starts_with("nondeterministic pipeline: the call /run#1"), "{text}");
        assert!(text.contains("danubefile.py:3: run(command=\"a\""), "{text}");
        assert!(text.contains("danubefile.py:4: run(command=\"b\""), "{text}");
    }

    proptest! {
        #[test]
        fn two_commands_never_share_a_hash(a in ".{1,40}", b in ".{1,40}") {
            prop_assert_eq!(a == b, hash(&request(&a)) == hash(&request(&b)));
        }
    }
}
