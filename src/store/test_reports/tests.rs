//! Reports of several jobs of one pipeline, and what each says about the others.
use super::*;
use crate::model::job::Event;
use crate::model::trigger::{Revision, Trigger};
use crate::model::{PipelineId, Principal};
use crate::queue::{self, Lease, Limits, NewJob};
use crate::store::testing::{TestStore, pipeline, settings, with};
use crate::store::{Durability, annotations, test_history};

pub(crate) struct Shop {
    pub(crate) test: TestStore,
    pub(crate) pipeline: PipelineId,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        let test = with(settings(vec![pipeline("shop", "web")])).await;
        let pipeline = test.pipeline_id("shop").await;
        Self { test, pipeline }
    }

    pub(crate) async fn start(&self, branch: &str, commit: &str) -> Lease {
        let revision = Revision {
            commit: commit.to_owned(),
            branch: branch.to_owned(),
            tag: None,
            message: String::new(),
            author: String::new(),
        };
        let new = NewJob {
            pipeline_id: self.pipeline,
            pipeline: pipeline("shop", "web"),
            config_commit: "c0ffee".to_owned(),
            trigger: Trigger::Manual,
            event: None,
            origin: None,
            actor: Principal::System,
            revision,
            pull_request: None,
            pr_base: None,
            fork: false,
            params: [].into(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        queue::enqueue(&self.test.store, new).await.unwrap();
        let claimed = queue::claim(&self.test.store, "test", Limits { max_running: 100 }).await.unwrap();
        claimed.unwrap().lease
    }

    pub(crate) async fn record(&self, lease: Lease, key: &str, cases: &[TestCase]) -> TestReportRow {
        let count = |wanted: fn(TestStatus) -> bool| cases.iter().filter(|case| wanted(case.status)).count() as u64;
        let new = NewTestReport {
            job_id: lease.job,
            key: key.to_owned(),
            name: "unit".to_owned(),
            branch: String::new(),
            files: 1,
            total: cases.len() as u64,
            passed: count(|status| status == TestStatus::Passed),
            failed: count(TestStatus::is_bad),
            skipped: count(|status| status == TestStatus::Skipped),
            millis: cases.iter().map(|case| case.millis).sum(),
            cases: cases.to_vec(),
            notes: vec!["one note".to_owned()],
        };
        self.test.store.write("test", Durability::Progress, move |tx| record(tx, lease.id, new)).await.unwrap()
    }

    pub(crate) async fn end(&self, lease: Lease, good: bool) {
        let event = Event::Exited { code: i32::from(!good) };
        queue::finish(&self.test.store, lease, event, None).await.unwrap();
    }

    /// A whole job with one report.
    async fn run(&self, branch: &str, commit: &str, cases: &[TestCase], good: bool) -> TestReportRow {
        let lease = self.start(branch, commit).await;
        let row = self.record(lease, "/junit#0", cases).await;
        self.end(lease, good).await;
        row
    }

    async fn rows(&self, report: i64) -> Vec<TestResultRow> {
        self.test.store.read(move |view| page(view, &[report], &[0, 1, 2, 3, 4], None, 100)).await.unwrap()
    }
}

pub(crate) fn case(name: &str, status: TestStatus) -> TestCase {
    let message = status.is_bad().then(|| "assert 1 == 2".to_owned());
    TestCase { suite: "shop.Cart".to_owned(), name: name.to_owned(), status, millis: 7, runs: 1, message }
}

use TestStatus::{Failed, Passed, Skipped};

#[tokio::test]
async fn what_fails_since_the_last_green_run_of_the_branch_is_new() {
    let shop = Shop::new().await;
    let first = shop.run("main", "c1", &[case("a", Failed), case("b", Passed)], false).await;
    assert_eq!((first.newly_failing, first.baseline), (0, None), "nothing was green before");
    let green = shop.run("main", "c2", &[case("a", Failed), case("b", Passed), case("c", Skipped)], true).await;
    let red = shop.run("main", "c3", &[case("a", Failed), case("b", Failed), case("d", Failed)], false).await;
    assert_eq!(red.baseline, Some(green.job_id));
    let places: Vec<_> = shop.rows(red.id).await.into_iter().map(|row| (row.name, row.place)).collect();
    assert_eq!(places, [("b".to_owned(), 0), ("d".to_owned(), 0), ("a".to_owned(), 1)]);
    let still = shop.run("main", "c4", &[case("b", Failed)], false).await;
    assert_eq!(still.newly_failing, 1, "it fails since the last green run, not since the last run");
    let branch = shop.run("topic", "c5", &[case("b", Failed)], false).await;
    assert_eq!(branch.baseline, Some(green.job_id), "a branch that was never green is compared with another");
}

#[tokio::test]
async fn both_outcomes_at_one_commit_make_both_jobs_tell_of_a_flaky_test() {
    let shop = Shop::new().await;
    shop.run("main", "c0", &[case("a", Passed)], true).await;
    let red = shop.run("main", "c1", &[case("a", Failed)], false).await;
    assert_eq!((red.flaky, red.newly_failing), (0, 1));
    let again = shop.run("main", "c1", &[case("a", Passed)], true).await;
    assert_eq!(again.flaky, 1);
    let before = shop.test.store.read(move |view| of_job(view, red.job_id)).await.unwrap();
    assert_eq!((before[0].flaky, before[0].newly_failing), (1, 0));
    assert_eq!(shop.rows(again.id).await[0].place, 2);
    let pipeline = shop.pipeline;
    let listed =
        shop.test.store.read(move |view| test_history::page(view, pipeline, test_history::Which::Flaky, None, 10));
    assert_eq!(listed.await.unwrap()[0].last_flaky, Some(again.id));
}

#[tokio::test]
async fn the_history_of_a_test_is_newest_first_and_names_its_jobs() {
    let shop = Shop::new().await;
    for (n, status) in [Passed, Failed, Failed].into_iter().enumerate() {
        shop.run("main", &format!("c{n}"), &[case("a", status)], status == Passed).await;
    }
    let pipeline = shop.pipeline;
    let (case, past, since) = shop
        .test
        .store
        .read(move |view| {
            let case = test_history::page(view, pipeline, test_history::Which::Failed, None, 10)?.remove(0);
            let past = test_history::of_case(view, case.id, None, 10)?;
            let since = test_history::failing_since(view, case.id)?;
            Ok((case, past, since))
        })
        .await
        .unwrap();
    assert_eq!((case.suite.as_str(), case.name.as_str()), ("shop.Cart", "a"));
    let seen: Vec<_> = past.iter().map(|row| (row.number, row.status)).collect();
    assert_eq!(seen, [(3, Failed), (2, Failed), (1, Passed)]);
    assert_eq!(since.unwrap().number, 2);
}

#[tokio::test]
async fn a_second_report_of_a_name_gets_a_number_and_the_same_call_changes_nothing() {
    let shop = Shop::new().await;
    let lease = shop.start("main", "c1").await;
    let one = shop.record(lease, "/junit#0", &[case("a", Passed)]).await;
    let again = shop.record(lease, "/junit#0", &[case("a", Passed)]).await;
    assert_eq!(one, again);
    assert_eq!(shop.record(lease, "/junit#1", &[case("a", Failed)]).await.name, "unit (2)");
    assert_eq!(one.notes, ["one note"]);
}

#[tokio::test]
async fn pages_of_results_join_without_gap_or_double() {
    let shop = Shop::new().await;
    let lease = shop.start("main", "c1").await;
    let cases: Vec<_> = (0..25).map(|n| case(&format!("t{n:02}"), if n % 3 == 0 { Failed } else { Passed })).collect();
    let one = shop.record(lease, "/junit#0", &cases).await.id;
    let two = shop.record(lease, "/junit#1", &cases).await.id;
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let rows = shop.test.store.read(move |view| page(view, &[one, two], &[0, 1, 2, 3, 4], after, 7)).await.unwrap();
        let Some(last) = rows.last() else { break };
        after = Some(After { place: last.place, report: last.report_id, case: last.case_id });
        seen.extend(rows.iter().map(|row| (row.place, row.report_id, row.case_id)));
    }
    assert_eq!(seen.len(), 50);
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]), "{seen:?}");
}

