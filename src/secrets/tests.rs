//! Secrets: who gets them, what is stored, what a wrong key file says.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::model::settings::{Pipeline, SecretGrant};
use crate::model::trigger::{Revision, Trigger};
use crate::model::{Principal, Secret};
use crate::platform::SystemIds;
use crate::queue::{self, Claimed, Limits, NewJob};
use crate::store::audit_log;
use crate::store::secrets::{self as table, Scope};
use crate::store::testing::{TestStore, pipeline, settings, with};
use crate::store::{Durability, teams};

struct Setup {
    test: TestStore,
    vault: Vault,
    site: Pipeline,
}

fn grant(key: &str, branches: &[&str]) -> SecretGrant {
    SecretGrant { key: key.into(), branches: branches.iter().map(|b| (*b).to_owned()).collect(), reveal: false }
}

fn keys(test: &TestStore) -> PathBuf {
    test.dir.path().join("keys")
}

async fn open_vault(test: &TestStore) -> Result<Vault, SecretError> {
    open(&test.store, &keys(test), Arc::new(SystemIds::new())).await
}

async fn setup() -> Setup {
    let mut site = pipeline("site", "web");
    site.secrets = vec![grant("DEPLOY", &["main", "release/*"]), grant("TOKEN", &[])];
    let test = with(settings(vec![site.clone(), pipeline("other", "web")])).await;
    let vault = open_vault(&test).await.unwrap();
    Setup { test, vault, site }
}

fn text(value: &Secret<Vec<u8>>) -> String {
    String::from_utf8(value.expose().clone()).unwrap()
}

impl Setup {
    async fn set(&self, scope: Scope, key: &str, value: &str) {
        let value = Secret::new(value.as_bytes().to_vec());
        set(&self.test.store, &self.vault, scope, key, value, "alice@example.com").await.unwrap();
    }

    async fn run(&self, pipeline: &Pipeline, branch: &str, fork: bool) -> (Claimed, JobSecrets) {
        let new = NewJob {
            pipeline_id: self.test.pipeline_id(&pipeline.name).await,
            pipeline: pipeline.clone(),
            config_commit: "c0ffee".into(),
            trigger: Trigger::Manual,
            event: None,
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: "a".repeat(40),
                branch: branch.into(),
                tag: None,
                message: String::new(),
                author: String::new(),
            },
            pull_request: None,
            pr_base: None,
            fork,
            params: Default::default(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        queue::enqueue(&self.test.store, new).await.unwrap();
        let claimed = queue::claim(&self.test.store, "m", Limits { max_running: 99 }).await.unwrap().unwrap();
        let secrets = JobSecrets::new(&self.test.store, &self.vault, &claimed.job).unwrap();
        (claimed, secrets)
    }
}

#[tokio::test]
async fn the_nearest_scope_wins() {
    let s = setup().await;
    let (_, job) = s.run(&s.site, "main", false).await;
    let team = s.test.store.read(|v| teams::find_by_name(v, "web")).await.unwrap().unwrap().id;
    let site = s.test.pipeline_id("site").await;
    for (scope, value) in
        [(Scope::Global, "global-value"), (Scope::Team(team), "team-value"), (Scope::Pipeline(site), "pipeline-value")]
    {
        s.set(scope, "TOKEN", value).await;
        assert_eq!(text(&job.get("TOKEN").await.unwrap()), value);
    }
    assert!(delete(&s.test.store, Scope::Pipeline(site), "TOKEN").await.unwrap());
    assert!(!delete(&s.test.store, Scope::Pipeline(site), "TOKEN").await.unwrap());
    assert_eq!(text(&job.get("TOKEN").await.unwrap()), "team-value");
}

#[tokio::test]
async fn not_granted_looks_like_not_there() {
    let s = setup().await;
    s.set(Scope::Global, "DEPLOY", "deploy-value").await;
    s.set(Scope::Global, "UNGRANTED", "another-value").await;
    let main = s.run(&s.site, "main", false).await.1;
    assert_eq!(text(&main.get("DEPLOY").await.unwrap()), "deploy-value");
    assert!(s.run(&s.site, "release/1", false).await.1.get("DEPLOY").await.is_ok());
    let other = pipeline("other", "web");
    let refused = [
        (main.clone(), "UNGRANTED", "site"),
        (main.clone(), "MISSING", "site"),
        (s.run(&s.site, "release/1/x", false).await.1, "DEPLOY", "site"),
        (s.run(&s.site, "main2", false).await.1, "DEPLOY", "site"),
        (s.run(&s.site, "main", true).await.1, "DEPLOY", "site"),
        (s.run(&other, "main", false).await.1, "DEPLOY", "other"),
    ];
    for (job, key, pipeline) in refused {
        let error = job.get(key).await.unwrap_err().to_string();
        let expected = SecretError::NotAvailable { pipeline: pipeline.into(), key: key.into() }.to_string();
        assert_eq!(error, expected);
    }
}

#[tokio::test]
async fn a_secret_of_the_pipeline_itself_needs_a_grant_too() {
    let s = setup().await;
    let site = s.test.pipeline_id("site").await;
    s.set(Scope::Pipeline(site), "OWN_KEY", "own-value").await;
    let job = s.run(&s.site, "main", false).await.1;
    assert!(matches!(job.get("OWN_KEY").await, Err(SecretError::NotAvailable { .. })));
}

#[tokio::test]
async fn a_job_that_ended_reads_nothing() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    let (claimed, job) = s.run(&s.site, "main", false).await;
    assert_eq!(job.granted().await.unwrap().len(), 1);
    let end = crate::model::job::Event::Exited { code: 0 };
    queue::finish(&s.test.store, claimed.lease, end, None).await.unwrap();
    assert!(job.get("TOKEN").await.is_err());
    assert!(job.granted().await.unwrap().is_empty());
}

