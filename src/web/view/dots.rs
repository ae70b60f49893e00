//! The past of a test as a row of small marks: a tall one failed, a middle one was flaky, a low one passed.
use crate::model::test::TestStatus;
use crate::store::test_history::PastResultRow;

/// Marks of a row.
pub(in crate::web) const DOTS: u32 = 20;

/// One result.
#[derive(Debug, Clone)]
pub(in crate::web) struct Dot {
    /// `ok`, `bad`, `flaky`, `none`.
    pub(in crate::web) class: &'static str,
    /// Left edge.
    pub(in crate::web) x: usize,
    /// Upper edge.
    pub(in crate::web) y: usize,
    /// Height, of 14.
    pub(in crate::web) height: usize,
}

/// The past of a test.
#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Dots {
    /// Oldest first.
    pub(in crate::web) dots: Vec<Dot>,
    /// The same in words.
    pub(in crate::web) label: String,
}

/// The marks of results, given newest first.
pub(in crate::web) fn dots(past: &[PastResultRow]) -> Dots {
    let shown = &past[..past.len().min(DOTS as usize)];
    let free = DOTS as usize - shown.len();
    let marks = shown.iter().rev().enumerate().map(|(place, result)| {
        let (class, height) = match result.status {
            TestStatus::Failed | TestStatus::Error if result.flaky => ("flaky", 14),
            TestStatus::Failed | TestStatus::Error => ("bad", 14),
            TestStatus::Passed if result.flaky => ("flaky", 9),
            TestStatus::Passed => ("ok", 5),
            TestStatus::Skipped => ("none", 2),
        };
        Dot { class, x: (free + place) * 6, y: 14 - height, height }
    });
    let failed = shown.iter().filter(|result| result.status.is_bad()).count();
    let flaky = shown.iter().filter(|result| result.flaky).count();
    let mut label = format!("last {} results: {failed} failed", shown.len());
    if flaky > 0 {
        label.push_str(&format!(", {flaky} flaky"));
    }
    Dots { dots: marks.collect(), label }
}
