//! What the test reports of a job say.
use super::answer::{FailedTest, Tests};
use crate::web::parts::TestsSum;
use crate::web::view::TestLine;

pub(super) fn tests(sum: &TestsSum) -> Tests {
    let test = |line: &TestLine| FailedTest {
        suite: line.suite.clone(),
        name: line.name.clone(),
        state: line.word.to_owned(),
        message: line.first.clone(),
        url: line.href.clone(),
    };
    Tests {
        total: sum.total,
        failed: sum.red,
        newly_failing: sum.newly_failing,
        flaky: sum.flaky,
        skipped: sum.skipped,
        sentence: sum.sentence.clone(),
        first: sum.failed.iter().map(test).collect(),
        url: sum.href.clone(),
    }
}
