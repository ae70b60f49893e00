//! Golden files of unit tests: compared, and written again where DANUBE_BLESS is set.
use std::path::Path;

/// Compares `actual` with the file at `path` (from the top of the tree).
#[track_caller]
pub(crate) fn check(path: &str, actual: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("DANUBE_BLESS").is_some() {
        std::fs::write(&file, actual).expect("a golden file is written");
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(golden == actual, "{path} differs; if that is meant: DANUBE_BLESS=1 cargo test\n--- now:\n{actual}");
}