#[tokio::test]
async fn every_read_is_in_the_audit_log_without_its_value() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    let (claimed, job) = s.run(&s.site, "main", false).await;
    job.get("TOKEN").await.unwrap();
    job.get("NOPE").await.unwrap_err();
    let lines = s.test.store.read(|v| audit_log::page(v, None, i64::MAX, 9)).await.unwrap();
    let seen: Vec<_> = lines.iter().map(|l| (l.resource.as_str(), l.decision.as_str())).collect();
    assert_eq!(seen, [("secret NOPE", "denied"), ("secret TOKEN", "allowed")]);
    assert_eq!(lines[0].label, format!("job {}", claimed.job.id));
    assert!(!format!("{lines:?}").contains("token-value"));
}

#[tokio::test]
async fn nothing_on_disk_shows_a_value() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "needle-in-the-haystack").await;
    s.set(Scope::Global, "TOKEN", "needle-in-the-haystack-2").await;
    let (claimed, _) = s.run(&s.site, "main", false).await;
    let mask = Secret::new(b"needle-at-run-time".to_vec());
    let (id, lease) = (claimed.job.id, claimed.lease.id);
    keep_value(&s.test.store, &s.vault, id, lease, "/mask#0", mask).await.unwrap();
    let kept = kept_values(&s.test.store, &s.vault, id).await.unwrap();
    assert_eq!((kept[0].key.as_str(), text(&kept[0].value).as_str()), ("/mask#0", "needle-at-run-time"));
    for file in fs::read_dir(s.test.dir.path()).unwrap().map(Result::unwrap).filter(|f| f.path().is_file()) {
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"needle"), "{:?}", file.path());
    }
    let listed = list(&s.test.store, Scope::Global).await.unwrap();
    assert_eq!((listed[0].key.as_str(), listed[0].version), ("TOKEN", 2));
}

