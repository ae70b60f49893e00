//! Who a listener belongs to, and what that one may do: one listener, one job's identity.
use base64::Engine as _;
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::ask::{is_below, owner};
use super::{HOST_PORT, USER, cache_of, is_cache, is_cache_of_scope};
use crate::artifacts::Digest;
use crate::model::cache::Scope;
use crate::model::{JobId, LeaseId, PipelineId, Secret};
use crate::store::{Store, registry};

/// The job behind a listener.
pub struct Door {
    /// The job.
    pub job: JobId,
    /// The lease under which it runs.
    pub lease: LeaseId,
    /// Its pipeline.
    pub pipeline: PipelineId,
    /// The pipeline's name: the room that it may push to.
    pub name: String,
    /// It comes from a fork: it pushes nothing.
    pub fork: bool,
    /// Whose layer cache it writes, as with caches of steps; jobs of protected branches guard their tags.
    pub scope: Scope,
    /// What it shows.
    pub credential: Secret<String>,
}

impl Door {
    /// Whether a request's `Authorization` is this job's.
    pub(super) fn knows(&self, authorization: Option<&str>) -> bool {
        shows(authorization, &self.pair())
    }

    fn pair(&self) -> Secret<String> {
        Secret::new(format!("{USER}:{}", self.credential.expose()))
    }

    /// Whether the job may write there.
    pub(super) fn may_push(&self, repository: &str) -> Result<(), Refusal> {
        if self.fork {
            return Err(Refusal::denied(
                "danube: a job of a fork's pull request may pull and not push: what it builds is not this pipeline's yet",
            ));
        }
        if is_below(repository, &self.name) {
            return if is_cache(repository) { self.may_cache(repository) } else { Ok(()) };
        }
        let name = &self.name;
        Err(Refusal::denied(format!("danube: the pipeline '{name}' may push to {name}/… alone, not to {repository}")))
    }

    /// Whether a part of the layer cache is this job's to write: builds take what lies there for their own work.
    fn may_cache(&self, repository: &str) -> Result<(), Refusal> {
        let own = cache_of(&self.name, &self.scope);
        let within = repository.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if within && (self.scope != Scope::Protected || !is_cache_of_scope(repository)) {
            return Ok(());
        }
        Err(Refusal::denied(format!(
            "danube: a job of {} writes the layer cache {own} alone, not {repository}: name that one as --cache-repo",
            self.scope
        )))
    }

    /// Whether a tag that this job pushes there is not to be moved by others.
    pub(super) fn guards(&self, repository: &str) -> bool {
        self.scope == Scope::Protected && !is_cache(repository)
    }