#[tokio::test]
async fn everything_goes_with_the_job() {
    let shop = Shop::new().await;
    let lease = shop.start("main", "c1").await;
    shop.record(lease, "/junit#0", &[case("a", Failed)]).await;
    let note = annotations::NewAnnotation {
        job_id: lease.job,
        key: "/annotate#0".to_owned(),
        level: annotations::AnnotationLevel::Warning,
        markdown: "**slow**".to_owned(),
        place: crate::model::call::Place { file: "danubefile.py".to_owned(), line: 3 },
    };
    let twice = move |tx: &Tx<'_>| {
        annotations::insert(tx, lease.id, &note)?;
        annotations::insert(tx, lease.id, &note)
    };
    shop.test.store.write("test", Durability::Progress, twice).await.unwrap();
    let read = move |view: &View<'_>| annotations::of_job(view, lease.job);
    let kept = shop.test.store.read(read).await.unwrap();
    assert_eq!((kept.len(), kept[0].markdown.as_str(), kept[0].line), (1, "**slow**", 3));
    let conn = rusqlite::Connection::open(shop.test.store.path()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM jobs;").unwrap();
    for table in ["annotations", "test_reports", "test_results", "test_cases"] {
        let left: i64 = conn.query_row(&format!("SELECT COUNT(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "{table}");
    }
}
