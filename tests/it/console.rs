//! The console in a real browser: every page, in every state, at both widths, light and dark.
//!
//! A scratch data directory is filled by the library's own functions, the real server serves it, and
//! `tests/console/drive.py` walks the list `tests/console/pages.toml` through it.

mod around;
mod bad_input;
mod browser;
mod bulk;
mod corpus;
mod in_a_browser;
mod jobs;
mod reports;
mod seed;
mod worlds;

use worlds::World;

/// What the worlds hold is what the driver is told.
fn facts(worlds: &[World]) -> serde_json::Value {
    let states = worlds.iter().map(|world| (world.name.to_owned(), world.facts()));
    serde_json::Value::Object(states.collect())
}
