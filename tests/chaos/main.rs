//! Everything is killed at any time, and nothing is lost: `make chaos ARGS="--kills 100 --seed 7"`.
//!
//! A real server runs a pipeline whose commands keep a ledger of their own; master, executor and coordinator are
//! killed by `kill -9`, at random moments and at every fault point, writes are refused as by a broken or full
//! disk, and what comes out is compared with an undisturbed run. Needs root and the shim, like `tests/it`.

#![expect(clippy::print_stdout, clippy::print_stderr, clippy::expect_used, reason = "a command that make runs")]

#[path = "../it/support/http.rs"]
#[expect(dead_code, reason = "shared with the other suite")]
mod http;
mod faults;
mod follow;
mod followers;
mod kept;
mod kills;
#[path = "../it/support/machine.rs"]
mod machine;
mod picture;
mod points;
#[path = "../it/support/repo.rs"]
mod repo;
mod report;
mod restart;
mod rng;
mod service;
mod visit;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, data] = words.as_slice()
        && word == "--library"
    {
        let done = points::in_the_library(std::path::Path::new(data));
        return done.map_or_else(
            |error| {
                eprintln!("chaos: {error}");
                ExitCode::FAILURE
            },
            |()| ExitCode::SUCCESS,
        );
    }
    match report::Wish::read(&words) {
        Ok(wish) => report::run(&wish),
        Err(error) => {
            eprintln!("chaos: {error}\n{}", report::USAGE);
            ExitCode::from(64)
        }
    }
}