#[tokio::test]
async fn a_moved_or_damaged_value_fails_with_the_command_that_sets_it() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    s.set(Scope::Global, "DEPLOY", "deploy-value").await;
    let job = s.run(&s.site, "main", false).await.1;
    let moved = s.test.store.write("test", Durability::Progress, |tx| {
        let from = table::find(tx, Scope::Global, "DEPLOY")?.unwrap();
        let to = table::find(tx, Scope::Global, "TOKEN")?.unwrap();
        table::reencrypt(tx, to.id, &from.value_encrypted)?;
        table::reencrypt(tx, from.id, &[1])
    });
    moved.await.unwrap();
    let error = job.get("TOKEN").await.unwrap_err().to_string();
    assert!(error.contains("'TOKEN'") && error.contains("danube secret set TOKEN --global"), "{error}");
    assert!(matches!(job.get("DEPLOY").await, Err(SecretError::Damaged { .. })));
    assert!(job.granted().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_new_key_opens_everything_and_the_old_file_is_gone() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    let (claimed, job) = s.run(&s.site, "main", false).await;
    let mask = Secret::new(b"mask-value".to_vec());
    keep_value(&s.test.store, &s.vault, claimed.job.id, claimed.lease.id, "/mask#0", mask).await.unwrap();
    let old = fs::read(keys(&s.test).join("encryption.key")).unwrap();
    for _ in 0..3 {
        let rotated = rotate_key(&s.test.store, &s.vault).await.unwrap();
        assert_eq!(rotated, Rotated { values: 2, damaged: vec![] });
        assert_eq!(text(&job.get("TOKEN").await.unwrap()), "token-value");
    }
    assert_ne!(fs::read(keys(&s.test).join("encryption.key")).unwrap(), old);
    assert_eq!(fs::read_dir(keys(&s.test)).unwrap().count(), 1);
    s.set(Scope::Global, "LATER", "later-value").await;
    let again = open_vault(&s.test).await.unwrap();
    assert_eq!(text(&of_danube(&s.test.store, &again, "LATER").await.unwrap()), "later-value");
    assert_eq!(text(&of_danube(&s.test.store, &again, "TOKEN").await.unwrap()), "token-value");
    assert_eq!(kept_values(&s.test.store, &again, claimed.job.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rotation_killed_on_either_side_of_its_commit_loses_nothing() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    let (current, next) = (keys(&s.test).join("encryption.key"), keys(&s.test).join("encryption.key.next"));
    // Killed before the commit: a next key that the database does not know.
    fs::write(&next, [7; 32]).unwrap();
    fs::set_permissions(&next, fs::Permissions::from_mode(0o600)).unwrap();
    let vault = open_vault(&s.test).await.unwrap();
    assert!(!next.exists());
    assert_eq!(text(&of_danube(&s.test.store, &vault, "TOKEN").await.unwrap()), "token-value");
    // Killed after the commit, before the rename.
    let old = fs::read(&current).unwrap();
    rotate_key(&s.test.store, &vault).await.unwrap();
    fs::rename(&current, &next).unwrap();
    fs::write(&current, old).unwrap();
    let vault = open_vault(&s.test).await.unwrap();
    assert!(!next.exists());
    assert_eq!(text(&of_danube(&s.test.store, &vault, "TOKEN").await.unwrap()), "token-value");
}

#[tokio::test]
async fn rotations_that_fail_leave_everything_readable() {
    let s = setup().await;
    s.set(Scope::Global, "TOKEN", "token-value").await;
    s.test.refuse_secrets(true);
    for _ in 0..3 {
        assert!(rotate_key(&s.test.store, &s.vault).await.is_err());
        assert_eq!(text(&of_danube(&s.test.store, &s.vault, "TOKEN").await.unwrap()), "token-value");
    }
    s.test.refuse_secrets(false);
    assert!(rotate_key(&s.test.store, &s.vault).await.unwrap().damaged.is_empty());
    assert_eq!(text(&of_danube(&s.test.store, &s.vault, "TOKEN").await.unwrap()), "token-value");
}

#[tokio::test]
async fn a_wrong_key_file_stops_the_start_with_file_mode_and_fix() {
    let s = setup().await;
    let path = keys(&s.test).join("encryption.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let refusal = async || open_vault(&s.test).await.map(drop).unwrap_err().to_string();
    mode(0o640);
    let error = refusal().await;
    assert!(error.contains("encryption.key") && error.contains("mode 0640") && error.contains("chmod 0600"), "{error}");
    mode(0o600);
    let good = fs::read(&path).unwrap();
    fs::write(&path, [1; 31]).unwrap();
    assert!(refusal().await.contains("it has 31 bytes, not 32"));
    fs::write(&path, [1; 32]).unwrap();
    assert!(refusal().await.contains("put the right key file back"));
    fs::remove_file(&path).unwrap();
    assert!(refusal().await.contains("cannot be read"), "a new key would open nothing");
    fs::write(&path, good).unwrap();
    mode(0o600);
    open_vault(&s.test).await.unwrap();
}

#[test]
fn names_and_values_have_limits() {
    for key in ["", "1A", "A-B", "A B", "A\n", "é", &"A".repeat(129)] {
        assert!(matches!(check_value(key, b"long enough"), Err(SecretError::BadKey { .. })), "{key:?}");
    }
    for size in [0, 5, MAX_VALUE + 1] {
        assert!(matches!(check_value("KEY", &vec![b'x'; size]), Err(SecretError::BadValue { .. })), "{size}");
    }
    for size in [6, MAX_VALUE] {
        check_value("_KEY_1", &vec![b'x'; size]).unwrap();
    }
}

#[tokio::test]
async fn a_run_reads_its_file_and_environment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets");
    let write = |text: &str, mode| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let env = || {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        [pair("DANUBE_SECRET_TOKEN", "from-env"), pair("DANUBE_SECRET_OTHER", "other-env"), pair("HOME", "/root")]
    };
    write("# comment\n\nTOKEN=a=b = c\n", 0o600);
    let source = PlainFile::load(Some(&path), env()).unwrap();
    assert_eq!(text(&source.get("TOKEN").await.unwrap()), "a=b = c");
    assert_eq!(text(&source.get("OTHER").await.unwrap()), "other-env");
    assert_eq!(source.granted().await.unwrap().len(), 2);
    let missing = source.get("HOME").await.unwrap_err().to_string();
    assert!(missing.contains("DANUBE_SECRET_HOME"), "{missing}");
    write("TOKEN=long-enough\n", 0o644);
    assert!(PlainFile::load(Some(&path), []).unwrap_err().to_string().contains("0644"));
    for line in ["TOKEN=long-enough\nc2VjcmV0LXZhbHVl\n", "TOKEN=long-enough\nc2Vj-cmV0=\n"] {
        write(line, 0o600);
        let error = PlainFile::load(Some(&path), []).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("c2Vj"), "{error}");
    }
}
