//! The store as a whole: durability, isolation, versions, configuration, audit.
use std::sync::Arc;

use rusqlite::Connection;

use super::Field;
use super::apply::Changes;
use super::audit_log::{Chain, Decision, Entry, append, verify_chain};
use super::testing::{empty, pipeline, settings, with};
use super::*;
use crate::model::settings::{Level, Permission};
use crate::model::{Principal, UserId};
use crate::platform::{SeededIds, SystemClock, fault};

#[tokio::test]
async fn a_failed_write_leaves_nothing_behind_and_its_neighbours_stay() {
    let test = empty(1);
    let bad = test.store.write::<(), _>("test", Durability::Acknowledged, |tx| {
        super::settings::set(tx, "half", "done")?;
        Err(StoreError::not_found("the rest"))
    });
    let good = test.store.write("test", Durability::Acknowledged, |tx| super::settings::set(tx, "whole", "done"));
    let (bad, good) = tokio::join!(bad, good);
    assert!(matches!(bad, Err(StoreError::NotFound { .. })));
    good.unwrap();
    let read = |name: &'static str| test.store.read(move |view| super::settings::find(view, name));
    assert_eq!(read("half").await.unwrap(), None);
    assert_eq!(read("whole").await.unwrap().as_deref(), Some("done"));
}

#[tokio::test]
async fn a_panic_in_a_write_is_undone_and_later_writes_go_on() {
    let test = empty(1);
    let panicked = test.store.write::<(), _>("test", Durability::Progress, |tx| {
        super::settings::set(tx, "half", "done")?;
        panic!("a mistake of the caller");
    });
    assert!(matches!(panicked.await, Err(StoreError::Stopped)));
    test.store.write("test", Durability::Progress, |tx| super::settings::set(tx, "next", "1")).await.unwrap();
    assert_eq!(test.store.read(|v| super::settings::find(v, "half")).await.unwrap(), None);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let test = empty(1);
    let result = test.store.read(|view| view.values::<i64>("write", "DELETE FROM settings RETURNING 1", [])).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn a_read_that_nobody_polls_keeps_no_other_from_its_turn() {
    let test = empty(1);
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let busy: Vec<_> = (0..readers::READERS)
        .map(|_| {
            let (store, gate) = (test.store.clone(), Arc::clone(&gate));
            tokio::spawn(async move { store.read(move |_| Ok(gate.lock().unwrap().recv().is_ok())).await })
        })
        .collect();
    while test.store.inner.permits.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    // These wait for their turn, and are then left alone as a loop leaves the futures that it drives.
    let mut left = Vec::new();
    for _ in 0..readers::READERS {
        let mut read = Box::pin(test.store.read(|_| Ok(())));
        assert!(futures::poll!(read.as_mut()).is_pending());
        left.push(read);
    }
    // Whichever of them gets it first: each gets one.
    for _ in &busy {
        go.send(()).unwrap();
    }
    for task in busy {
        assert!(task.await.unwrap().unwrap());
    }
    let next = tokio::time::timeout(std::time::Duration::from_secs(60), test.store.read(|_| Ok(()))).await;
    assert!(next.is_ok(), "reads that nobody polls keep the readers");
    drop(left);
}

#[tokio::test]
async fn every_commit_wakes_who_waits_and_a_rollback_does_not() {
    let test = empty(1);
    let mut changes = test.store.changes();
    let _refused = test.store.write::<(), _>("test", Durability::Progress, |_| Err(StoreError::not_found("it"))).await;
    assert!(!changes.has_changed().unwrap());
    test.store.write("test", Durability::Progress, |tx| super::settings::set(tx, "a", "1")).await.unwrap();
    changes.changed().await.unwrap();
}

#[tokio::test]
async fn many_writes_at_once_are_all_kept() {
    let test = empty(1);
    let writes = (0..300).map(|n| {
        let store = test.store.clone();
        async move {
            store.write("test", Durability::Acknowledged, move |tx| super::settings::set(tx, &n.to_string(), "x")).await
        }
    });
    for result in futures::future::join_all(writes).await {
        result.unwrap();
    }
    let n = test.store.read(|v| v.value::<i64>("count", "SELECT COUNT(*) FROM settings", [])).await.unwrap();
    assert_eq!(n, Some(300));
}

#[tokio::test]
async fn a_write_that_changes_nothing_wakes_nobody() {
    let test = empty(1);
    test.store.write("test", Durability::Progress, |tx| super::settings::set(tx, "one", "x")).await.unwrap();
    let changes = test.store.changes();
    test.store.write("test", Durability::Progress, |tx| super::settings::find(tx, "one").map(drop)).await.unwrap();
    assert!(!changes.has_changed().unwrap());
    test.store.write("test", Durability::Progress, |tx| super::settings::set(tx, "one", "y")).await.unwrap();
    assert!(changes.has_changed().unwrap());
}

#[test]
fn a_database_that_needs_a_newer_reader_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(dir.path(), Arc::new(SystemClock), Arc::new(SeededIds::new(1)));
    drop(open().unwrap());
    let conn = Connection::open(dir.path().join("danube.db")).unwrap();
    conn.execute_batch("UPDATE meta SET schema = 9, min_reader = 8").unwrap();
    let error = open().map(drop).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::TooNew { schema: 9, min_reader: 8, reader: 3, .. }));
    assert!(text.contains("schema 8") && text.contains("reads 3") && text.contains("install"), "{text}");
}

