use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::facts::{Image, JobFacts, LogFile, Output};
use super::source::{git_uri, without_credentials};
use crate::artifacts::Digest;

/// Type of every statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Predicate type of provenance.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// Build type: it fixes which external parameters there are and what they mean.
pub const BUILD_TYPE: &str = "https://danube.dev/buildtypes/job/v1";

#[derive(Serialize)]
struct Statement<'a, P> {
    #[serde(rename = "_type")]
    statement_type: &'a str,
    subject: Vec<Resource>,
    #[serde(rename = "predicateType")]
    predicate_type: &'a str,
    predicate: P,
}

/// An in-toto resource descriptor; empty parts are left out.
#[derive(Serialize, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Resource {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    uri: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    digest: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, bool>,
}

/// The SLSA predicate. Verifiers refuse other keys than the schema's, so none is added here.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: &'static str,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
    resolved_dependencies: Vec<Resource>,
}

/// What came from outside and decides about the build. A new field needs a new build type.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ExternalParameters {
    pub(super) pipeline: String,
    pub(super) repository: String,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none", default)]
    pub(super) git_ref: Option<String>,
    pub(super) commit: String,
    script: String,
    trigger: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    event: Option<String>,
    params: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InternalParameters {
    attempt: u32,
    contacted_hosts: BTreeSet<String>,
    executor: String,
    isolation: IsolationFlags,
    secret_names: BTreeSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IsolationFlags {
    content_isolated: bool,
    not_enforced: BTreeSet<String>,
    privileges: BTreeSet<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunDetails {
    builder: BuilderEntry,
    metadata: Metadata,
    byproducts: Vec<Resource>,
}

#[derive(Serialize)]
struct BuilderEntry {
    id: String,
    version: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    invocation_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_on: Option<String>,
    finished_on: String,
}

/// The provenance of a successful job, ready to be signed. Equal facts give equal bytes.
///
/// Subjects are the artifacts and pushed images; the manifest of the logs where there are none.
pub fn provenance(facts: &JobFacts) -> Vec<u8> {
    let outputs = facts.artifacts.iter().chain(&facts.pushed_images);
    let mut subject: Vec<_> = outputs.map(|output| sha256(&output.name, &output.sha256)).collect();
    if subject.is_empty() {
        subject.push(log_subject(facts));
    }
    serialise(PREDICATE_TYPE, subject, predicate(facts, &[]))
}

/// The manifest of a job's logs, in the form that `sha256sum --check` reads.
pub fn log_manifest(logs: &[LogFile]) -> String {
    logs.iter().map(|log| format!("{}  {}\n", log.sha256, log.name)).collect()
}

/// A statement about a job that yields no provenance: its logs are the subject, never its outputs.
pub(super) fn about_logs(predicate_type: &str, facts: &JobFacts, predicate: impl Serialize) -> Vec<u8> {
    serialise(predicate_type, vec![log_subject(facts)], predicate)
}

/// The build's definition and details; `unvouched` outputs are listed among the byproducts.
pub(super) fn predicate(facts: &JobFacts, unvouched: &[Output]) -> Predicate {
    let source = &facts.source;
    let repository = without_credentials(&source.repository);
    let config = sha256("config-snapshot", &facts.config.snapshot);
    let logs = facts.logs.iter().map(|log| sha256(&log.name, &log.sha256));
    let outputs = unvouched.iter().map(|output| sha256(&format!("artifacts/{}", output.name), &output.sha256));
    Predicate {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE,
            resolved_dependencies: dependencies(facts, &repository),
            external_parameters: ExternalParameters {
                pipeline: facts.pipeline.clone(),
                repository,
                git_ref: source.git_ref.clone(),
                commit: source.commit.clone(),
                script: source.script.clone(),
                trigger: facts.trigger.as_str().to_owned(),
                event: facts.event.map(|event| event.as_str().to_owned()),
                params: facts.params.clone(),
            },
            internal_parameters: InternalParameters {
                attempt: facts.attempt,
                contacted_hosts: facts.contacted_hosts.iter().cloned().collect(),
                executor: facts.executor.clone(),
                isolation: IsolationFlags {
                    content_isolated: !facts.images.contains(&Image::Host),
                    not_enforced: facts.isolation.not_enforced.iter().cloned().collect(),
                    privileges: facts.isolation.privileges.iter().cloned().collect(),
                },
                secret_names: facts.secret_names.iter().cloned().collect(),
            },
        },
        run_details: RunDetails {
            builder: BuilderEntry {
                id: facts.builder.id.clone(),
                version: BTreeMap::from([("danube", facts.builder.version.clone())]),
            },
            metadata: Metadata {
                invocation_id: format!("{}/jobs/{}", facts.builder.id, facts.job_id),
                started_on: facts.started_on.map(|time| time.to_string()),
                finished_on: facts.finished_on.to_string(),
            },
            byproducts: std::iter::once(config).chain(logs).chain(outputs).collect(),
        },
    }
}

fn dependencies(facts: &JobFacts, repository: &str) -> Vec<Resource> {
    let config = &facts.config;
    let config_repository = without_credentials(&config.repository);
    let mut all = vec![
        git("source", git_uri(repository, facts.source.git_ref.as_deref()), &facts.source.commit),
        git("config", git_uri(&config_repository, Some(&config.git_ref)), &config.commit),
    ];
    let images: BTreeSet<_> = facts.images.iter().map(image).collect();
    all.extend(images);
    all
}

fn git(name: &str, uri: String, commit: &str) -> Resource {
    Resource {
        name: name.to_owned(),
        uri,
        digest: BTreeMap::from([("gitCommit", commit.to_owned())]),
        ..Resource::default()
    }
}

fn image(image: &Image) -> Resource {
    let name = "image".to_owned();
    match image {
        Image::Oci { reference, digest } => Resource { uri: format!("docker://{reference}"), ..sha256(&name, digest) },
        Image::Host => {
            let annotations = BTreeMap::from([("contentIsolated", false)]);
            Resource { name, uri: "urn:danube:image:host".to_owned(), annotations, ..Resource::default() }
        }
    }
}

fn sha256(name: &str, digest: &Digest) -> Resource {
    Resource { name: name.to_owned(), digest: BTreeMap::from([("sha256", digest.to_string())]), ..Resource::default() }
}

fn log_subject(facts: &JobFacts) -> Resource {
    sha256("logs.sha256", &Digest::of(log_manifest(&facts.logs).as_bytes()))
}

fn serialise(predicate_type: &str, subject: Vec<Resource>, predicate: impl Serialize) -> Vec<u8> {
    let statement = Statement { statement_type: STATEMENT_TYPE, subject, predicate_type, predicate };
    // By way of a value, whose maps are sorted: one statement has one spelling.
    let value = serde_json::to_value(&statement).expect("maps with text keys always have a JSON form");
    value.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::trigger::Trigger;
    use crate::provenance::facts::example;
    use serde_json::Value;

    fn value(facts: &JobFacts) -> Value {
        serde_json::from_slice(&provenance(facts)).unwrap()
    }

    #[test]
    fn the_statement_is_the_golden_one() {
        let text = serde_json::to_string_pretty(&value(&example())).unwrap() + "\n";
        crate::golden::check("src/provenance/statement.golden.json", &text);
    }

    #[test]
    fn equal_facts_give_equal_bytes_whatever_their_order() {
        let mut other = example();
        other.images.reverse();
        other.secret_names.reverse();
        assert_eq!(provenance(&other), provenance(&example()));
    }

    #[test]
    fn keys_are_sorted_so_that_a_statement_has_one_spelling() {
        let text = String::from_utf8(provenance(&example())).unwrap();
        let keys = ["\"_type\"", "\"predicate\"", "\"predicateType\"", "\"subject\""];
        let places: Vec<_> = keys.iter().map(|key| text.find(key).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
        assert!(text.contains(r#"{"commit":"aaaa"#), "{text}");
    }

    #[test]
    fn every_change_from_outside_shows() {
        let changes: [fn(&mut JobFacts); 8] = [
            |facts| drop(facts.params.insert("level".to_owned(), "none".to_owned())),
            |facts| facts.source.git_ref = Some("refs/heads/other".to_owned()),
            |facts| facts.source.commit = "c".repeat(40),
            |facts| facts.source.script = "other.py".to_owned(),
            |facts| facts.trigger = Trigger::Manual,
            |facts| facts.event = None,
            |facts| facts.config.commit = "c".repeat(40),
            |facts| facts.images[0] = Image::Oci { reference: "node:22".to_owned(), digest: Digest::of(b"other") },
        ];
        let part = |facts: &JobFacts| {
            let definition = value(facts)["predicate"]["buildDefinition"].clone();
            (definition["externalParameters"].clone(), definition["resolvedDependencies"].clone())
        };
        let before = part(&example());
        for (n, change) in changes.iter().enumerate() {
            let mut facts = example();
            change(&mut facts);
            assert_ne!(part(&facts), before, "change {n}");
        }
    }

    #[test]
    fn a_job_without_output_vouches_for_its_logs() {
        let mut facts = example();
        facts.artifacts.clear();
        let manifest = log_manifest(&facts.logs);
        assert!(manifest.ends_with("  coordinator.2.log\n") && manifest.contains("  steps/1.1.log\n"));
        let statement = value(&facts);
        assert_eq!(statement["subject"][0]["name"], "logs.sha256");
        assert_eq!(statement["subject"][0]["digest"]["sha256"], Digest::of(manifest.as_bytes()).to_string());
    }

    #[test]
    fn the_host_image_is_marked_and_its_absence_too() {
        let flag = |facts: &JobFacts| {
            value(facts)["predicate"]["buildDefinition"]["internalParameters"]["isolation"]["contentIsolated"].clone()
        };
        let mut facts = example();
        assert_eq!(flag(&facts), false);
        facts.images.retain(|image| *image != Image::Host);
        assert_eq!(flag(&facts), true);
    }

    #[test]
    fn credentials_in_a_repository_are_not_signed() {
        let mut facts = example();
        facts.source.repository = "https://ci:hunter2-token@git.example.com/a.git".to_owned();
        facts.config.repository = "https://hunter2-token@git.example.com/c.git".to_owned();
        let text = String::from_utf8(provenance(&facts)).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains(r#""repository":"https://git.example.com/a.git""#), "{text}");
    }

    #[test]
    fn the_builder_is_named_by_its_public_url_or_its_instance() {
        use crate::provenance::builder_id;
        assert_eq!(builder_id(Some("https://danube.example.com"), "1f2e"), "https://danube.example.com/builder/v1");
        assert_eq!(builder_id(None, "1f2e"), "urn:danube:1f2e");
    }
}
