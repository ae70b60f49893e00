//! The console in a real browser: every page, in every state, at both widths, light and dark.
//!
//! A scratch data directory is filled by the library's own functions, the real server serves it, and
//! `tests/console/drive.py` walks the list `tests/console/pages.toml` through it.

mod bad_input;
mod browser;
mod bulk;
mod corpus;
mod jobs;
mod seed;
mod worlds;

use browser::Browser;
use worlds::World;

/// What is asked for: `pages` looks at everything, `hands` acts by keyboard, `shots` takes pictures.
/// These take minutes of both cores, so the tests of every day leave them out: `make pages` asks for them.
fn asked(part: &str) -> bool {
    std::env::var("DANUBE_BROWSER").is_ok_and(|parts| parts.split(',').any(|asked| asked == part))
}

#[test]
fn every_page_in_every_state_is_fit_for_people() {
    if !asked("pages") && !asked("shots") {
        return;
    }
    let worlds =
        [worlds::empty(), worlds::idle(), worlds::running(), worlds::failed(), worlds::succeeded(), worlds::huge()];
    let browser = Browser::with(&worlds);
    for part in ["pages", "shots"] {
        if asked(part) {
            browser.run(part);
        }
    }
}

#[test]
fn a_person_without_a_mouse_starts_stops_and_understands_a_job() {
    if asked("hands") {
        Browser::with(&[worlds::live()]).run("hands");
    }
}

#[test]
fn a_person_follows_scrolls_and_searches_logs() {
    if asked("hands") {
        Browser::with(&[worlds::logs()]).run("logs");
    }
}

/// What the worlds hold is what the driver is told.
fn facts(worlds: &[World]) -> serde_json::Value {
    let states = worlds.iter().map(|world| (world.name.to_owned(), world.facts()));
    serde_json::Value::Object(states.collect())
}
