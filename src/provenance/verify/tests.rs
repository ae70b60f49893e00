use super::*;
use crate::provenance::facts::{JobFacts, example};
use crate::provenance::{Continued, LogFile, ReusedStep};
use crate::provenance::{Ending, Outcome, SigningKey, job_record, provenance, sign};
use serde_json::{Value, json};

const APP: &[u8] = b"app";
const BUILDER: &str = "https://danube.example.com/builder/v1";

fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32])
}

/// What `check` expects unless a test changes it.
struct Wanted {
    key: SigningKey,
    file: Digest,
    source: Option<ExpectedSource>,
    builder: Option<&'static str>,
    now: Timestamp,
}

fn source(text: &str) -> Option<ExpectedSource> {
    Some(text.parse().unwrap())
}

/// Verifies with every expectation right but what `change` makes of them.
fn check(envelope: &str, change: impl FnOnce(&mut Wanted)) -> Report {
    let mut wanted = Wanted {
        key: key(),
        file: Digest::of(APP),
        source: source("https://git.example.com/team/frontend.git@refs/heads/main"),
        builder: Some(BUILDER),
        now: "2026-02-01T00:00:00Z".parse().unwrap(),
    };
    change(&mut wanted);
    let expected = Expected {
        key: wanted.key.public(),
        file: wanted.file,
        source: wanted.source.as_ref(),
        builder: wanted.builder,
        now: wanted.now,
    };
    verify(envelope.as_bytes(), &expected)
}

fn signed(facts: &JobFacts) -> String {
    sign(&provenance(facts), &key()).unwrap()
}

/// A statement that was changed and then signed by the right key all the same.
fn forged(pointer: &str, value: Value) -> String {
    let mut statement: Value = serde_json::from_slice(&provenance(&example())).unwrap();
    *statement.pointer_mut(pointer).unwrap() = value;
    sign(statement.to_string().as_bytes(), &key()).unwrap()
}

fn failed_at(report: &Report) -> Check {
    assert!(!report.accepted());
    assert_eq!(report.answers().iter().map(|answer| answer.0).collect::<Vec<_>>(), Check::ALL);
    report.refusal().unwrap().0
}

#[test]
fn a_true_attestation_passes_every_check_in_order() {
    let report = check(&signed(&example()), |_| {});
    assert!(report.accepted(), "{report:?}");
    assert!(report.answers().iter().all(|(_, outcome)| matches!(outcome, Outcome::Passed(_))), "{report:?}");
    assert_eq!(report.answers().iter().map(|answer| answer.0).collect::<Vec<_>>(), Check::ALL);
}

#[test]
fn expectations_that_nobody_gave_are_listed_as_not_checked_with_what_it_says() {
    let report = check(&signed(&example()), |wanted| {
        wanted.source = None;
        wanted.builder = None;
    });
    assert!(report.accepted());
    for (check, says) in [(Check::Builder, BUILDER), (Check::Source, "frontend.git"), (Check::Ref, "refs/heads/main")] {
        let outcome = &report.answers().iter().find(|answer| answer.0 == check).unwrap().1;
        assert!(matches!(outcome, Outcome::NotChecked(text) if text.contains(says)), "{outcome:?}");
    }
}

type Case = (Check, fn(&mut Wanted));

#[test]
fn another_file_key_builder_source_or_ref_is_refused_by_its_own_check() {
    let envelope = signed(&example());
    let cases: [Case; 5] = [
        (Check::Signature, |w| w.key = SigningKey::from_seed(&[8; 32])),
        (Check::SubjectDigest, |w| w.file = Digest::of(b"apq")),
        (Check::Builder, |w| w.builder = Some("https://danube.example.com/builder/v2")),
        (Check::Source, |w| w.source = source("https://git.example.com/team/other.git")),
        (Check::Ref, |w| {
            w.source = source("https://git.example.com/team/frontend.git@refs/heads/release");
        }),
    ];
    for (expected, change) in cases {
        assert_eq!(failed_at(&check(&envelope, change)), expected);
    }
}

#[test]
fn after_a_bad_signature_nothing_is_believed() {
    let report = check(&signed(&example()), |wanted| wanted.key = SigningKey::from_seed(&[8; 32]));
    let rest = &report.answers()[1..];
    assert!(
        rest.iter().all(|(_, outcome)| matches!(outcome, Outcome::NotChecked(text) if !text.contains("example.com")))
    );
}