#[test]
fn the_database_of_the_next_release_opens_while_it_allows_this_reader() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::open(dir.path(), Arc::new(SystemClock), Arc::new(SeededIds::new(1)));
    drop(open().unwrap());
    let conn = Connection::open(dir.path().join("danube.db")).unwrap();
    conn.execute_batch(
        "UPDATE meta SET schema = 99; ALTER TABLE jobs ADD COLUMN later TEXT;
         INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
         VALUES (99, 'later', '2026-01-01T00:00:00Z', '1')",
    )
    .unwrap();
    let store = open().unwrap();
    assert_eq!(store.read_blocking(super::settings::schema).unwrap(), (99, 1));
}

#[test]
fn the_database_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock), Arc::new(SeededIds::new(1))).unwrap();
    store.write_blocking("test", Durability::Acknowledged, |tx| super::settings::set(tx, "a", "1")).unwrap();
    for file in std::fs::read_dir(dir.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
    assert!(store.read_blocking(super::settings::integrity_errors).unwrap().is_empty());
}

#[tokio::test]
async fn a_config_commit_keeps_ids_and_deactivates_what_disappears() {
    let test = with(settings(vec![pipeline("site", "web"), pipeline("api", "web")])).await;
    let site = test.pipeline_id("site").await;
    let mut shop = pipeline("site", "web");
    shop.script = "ci.py".into();
    let mut next = settings(vec![shop, pipeline("shop", "ops")]);
    next.users.retain(|u| u.name != "bob");
    let changes = test.apply(next, "decade").await;
    assert_eq!(
        changes,
        Changes {
            users: vec!["-bob".into()],
            teams: vec![],
            pipelines: vec!["+shop".into(), "~site".into(), "-api".into()],
            fields: vec![Field {
                kind: "pipeline".into(),
                name: "site".into(),
                field: "script".into(),
                before: Some("danubefile.py".into()),
                after: Some("ci.py".into()),
            }],
        }
    );
    assert_eq!(test.pipeline_id("site").await, site);
    let api = test.store.read(|v| pipelines::find_by_name(v, "api")).await.unwrap().unwrap();
    assert!(!api.active);
    let in_force = test.store.read(config_commits::in_force).await.unwrap().unwrap();
    assert_eq!(in_force.sha, "decade");
}

