//! What Danube signs, judged by verifiers that are not ours, and `danube verify` judged beside them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Parser as _;
use danube::artifacts::Digest;
use danube::cli::verify::{VerifyArgs, run};
use danube::model::job::Status;
use danube::model::trigger::{RepoEvent, Trigger};
use danube::provenance::{
    Builder, ConfigRevision, Ending, Image, Isolation, JobFacts, LogFile, Output, PAYLOAD_TYPE, SigningKey, Source,
    builder_id, job_record, load_or_create, pae, provenance, sign,
};
use serde_json::{Value, json};

const APP: &[u8] = b"the bytes of the artifact";
const SOURCE: &str = "https://git.example.com/team/app.git@refs/heads/main";

fn facts() -> JobFacts {
    JobFacts {
        builder: Builder {
            id: builder_id(Some("https://danube.example.com"), "1f2e3d4c"),
            version: "0.1.0".to_owned(),
        },
        job_id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
        attempt: 1,
        pipeline: "app".to_owned(),
        source: Source {
            repository: "https://git.example.com/team/app.git".to_owned(),
            git_ref: Some("refs/heads/main".to_owned()),
            commit: "a".repeat(40),
            script: "danubefile.py".to_owned(),
        },
        trigger: Trigger::Webhook,
        event: Some(RepoEvent::Push),
        params: BTreeMap::from([("level".to_owned(), "full".to_owned())]),
        config: ConfigRevision {
            repository: "git@git.example.com:ops/danube-config.git".to_owned(),
            git_ref: "refs/heads/main".to_owned(),
            commit: "b".repeat(40),
            snapshot: Digest::of(b"snapshot"),
        },
        images: vec![Image::Host, Image::Oci { reference: "node:22".to_owned(), digest: Digest::of(b"node") }],
        secret_names: vec!["DEPLOY_TOKEN".to_owned()],
        contacted_hosts: vec!["registry.example.com".to_owned()],
        executor: "local".to_owned(),
        isolation: Isolation {
            not_enforced: vec!["memory".to_owned()],
            privileges: vec!["step 1: capability SETFCAP".to_owned()],
        },
        started_on: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        finished_on: "2026-01-02T03:14:05.25Z".parse().unwrap(),
        logs: vec![LogFile::step(1, 1, Digest::of(b"log")), LogFile::coordinator(1, Digest::of(b"coordinator"))],
        artifacts: vec![Output { name: "app".to_owned(), sha256: Digest::of(APP) }],
        pushed_images: vec![Output {
            name: "registry.danube-system:5000/app/web".to_owned(),
            sha256: Digest::of(b"manifest"),
        }],
    }
}

/// A directory with a key pair and an artifact, in which `danube verify` runs.
struct Bench {
    dir: tempfile::TempDir,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = load_or_create(dir.path(), &[7; 32]).unwrap();
        fs::write(dir.path().join("app"), APP).unwrap();
        Self { dir, key }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn provenance(&self) -> String {
        sign(&provenance(&facts()), &self.key).unwrap()
    }

    /// The exit code of `danube verify` and what it printed.
    fn verify(&self, envelope: &str, more: &[&str]) -> (u8, String) {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            verify: VerifyArgs,
        }
        fs::write(self.path("a.json"), envelope).unwrap();
        let [file, attestation, key] =
            ["app", "a.json", "signing.key.pub"].map(|name| self.path(name).into_os_string());
        let words = ["verify".into(), file, "--attestation".into(), attestation, "--key".into(), key];
        let line = Line::parse_from(words.into_iter().chain(more.iter().map(Into::into)));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&line.verify, "2026-02-01T00:00:00Z".parse().unwrap(), &mut out, &mut err);
        out.extend(err);
        (code, String::from_utf8(out).unwrap())
    }

    /// What the other verifiers say about each case, in the same order.
    fn others(&self, cases: &[(String, String)]) -> Vec<String> {
        let lines: String =
            cases.iter().map(|(name, envelope)| format!("{}\n", json!({"name": name, "envelope": envelope}))).collect();
        fs::write(self.path("cases.jsonl"), lines).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/verifiers/check.py");
        let output = Command::new(python()).arg(script).arg(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answers: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        assert_eq!(answers.len(), cases.len());
        answers
    }
}