    /// Whether the job may let a tag name this image.
    pub(super) async fn may_move(
        &self,
        store: &Store,
        repository: &str,
        tag: &str,
        digest: &Digest,
    ) -> Result<(), Refusal> {
        if self.scope == Scope::Protected {
            return Ok(());
        }
        let name = (repository.to_owned(), tag.to_owned());
        let guarded = store.read(move |view| registry::guarded(view, &name.0, &name.1)).await;
        match guarded.map_err(Refusal::unavailable)? {
            // It names this image already.
            Some(known) if known != digest.to_string() => Err(Refusal::denied(format!(
                "danube: {repository}:{tag} was pushed by a job of the protected branches, and a job of {} does not \
                 overwrite it: push under another tag, such as the branch's name",
                self.scope
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the job may read there.
    pub(super) async fn may_pull(&self, store: &Store, repository: &str) -> Result<(), Refusal> {
        if is_below(repository, &self.name) {
            return Ok(());
        }
        let (pipeline, owner) = (self.pipeline, owner(repository).to_owned());
        match store.read(move |view| registry::may_read(view, pipeline, &owner)).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::hidden(repository)),
            Err(error) => Err(Refusal::unavailable(error)),
        }
    }

    /// The clients' configuration with this job's credential; entries of `given`, a configuration of the user's, stay.
    pub fn docker_config(&self, given: Option<&[u8]>) -> Result<Secret<Vec<u8>>, String> {
        let mut config = match given {
            None => Map::new(),
            Some(bytes) => match serde_json::from_slice(bytes) {
                Ok(Value::Object(config)) => config,
                Ok(_) => return Err("it is JSON and no object".to_owned()),
                // The text may be part of a secret: where, not what.
                Err(error) => return Err(format!("it is no JSON (line {}, column {})", error.line(), error.column())),
            },
        };
        let auths = config.entry("auths").or_insert_with(|| json!({}));
        let Value::Object(auths) = auths else { return Err("its \"auths\" is no object".to_owned()) };
        let pair = base64::engine::general_purpose::STANDARD.encode(self.pair().expose());
        auths.insert(HOST_PORT.to_owned(), json!({ "auth": pair }));
        // A helper would be asked first, and knows nothing of this registry; an empty name means none for it.
        if config.contains_key("credsStore") || config.contains_key("credHelpers") {
            let helpers = config.entry("credHelpers").or_insert_with(|| json!({}));
            let Value::Object(helpers) = helpers else { return Err("its \"credHelpers\" is no object".to_owned()) };
            helpers.insert(HOST_PORT.to_owned(), json!(""));
        }
        Ok(Secret::new(Value::Object(config).to_string().into_bytes()))
    }
}

/// Whether an `Authorization` shows a user with the password, `user:password`.
pub(super) fn shows(authorization: Option<&str>, pair: &Secret<String>) -> bool {
    let shown = authorization.and_then(|text| {
        let (scheme, rest) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("basic").then(|| rest.trim())
    });
    let shown = shown.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    // Of digests, how long the comparison takes says nothing about the credential.
    shown.is_some_and(|shown| Digest::of(&shown) == Digest::of(pair.expose().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Ids, SeededIds};

    pub(crate) fn door(name: &str) -> Door {
        let ids = SeededIds::new(1);
        Door {
            job: JobId::from_uuid(ids.uuid()),
            lease: LeaseId::from_uuid(ids.uuid()),
            pipeline: PipelineId::from_uuid(ids.uuid()),
            name: name.to_owned(),
            fork: false,
            scope: Scope::Protected,
            credential: Secret::new("hunter22".to_owned()),
        }
    }

    #[test]
    fn one_credential_opens_the_door() {
        let basic = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        let door = door("web");
        assert!(door.knows(Some(&basic("danube:hunter22"))));
        assert!(door.knows(Some(&basic("danube:hunter22").replace("Basic", "basic"))));
        for wrong in [basic("danube:hunter2"), basic("root:hunter22"), basic(""), "Bearer hunter22".to_owned()] {
            assert!(!door.knows(Some(&wrong)), "{wrong}");
        }
        assert!(!door.knows(None));
    }

    #[test]
    fn a_job_pushes_below_its_own_name_alone() {
        let mut door = door("web");
        assert!(
            door.may_push("web/app").is_ok() && door.may_push("website/app").is_err() && door.may_push("web").is_err()
        );
        door.fork = true;
        assert!(door.may_push("web/app").is_err());
    }

    #[test]
    fn each_scope_writes_the_layer_cache_that_it_alone_writes() {
        let of = |scope: Scope| Door { scope, ..door("web") };
        let (main, branch, pull) = (of(Scope::Protected), of(Scope::Branch("x".to_owned())), of(Scope::PullRequest(7)));
        let own = cache_of("web", &branch.scope);
        assert_eq!(own, "web/cache/193316afaaff");
        assert!(is_cache(&own) && is_cache_of_scope(&own) && is_cache_of_scope(&format!("{own}/deep")));
        assert!(!is_cache_of_scope("web/cache") && !is_cache_of_scope("web/cache/node") && !is_cache_of_scope("web/x"));
        let deep = format!("{own}/deep");
        let may = |door: &Door| ["web/cache", "web/cache/node", &own, &deep].map(|to| door.may_push(to).is_ok());
        assert_eq!(may(&main), [true, true, false, false]);
        assert_eq!(may(&branch), [false, false, true, true]);
        assert_eq!(may(&pull), [false; 4]);
        // A branch that is called like the protected ones' word is a branch.
        assert!(of(Scope::Branch("protected".to_owned())).may_push("web/cache").is_err());
        assert!(branch.may_push("web/cached").is_ok());
    }

    #[test]
    fn entries_of_the_user_stay_beside_ours() {
        let door = door("web");
        let given =
            br#"{"auths":{"hub.example.com":{"auth":"eA=="},"registry.danube-system:5000":{"auth":"b2xk"}},"x":1}"#;
        let merged: Value = serde_json::from_slice(door.docker_config(Some(given)).unwrap().expose()).unwrap();
        assert_eq!(merged["auths"]["hub.example.com"]["auth"], "eA==");
        assert_eq!(merged["auths"][HOST_PORT]["auth"], "ZGFudWJlOmh1bnRlcjIy");
        assert_eq!(merged["x"], 1);
        for (wrong, said) in [(&b"{"[..], "no JSON"), (b"[]", "no object"), (br#"{"auths":[]}"#, "auths")] {
            let error = door.docker_config(Some(wrong)).err().unwrap();
            assert!(error.contains(said), "{error}");
        }
    }
}