#[test]
fn what_is_signed_but_is_not_provenance_is_refused() {
    let key = key();
    let payload = provenance(&example());
    let other_type = dsse::seal("application/json", &payload, &[&key]);
    assert_eq!(failed_at(&check(&other_type, |_| {})), Check::PayloadType);
    let doubled =
        String::from_utf8(payload).unwrap().replacen('{', r#"{"_type":"https://in-toto.io/Statement/v1","#, 1);
    let doubled = sign(doubled.as_bytes(), &key).unwrap();
    assert_eq!(failed_at(&check(&doubled, |_| {})), Check::StatementType);
    let cases = [
        ("/_type", json!("https://in-toto.io/Statement/v0.1"), Check::StatementType),
        ("/subject", json!({}), Check::StatementType),
        ("/predicateType", json!("https://slsa.dev/provenance/v0.2"), Check::PredicateType),
        ("/predicate", json!({}), Check::PredicateType),
        ("/predicate/runDetails/builder", json!({}), Check::PredicateType),
        ("/subject", json!([]), Check::SubjectDigest),
        ("/subject/0/digest", json!({"sha512": Digest::of(APP).to_string()}), Check::SubjectDigest),
        ("/predicate/buildDefinition/externalParameters", json!({}), Check::Source),
        ("/predicate/buildDefinition/buildType", json!("https://example.com/other"), Check::BuildType),
        ("/predicate/runDetails/metadata/startedOn", json!("yesterday"), Check::Times),
    ];
    for (pointer, value, expected) in cases {
        assert_eq!(failed_at(&check(&forged(pointer, value), |_| {})), expected, "{pointer}");
    }
}

#[test]
fn an_unknown_external_parameter_is_refused() {
    let pointer = "/predicate/buildDefinition/externalParameters/params";
    assert!(check(&forged(pointer, json!({"level": "other"})), |_| {}).accepted());
    let mut statement: Value = serde_json::from_slice(&provenance(&example())).unwrap();
    statement["predicate"]["buildDefinition"]["externalParameters"]["skipTests"] = json!(true);
    let envelope = sign(statement.to_string().as_bytes(), &key()).unwrap();
    assert_eq!(failed_at(&check(&envelope, |_| {})), Check::Source);
}

#[test]
fn a_source_that_contradicts_itself_is_refused_even_when_none_is_expected() {
    let dependencies = "/predicate/buildDefinition/resolvedDependencies";
    for (pointer, value) in [
        (format!("{dependencies}/0/uri"), json!("git+https://git.example.com/team/other.git@refs/heads/main")),
        (format!("{dependencies}/0/digest/gitCommit"), json!("c".repeat(40))),
        (dependencies.to_owned(), json!([])),
    ] {
        let report = check(&forged(&pointer, value), |wanted| wanted.source = None);
        assert!(matches!(report.refusal(), Some((Check::Source, Refusal::InconsistentSource { .. }))), "{report:?}");
    }
}

#[test]
fn a_job_record_is_refused_as_provenance_and_named() {
    let ending = Ending { status: crate::model::job::Status::Failure, reason: None, continued: None };
    let envelope = sign(&job_record(&example(), &ending), &key()).unwrap();
    let report = check(&envelope, |_| {});
    assert!(
        matches!(report.refusal(), Some((Check::PredicateType, Refusal::JobRecord { status, continued: None })) if status == "failure")
    );
}

#[test]
fn a_job_that_went_on_in_an_old_workspace_is_refused_with_its_reason_and_what_to_do() {
    let continued = Continued {
        job_id: example().job_id,
        label: "frontend#12".to_owned(),
        steps: vec![ReusedStep {
            job_id: example().job_id,
            log: Some(LogFile::step(1, 1, Digest::of(b"log"))),
            number: 1,
            name: "build".to_owned(),
        }],
    };
    let ending = Ending { status: crate::model::job::Status::Success, reason: None, continued: Some(continued) };
    let statement = job_record(&example(), &ending);
    let record: serde_json::Value = serde_json::from_slice(&statement).unwrap();
    let reused = &record["predicate"]["continued"]["reusedSteps"][0];
    assert_eq!((&reused["name"], &reused["number"]), (&json!("build"), &json!(1)));
    assert_eq!(reused["logSha256"], Digest::of(b"log").to_string());
    let report = check(&sign(&statement, &key()).unwrap(), |_| {});
    let (at, refusal) = report.refusal().unwrap();
    let told = refusal.to_string();
    assert!(at == Check::PredicateType && told.contains("workspace that frontend#12 had left"), "{told}");
    assert!(told.contains("danube job rerun frontend#12"), "{told}");
}

#[test]
fn times_must_be_in_order_and_not_in_the_future() {
    let mut facts = example();
    facts.started_on = Some("2026-01-02T03:14:06Z".parse().unwrap());
    assert_eq!(failed_at(&check(&signed(&facts), |_| {})), Check::Times);
    let envelope = signed(&example());
    let at = |now: &str| check(&envelope, |wanted| wanted.now = now.parse().unwrap());
    assert!(at("2026-01-01T03:15:00Z").accepted(), "a clock that is a day behind");
    assert_eq!(failed_at(&at("2026-01-01T03:14:00Z")), Check::Times);
}

#[test]
fn an_ssh_repository_is_expected_as_the_pipeline_names_it() {
    let mut facts = example();
    facts.source.repository = "git@git.example.com:team/app.git".to_owned();
    let report = check(&signed(&facts), |wanted| {
        wanted.source = source("git@git.example.com:team/app.git@main");
    });
    assert!(report.accepted(), "{report:?}");
}