fn python() -> String {
    std::env::var("DANUBE_TEST_PYTHON").expect(
        "DANUBE_TEST_PYTHON is not set. It names the Python that has the verifiers; `make test` sets it. By hand:
        python3 -m venv target/verifiers && target/verifiers/bin/pip install -r tests/verifiers/requirements.txt
        export DANUBE_TEST_PYTHON=$PWD/target/verifiers/bin/python",
    )
}

/// The JSON pointers of all leaves.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(key, inner)| leaves(inner, &format!("{at}/{}", escaped(key)), found));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(n, inner)| leaves(inner, &format!("{at}/{n}"), found));
        }
        _ => found.push(at.to_owned()),
    }
}

/// Other values for a leaf: nearly the same, empty, of another type.
fn mutations(leaf: &Value) -> Vec<Value> {
    let mut others = vec![Value::Null, json!(""), json!(1), json!({})];
    match leaf {
        Value::String(text) => {
            let mut first: Vec<char> = text.chars().collect();
            first[0] = if first[0] == 'A' { 'B' } else { 'A' };
            others.push(first.into_iter().collect::<String>().into());
            others.push(format!("{text}AAAA").into());
            others.push(text.chars().skip(4).collect::<String>().into());
        }
        Value::Bool(flag) => others.push(json!(!flag)),
        Value::Number(number) => others.push(json!(number.as_i64().unwrap() + 1)),
        _ => others.push(json!(["x"])),
    }
    others.retain(|other| other != leaf);
    others
}

/// The same document with one leaf changed, once for each leaf and each way to change it.
fn mutated(document: &Value) -> Vec<(String, Value)> {
    let mut pointers = Vec::new();
    leaves(document, "", &mut pointers);
    let mut all = Vec::new();
    for pointer in pointers {
        for (n, other) in mutations(document.pointer(&pointer).unwrap()).into_iter().enumerate() {
            let mut changed = document.clone();
            *changed.pointer_mut(&pointer).unwrap() = other;
            all.push((format!("{}#{n}", pointer.replace(' ', "_")), changed));
        }
    }
    all
}

#[test]
fn other_verifiers_accept_what_we_sign() {
    let bench = Bench::new();
    let mut without_output = facts();
    without_output.artifacts.clear();
    without_output.pushed_images.clear();
    let mut bare = facts();
    bare.source.git_ref = None;
    bare.event = None;
    bare.images.clear();
    bare.params.clear();
    let sign = |facts| sign(&provenance(facts), &bench.key).unwrap();
    let cases = [("whole", sign(&facts())), ("logs", sign(&without_output)), ("bare", sign(&bare))];
    let answers = bench.others(&cases.map(|(name, envelope)| (name.to_owned(), envelope)));
    assert_eq!(answers, ["accept whole", "accept logs", "accept bare"]);
}

#[test]
fn openssl_alone_verifies_the_signature() {
    let bench = Bench::new();
    let envelope: Value = serde_json::from_str(&bench.provenance()).unwrap();
    let decoded = |pointer: &str| STANDARD.decode(envelope.pointer(pointer).unwrap().as_str().unwrap()).unwrap();
    fs::write(bench.path("sig.bin"), decoded("/signatures/0/sig")).unwrap();
    let openssl = |message: Vec<u8>| {
        fs::write(bench.path("pae.bin"), message).unwrap();
        let words = "pkeyutl -verify -pubin -inkey signing.key.pub -rawin -in pae.bin -sigfile sig.bin";
        Command::new("openssl").args(words.split(' ')).current_dir(bench.dir.path()).output().unwrap()
    };
    let output = openssl(pae(PAYLOAD_TYPE, &decoded("/payload")));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!openssl(pae("application/json", &decoded("/payload"))).status.success());
}

#[test]
fn openssl_reads_the_signing_key() {
    let bench = Bench::new();
    let words = ["pkey", "-in", "signing.key", "-pubout"];
    let output = Command::new("openssl").args(words).current_dir(bench.dir.path()).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), bench.key.public().to_pem());
}

