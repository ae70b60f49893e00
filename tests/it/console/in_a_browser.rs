//! Looked at and used in a real browser. `make pages` runs these: they take both cores for minutes.
use std::path::{Path, PathBuf};

use super::browser::Browser;
use super::worlds;

#[test]
fn every_page_in_every_state_is_fit_for_people() {
    let worlds =
        [worlds::empty(), worlds::idle(), worlds::running(), worlds::failed(), worlds::succeeded(), worlds::huge()];
    let browser = Browser::with(&worlds);
    match wanted_pictures() {
        Some(dir) => browser.run("shots", &dir),
        None => browser.run("pages", &kept("pages")),
    }
}

#[test]
fn a_person_without_a_mouse_starts_stops_and_understands_a_job() {
    Browser::with(&[worlds::live()]).run("hands", &kept("hands"));
}

#[test]
fn a_person_follows_scrolls_and_searches_logs() {
    Browser::with(&[worlds::logs()]).run("logs", &kept("logs"));
}

/// Where `make screenshots` wants pictures instead of a judgement.
fn wanted_pictures() -> Option<PathBuf> {
    std::env::var_os("DANUBE_SCREENSHOTS").map(PathBuf::from)
}

/// Where the pictures of what is wrong stay.
fn kept(part: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console").join(part);
    // Those of the last run would mislead; there may be none.
    let _none = std::fs::remove_dir_all(&dir);
    dir
}