#[tokio::test]
async fn a_refused_commit_is_recorded_and_the_last_good_one_stays_in_force() {
    let test = with(settings(vec![])).await;
    for errors in ["[1]", "[1,2]"] {
        test.store
            .write("test", Durability::Acknowledged, move |tx| config_commits::record_failure(tx, "bad", errors))
            .await
            .unwrap();
    }
    let recent = test.store.read(|v| config_commits::recent(v, 10)).await.unwrap();
    assert_eq!(recent.iter().map(|c| c.sha.as_str()).collect::<Vec<_>>(), ["bad", "c0ffee"]);
    assert_eq!(recent[0].errors.as_deref(), Some("[1,2]"));
    assert_eq!(test.store.read(config_commits::in_force).await.unwrap().unwrap().sha, "c0ffee");
}

#[tokio::test]
async fn a_commit_with_an_unknown_team_changes_nothing() {
    let test = with(settings(vec![pipeline("site", "web")])).await;
    let broken = settings(vec![pipeline("site", "nobody")]);
    let write =
        test.store.write("test", Durability::Acknowledged, move |tx| apply::apply(tx, &broken, "bad", tx.now()));
    let error = write.await.unwrap_err().to_string();
    assert!(error.contains("nobody"), "{error}");
    assert_eq!(test.store.read(pipelines::active).await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_users_may_swap_their_addresses() {
    let test = with(settings(vec![])).await;
    let mut swapped = settings(vec![]);
    swapped.users[0].email = "bob@example.com".into();
    swapped.users[1].email = "Alice@example.com".into();
    test.apply(swapped, "swap").await;
    let bob = test.store.read(|v| users::find_active_by_email(v, "alice@example.com")).await.unwrap().unwrap();
    assert_eq!(bob.name, "bob");
}

#[tokio::test]
async fn somebody_has_the_highest_level_of_their_teams() {
    let mut site = pipeline("site", "ops");
    site.permissions = vec![
        Permission { team: "web".into(), level: Level::Write },
        Permission { team: "web".into(), level: Level::Read },
    ];
    let test = with(settings(vec![site])).await;
    let id = test.pipeline_id("site").await;
    let levels = |email: &'static str| test.store.read(move |v| pipelines::levels_of_email(v, email));
    assert_eq!(levels("ALICE@example.com").await.unwrap(), [(id, Level::Write)]);
    assert_eq!(levels("root@example.com").await.unwrap(), [(id, Level::Admin)]);
    assert_eq!(levels("nobody@example.com").await.unwrap(), []);
}

fn entry(detail: &str) -> Entry {
    Entry {
        principal: Principal::LocalAdmin,
        action: "job.cancel".into(),
        resource: "site#1".into(),
        decision: Decision::Allowed,
        detail: detail.into(),
        pipeline: None,
    }
}

#[tokio::test]
async fn the_audit_log_shows_where_it_was_changed() {
    let test = empty(1);
    for n in 0..3 {
        test.store.write("test", Durability::Acknowledged, move |tx| append(tx, &entry(&n.to_string()))).await.unwrap();
    }
    assert_eq!(test.store.read(verify_chain).await.unwrap(), Chain::Sound { lines: 3 });
    let refused = test
        .store
        .write("test", Durability::Acknowledged, |tx| tx.run("change it", "UPDATE audit_log SET detail = ''", []));
    assert!(refused.await.unwrap_err().to_string().contains("could not change it"));
    let conn = Connection::open(test.store.path()).unwrap();
    conn.execute_batch("DROP TRIGGER audit_log_no_update; UPDATE audit_log SET detail = 'x' WHERE seq = 2").unwrap();
    assert_eq!(test.store.read(verify_chain).await.unwrap(), Chain::Broken { seq: 2 });
}

#[tokio::test]
async fn a_delivery_is_stored_once() {
    let test = empty(1);
    let new = deliveries::NewDelivery {
        forge: "gitea".into(),
        name: "default".into(),
        delivery_id: "1".into(),
        event: "push".into(),
        payload: b"{}".to_vec(),
    };
    let insert = |new: deliveries::NewDelivery| {
        test.store.write("test", Durability::Acknowledged, move |tx| deliveries::insert(tx, &new))
    };
    let first = insert(new.clone()).await.unwrap().unwrap();
    assert_eq!(insert(new).await.unwrap(), None);
    let settle = move |tx: &Tx<'_>| deliveries::settle(tx, first, deliveries::DeliveryState::Ignored, "no pipeline");
    assert!(test.store.write("test", Durability::Progress, settle).await.unwrap());
    assert!(!test.store.write("test", Durability::Progress, settle).await.unwrap());
    assert!(test.store.read(|v| deliveries::waiting(v, 10)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_login_link_works_once_and_not_after_its_time() {
    let test = empty(1);
    let expires = test.clock.now() + jiff::SignedDuration::from_mins(10);
    let write = |name: &'static str| {
        test.store
            .write("test", Durability::Acknowledged, move |tx| login_links::insert(tx, name, "local-admin", expires))
    };
    let consume = |name: &'static str| {
        test.store.write("test", Durability::Acknowledged, move |tx| login_links::consume(tx, name))
    };
    write("one").await.unwrap();
    write("two").await.unwrap();
    assert!(consume("one").await.unwrap());
    assert!(!consume("one").await.unwrap());
    test.clock.advance(std::time::Duration::from_secs(600));
    assert!(!consume("two").await.unwrap());
    assert!(!consume("never").await.unwrap());
}

#[tokio::test]
async fn a_session_and_a_token_end_with_their_user() {
    let test = with(settings(vec![])).await;
    let bob: UserId = test.store.read(|v| users::find_active_by_email(v, "bob@example.com")).await.unwrap().unwrap().id;
    let now = test.clock.now();
    let later = now + jiff::SignedDuration::from_hours(1);
    let new = tokens::NewToken {
        name: "ci".into(),
        hash: "t".into(),
        kind: "personal".into(),
        user_id: Some(bob),
        scopes: vec!["read".into()],
        expires_at: None,
    };
    test.store
        .write("test", Durability::Acknowledged, move |tx| {
            sessions::insert(tx, "s", Some(bob), "csrf", later)?;
            tokens::insert(tx, &new)
        })
        .await
        .unwrap();
    let token = test.store.read(move |v| tokens::find_valid(v, "t", now)).await.unwrap().unwrap();
    assert_eq!(token.scopes, ["read"]);
    assert!(test.store.read(move |v| sessions::find_valid(v, "s", now)).await.unwrap().is_some());
    assert!(test.store.read(move |v| sessions::find_valid(v, "s", later)).await.unwrap().is_none());
    let mut without = settings(vec![]);
    without.users.retain(|u| u.name != "bob");
    test.apply(without, "next").await;
    assert!(test.store.read(move |v| tokens::find_valid(v, "t", now)).await.unwrap().is_none());
    assert!(test.store.read(move |v| sessions::find_valid(v, "s", now)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_message_is_written_once_and_retried_until_it_is_given_up() {
    let test = empty(1);
    let add = || test.store.write("test", Durability::Acknowledged, |tx| outbox::add(tx, "status", "k", None, "{}"));
    assert!(add().await.unwrap());
    assert!(!add().await.unwrap());
    let now = test.clock.now();
    let due = |at| test.store.read(move |v| outbox::due(v, at, 10));
    let id = due(now).await.unwrap()[0].id;
    let later = now + jiff::SignedDuration::from_mins(1);
    test.store.write("test", Durability::Progress, move |tx| outbox::failed(tx, id, "502", Some(later))).await.unwrap();
    assert!(due(now).await.unwrap().is_empty());
    assert_eq!(due(later).await.unwrap()[0].attempts, 1);
    test.store.write("test", Durability::Progress, move |tx| outbox::failed(tx, id, "410", None)).await.unwrap();
    assert!(due(later).await.unwrap().is_empty());
}

#[test]
fn hot_queries_use_their_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Arc::new(SystemClock), Arc::new(SeededIds::new(1))).unwrap();
    let plan = |sql: &str| -> String {
        let conn = Connection::open(store.path()).unwrap();
        let mut query = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let mut rows = query.raw_query();
        let mut plan = String::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push_str(&row.get::<_, String>(3).unwrap());
            plan.push('\n');
        }
        plan
    };
    for (sql, index) in [
        ("SELECT * FROM jobs WHERE status = 'running' ORDER BY id", "jobs_by_status"),
        ("SELECT COUNT(*) FROM jobs WHERE status = 'running' AND team = 'a'", "jobs_running"),
        ("SELECT * FROM jobs WHERE pipeline_id = 'a' AND id < 'b' ORDER BY id DESC LIMIT 9", "jobs_by_pipeline"),
        ("SELECT * FROM jobs WHERE status = 'failure' AND id < 'b' ORDER BY id DESC LIMIT 9", "jobs_by_status"),
        ("SELECT * FROM jobs WHERE id < 'b' AND branch = 'a' ORDER BY id DESC LIMIT 9", "jobs_by_branch"),
        (
            "SELECT * FROM jobs WHERE id < 'b' AND pipeline_id = 'a' AND branch = 'a' ORDER BY id DESC LIMIT 9",
            "jobs_by_pipeline_branch",
        ),
        (
            "SELECT * FROM jobs WHERE id < 'b' AND status = 'failure' AND branch = 'a' ORDER BY id DESC LIMIT 9",
            "jobs_by_branch_status (branch=? AND status=? AND id<?)",
        ),
        (
            "SELECT * FROM jobs WHERE id < 'b' AND pipeline_id = 'a' AND status = 'failure' AND branch = 'a'
             ORDER BY id DESC LIMIT 9",
            "jobs_by_pipeline_branch_status (pipeline_id=? AND branch=? AND status=? AND id<?)",
        ),
        (
            "SELECT * FROM jobs WHERE pipeline_id = 'a' AND status = 'failure' AND id < 'b' ORDER BY id DESC LIMIT 9",
            "jobs_by_pipeline_status",
        ),
        (
            "SELECT * FROM jobs WHERE pipeline_id = 'a' AND branch = 'b' AND status = 'success' ORDER BY id DESC LIMIT 1",
            "jobs_by_pipeline_branch_status",
        ),
        (
            "SELECT id FROM jobs INDEXED BY jobs_with_logs WHERE finished_at < 9 AND finished_at IS NOT NULL AND logs_expired_at IS NULL
             ORDER BY finished_at LIMIT 9",
            "jobs_with_logs",
        ),
        ("SELECT * FROM test_reports WHERE job_id = 'a' ORDER BY id", "sqlite_autoindex_test_reports"),
        (
            "SELECT * FROM test_results WHERE report_id = 1 AND place = 0 AND case_id > 9 ORDER BY case_id LIMIT 9",
            "test_results_by_place",
        ),
        ("SELECT * FROM test_results WHERE case_id = 1 AND report_id < 9 ORDER BY report_id DESC LIMIT 9", "PRIMARY KEY"),
        (
            "SELECT * FROM test_cases WHERE pipeline_id = 'a' AND last_failed IS NOT NULL AND last_failed <= 9
             AND (last_failed < 9 OR id > 1) ORDER BY last_failed DESC, id LIMIT 9",
            "test_cases_failed",
        ),
        ("SELECT * FROM test_cases WHERE pipeline_id = 'a' AND id > 3 ORDER BY id LIMIT 9", "test_cases_by_pipeline"),
        (
            "SELECT id FROM jobs WHERE commit_sha >= 'a' AND commit_sha < 'a' || 'g'
             ORDER BY commit_sha DESC, id DESC LIMIT 9",
            "COVERING INDEX jobs_by_commit",
        ),
        ("SELECT * FROM audit_log WHERE seq < 9 AND label = 'a' ORDER BY seq DESC LIMIT 9", "audit_log_by_label"),
        ("SELECT * FROM audit_log WHERE seq < 9 AND action = 'a' ORDER BY seq DESC LIMIT 9", "audit_log_by_action"),
        ("SELECT seq FROM audit_log WHERE at >= 9 ORDER BY at, seq LIMIT 1", "audit_log_by_time"),
        ("SELECT 1 FROM jobs WHERE group_key = 'a' AND status = 'running'", "jobs_group"),
        ("SELECT * FROM webhook_deliveries WHERE state = 'received' ORDER BY received_at", "webhook_deliveries_open"),
        ("SELECT * FROM outbox WHERE state = 'waiting' AND next_at <= 1 ORDER BY next_at", "outbox_due"),
    ] {
        let plan = plan(sql);
        assert!(plan.contains(index), "{sql}\n{plan}");
    }
    let claim = plan(job_moves::CLAIM);
    assert!(!claim.contains("SCAN"), "{claim}");
}

/// The other half of the test below, in a process of its own: writes until it is killed.
#[test]
fn killed_writer() {
    use std::io::Write;
    let Some(dir) = std::env::var_os("DANUBE_TEST_KILLED_WRITER") else { return };
    let store = Store::open(dir.as_ref(), Arc::new(SystemClock), Arc::new(SeededIds::new(1))).unwrap();
    for n in 0.. {
        let durability = if n % 2 == 0 { Durability::Acknowledged } else { Durability::Progress };
        store.write_blocking("test", durability, move |tx| super::settings::set(tx, "n", &n.to_string())).unwrap();
        println!("\nwritten {n}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn what_was_answered_survives_a_kill() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed_writer", "--nocapture"])
            .env("DANUBE_TEST_KILLED_WRITER", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut answered = lines.filter_map(|line| line.strip_prefix("written ")?.parse::<u64>().ok());
        answered.by_ref().find(|n| *n == round * 13).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let last = answered.last().unwrap_or(round * 13);
        let store = Store::open(dir.path(), Arc::new(SystemClock), Arc::new(SeededIds::new(1))).unwrap();
        assert!(store.read_blocking(super::settings::integrity_errors).unwrap().is_empty());
        let kept: u64 = store.read_blocking(|v| super::settings::find(v, "n")).unwrap().unwrap().parse().unwrap();
        assert!(kept == last || kept == last + 1, "answered {last}, kept {kept}");
    }
}

#[tokio::test]
async fn a_write_that_the_disk_refuses_is_undone_alone_and_says_which_way() {
    let test = empty(1);
    let faults = "test.full:enospc,test.broken:eio@2".to_owned();
    fault::arm(&fault::Wish { faults, hits: None }).unwrap();
    let set = |key: &'static str| move |tx: &Tx<'_>| super::settings::set(tx, key, "1");
    let (full, fine) = tokio::join!(
        test.store.write("test.full", Durability::Progress, set("a")),
        test.store.write("test", Durability::Progress, set("b")),
    );
    assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
    fine.unwrap();
    for (key, good) in [("c", true), ("d", false), ("e", true)] {
        let wrote = test.store.write("test.broken", Durability::Acknowledged, set(key)).await;
        match wrote {
            Ok(()) => assert!(good, "{key}"),
            Err(error) => assert!(!good && matches!(error, StoreError::Disk { .. }), "{error:?}"),
        }
    }
    let kept =
        ["a", "b", "c", "d", "e"].map(|key| test.store.read_blocking(|view| super::settings::find(view, key)).unwrap());
    assert_eq!(kept.map(|value| value.is_some()), [false, true, true, false, true]);
}