#[test]
fn a_change_of_any_leaf_is_refused_by_us_and_by_others() {
    let bench = Bench::new();
    let original = bench.provenance();
    let envelope: Value = serde_json::from_str(&original).unwrap();
    let payload: Value = serde_json::from_slice(&provenance(&facts())).unwrap();

    let again = STANDARD.encode(payload.to_string());
    assert_eq!(envelope["payload"], again, "without a change, encoding again changes nothing");
    let of_envelope = mutated(&envelope).into_iter().map(|(at, changed)| (format!("envelope{at}"), changed));
    let of_payload = mutated(&payload).into_iter().map(|(at, changed)| {
        let mut envelope = envelope.clone();
        envelope["payload"] = STANDARD.encode(changed.to_string()).into();
        (format!("payload{at}"), envelope)
    });
    let mut cases: Vec<_> = of_envelope.chain(of_payload).map(|(name, changed)| (name, changed.to_string())).collect();
    assert!(cases.len() > 200, "only {} mutations", cases.len());

    for (name, envelope) in &cases {
        let (code, said) = bench.verify(envelope, &[]);
        assert_eq!(code, 2, "{name}: {said}");
        assert!(said.contains("✗ signature"), "{name}: {said}");
    }
    cases.push(("original".to_owned(), original));
    let mut answers = bench.others(&cases);
    assert_eq!(answers.pop().unwrap(), "accept original");
    for ((name, _), answer) in cases.iter().zip(answers) {
        let stages = ["envelope:", "signature:"].map(|stage| format!("refuse {name} {stage}"));
        assert!(stages.iter().any(|refused| answer.starts_with(refused)), "{answer}");
    }
}

#[test]
fn a_job_record_is_genuine_but_no_provenance() {
    let bench = Bench::new();
    let ending = Ending { status: Status::Failure, reason: Some("step 1 exited with 1".to_owned()), continued: None };
    let record = sign(&job_record(&facts(), &ending), &bench.key).unwrap();
    let (code, said) = bench.verify(&record, &[]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("✓ signature") && said.contains("job record (status failure)"), "{said}");
    let answers = bench.others(&[("record".to_owned(), record)]);
    assert!(answers[0].starts_with("refuse record predicate:"), "{answers:?}");
}

#[test]
fn the_verdict_and_every_check_are_printed() {
    let bench = Bench::new();
    let all = ["--source", SOURCE, "--builder", "https://danube.example.com/builder/v1"];
    let (code, said) = bench.verify(&bench.provenance(), &all);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches('✓').count(), 10, "{said}");
    assert!(said.lines().last().unwrap().starts_with("verified: "), "{said}");
    let (code, said) = bench.verify(&bench.provenance(), &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(said.matches("not checked: it says").count(), 3, "{said}");
}

#[test]
fn another_artifact_source_builder_or_key_is_refused() {
    let bench = Bench::new();
    let envelope = bench.provenance();
    for (flag, value) in [
        ("--source", "https://git.example.com/team/other.git"),
        ("--source", "https://git.example.com/team/app.git@refs/heads/other"),
        ("--builder", "https://danube.example.com/builder/v2"),
    ] {
        let (code, said) = bench.verify(&envelope, &[flag, value]);
        assert_eq!(code, 2, "{value}: {said}");
    }
    let other = sign(&provenance(&facts()), &SigningKey::from_seed(&[8; 32])).unwrap();
    assert_eq!(bench.verify(&other, &[]).0, 2);

    for byte in 0..APP.len() {
        let mut changed = APP.to_vec();
        changed[byte] ^= 1;
        fs::write(bench.path("app"), changed).unwrap();
        let (code, said) = bench.verify(&envelope, &[]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("✗ subject digest"), "{said}");
    }
}

#[test]
fn what_cannot_be_read_is_told_from_what_is_false() {
    let bench = Bench::new();
    let envelope = bench.provenance();
    let (code, said) = bench.verify("", &[]);
    assert_eq!(code, 2, "{said}");
    fs::remove_file(bench.path("app")).unwrap();
    let (code, said) = bench.verify(&envelope, &[]);
    assert_eq!(code, 3, "{said}");
    fs::create_dir(bench.path("app")).unwrap();
    let (code, said) = bench.verify(&envelope, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains(".tar"), "{said}");
    fs::copy(bench.path("signing.key"), bench.path("signing.key.pub")).unwrap();
    let (code, said) = bench.verify(&envelope, &["--json"]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("private key"), "{said}");
}
