//! The jobs that people meet: green, red, running, stopped, waiting.
use danube::model::JobId;
use danube::model::job::Event;

use super::seed::{Push, Ran, Seed};
use super::{around, reports};

/// The message on the line that a person looks for.
pub(super) const FAILING: &str = "FAIL: test_bare_cr (tests.test_comment.TestComment)";

fn green_log(what: &str) -> Vec<u8> {
    let lines = (1..=120).map(|n| format!("\u{1b}[32mok\u{1b}[0m {n} - {what} {n}\n"));
    lines.chain(["\nRan 120 tests in 11.8s\n\nOK\n".to_owned()]).collect::<String>().into_bytes()
}

fn red_log() -> Vec<u8> {
    let mut log = green_log("parses example");
    log.truncate(log.len() - 30);
    log.extend(
        format!(
            "\n\u{1b}[1;31m{FAILING}\u{1b}[0m\nTraceback (most recent call last):\n  File \"tests/test_comment.py\", line \
             41, in test_bare_cr\n    with self.assertRaises(ParseError):\nAssertionError: ParseError not raised\n\nRan \
             742 tests in 9.1s\n\nFAILED (failures=1)\n"
        )
        .bytes(),
    );
    log
}

fn step<'a>(name: &'a str, branch: &'a str, code: Option<i32>, seconds: (u64, u64), log: &'a [u8]) -> Ran<'a> {
    Ran { name, branch, code, seconds, log }
}

/// Everything went well.
pub(super) fn green(seed: &Seed, pipeline: &str) -> JobId {
    let push = Push { message: "Speed up the parser".to_owned(), ..Push::default() };
    let lease = seed.running(pipeline, &push);
    let (lint, test) = (b"ruff: all checks passed\n", green_log("parses example"));
    seed.steps(
        lease,
        &[
            step("lint", "", Some(0), (1, 4), lint),
            step("test 3.11", "/matrix#0[python=3.11]", Some(0), (5, 12), &test),
            step("test 3.12", "/matrix#0[python=3.12]", Some(0), (5, 10), &test),
            step("build", "", Some(0), (17, 6), b"Successfully built tomli-2.0.1-py3-none-any.whl\n"),
        ],
    );
    seed.artifact(lease, "tomli-2.0.1-py3-none-any.whl", b"wheel");
    around::usual(seed, lease, pipeline);
    reports::unit(seed, lease, false);
    reports::good_note(seed, lease);
    seed.pass(24);
    seed.end(lease, Event::Exited { code: 0 }, None);
    lease.job
}

/// One of its tests failed.
pub(super) fn red(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &Push::default());
    let (good, bad) = (green_log("parses example"), red_log());
    seed.steps(
        lease,
        &[
            step("lint", "", Some(0), (1, 4), b"ruff: all checks passed\n"),
            step("test 3.11", "/matrix#0[python=3.11]", Some(1), (5, 12), &bad),
            step("test 3.12", "/matrix#0[python=3.12]", Some(0), (5, 10), &good),
        ],
    );
    seed.artifact(lease, "report.xml", b"<testsuite/>");
    around::usual(seed, lease, pipeline);
    reports::unit(seed, lease, true);
    reports::bad_notes(seed, lease);
    seed.pass(18);
    seed.keep(lease);
    seed.end(lease, Event::Exited { code: 1 }, Some("step \"test 3.11\" failed: exit code 1"));
    lease.job
}

/// Goes on where a red one stopped, and ends well.
pub(super) fn gone_on(seed: &Seed, pipeline: &str, parent: JobId) -> JobId {
    let lease = seed.going_on(pipeline, parent, &["lint", "test 3.12"]);
    let good = green_log("parses example");
    seed.steps(lease, &[step("test 3.11", "/matrix#0[python=3.11]", Some(0), (1, 11), &good)]);
    seed.artifact(lease, "report.xml", b"<testsuite/>");
    seed.pass(14);
    seed.end(lease, Event::Exited { code: 0 }, None);
    lease.job
}

/// In the middle of its second step.
pub(super) fn running(seed: &Seed, pipeline: &str) -> JobId {
    let push = Push { message: "Add the export page".to_owned(), ..Push::default() };
    let lease = seed.running(pipeline, &push);
    let log = green_log("renders row");
    seed.steps(
        lease,
        &[
            step("install", "", Some(0), (1, 9), b"added 214 packages in 9s\n"),
            step("npm test", "", None, (10, 0), &log),
        ],
    );
    seed.pass(25);
    lease.job
}

/// Somebody stopped it.
pub(super) fn cancelled(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &Push::default());
    seed.steps(lease, &[step("deploy", "", None, (1, 0), b"waiting for the cluster\n")]);
    seed.pass(40);
    seed.cancel(lease.job);
    seed.end(lease, Event::Stopped, Some("cancelled by local-admin"));
    lease.job
}

/// Its time was up.
pub(super) fn timeout(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &Push::default());
    seed.steps(lease, &[step("soak", "", None, (1, 0), b"still soaking\n")]);
    seed.pass(3600);
    seed.end(lease, Event::DeadlinePassed, Some("the job ran longer than 3600 s"));
    lease.job
}

/// Its danubefile has a mistake: no step was run.
pub(super) fn rejected(seed: &Seed, pipeline: &str) -> JobId {
    let lease = seed.running(pipeline, &Push::default());
    seed.pass(1);
    seed.end(lease, Event::Rejected, Some("danubefile.py:12: NameError: name 'stpe' is not defined"));
    lease.job
}

/// Some past for the charts.
pub(super) fn history(seed: &Seed, pipeline: &str, red: bool) {
    for n in 0..14u64 {
        let push = Push { message: format!("Change number {n}"), ..Push::default() };
        let lease = seed.running(pipeline, &push);
        seed.pass(20 + n * 7 % 23);
        let code = i32::from(red && n % 5 == 3);
        reports::unit(seed, lease, code == 1);
        seed.end(lease, Event::Exited { code }, (code == 1).then_some("step \"lint\" failed: exit code 1"));
        seed.pass(1500);
    }
}
