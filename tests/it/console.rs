//! The console in a real browser: every page, in every state, at both widths, light and dark.
//!
//! A scratch data directory is filled by the library's own functions, the real server serves it, and
//! `tests/console/drive.py` walks the list `tests/console/pages.toml` through it. With
//! `DANUBE_SCREENSHOTS=DIR` it only takes pictures, for people.

mod browser;
mod bulk;
mod corpus;
mod jobs;
mod seed;
mod worlds;

use std::path::Path;

use browser::Browser;
use worlds::World;

/// Where a screenshot of what failed is kept, and all of them when asked for.
fn pictures() -> Option<std::ffi::OsString> {
    std::env::var_os("DANUBE_SCREENSHOTS")
}

#[test]
fn every_page_in_every_state_is_fit_for_people() {
    let worlds =
        [worlds::empty(), worlds::idle(), worlds::running(), worlds::failed(), worlds::succeeded(), worlds::huge()];
    let browser = Browser::with(&worlds);
    match pictures() {
        Some(dir) => browser.run("shots", Some(Path::new(&dir))),
        None => browser.run("pages", None),
    }
}

#[test]
fn a_person_without_a_mouse_starts_stops_and_understands_a_job() {
    if pictures().is_none() {
        Browser::with(&[worlds::live()]).run("hands", None);
    }
}

/// What the worlds hold is what the driver is told.
fn facts(worlds: &[World]) -> serde_json::Value {
    let states = worlds.iter().map(|world| (world.name.to_owned(), world.facts()));
    serde_json::Value::Object(states.collect())
}
