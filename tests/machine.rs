//! What the machine shows of Danube before a suite and after it: `make test-rust` records the one, runs every
//! suite, and compares the other.
//!
//! `cargo test --test machine -- record FILE`, then `… -- compare FILE`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that make runs")]

#[path = "it/support/machine.rs"]
mod machine;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

/// Looks at the machine until what a suite started has ended; an executor takes an instant to leave.
const LOOKS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (verb, file) = match args.as_slice() {
        [verb, file] => (verb.as_str(), file),
        _ => {
            eprintln!("machine: record FILE | compare FILE");
            return ExitCode::from(64);
        }
    };
    match verb {
        "record" => {
            let lines: Vec<String> = machine::machine_snapshot().into_iter().collect();
            std::fs::write(file, lines.join("\n")).expect("the snapshot is written");
            println!("machine: {} lines recorded", lines.len());
            ExitCode::SUCCESS
        }
        "compare" => compare(&std::fs::read_to_string(file).expect("a snapshot was recorded")),
        _ => ExitCode::from(64),
    }
}

fn compare(before: &str) -> ExitCode {
    let before: BTreeSet<String> = before.lines().map(str::to_owned).collect();
    let mut after = BTreeSet::new();
    for _ in 0..LOOKS {
        after = machine::machine_snapshot();
        if wrong(&before, &after).is_empty() {
            println!("machine: nothing is left behind ({} lines before, the same after)", before.len());
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(PAUSE);
    }
    for line in wrong(&before, &after) {
        println!("machine: {line}");
    }
    ExitCode::FAILURE
}

/// What is there now and was not, and what of the machine's own is gone. An instance of somebody else that
/// ended meanwhile is no fault of ours.
fn wrong(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<String> {
    let own = |line: &&String| ["mount: ", "nft: ", "ip: "].iter().any(|kind| line.starts_with(kind));
    let left = after.difference(before).map(|line| format!("left behind: {line}"));
    left.chain(before.difference(after).filter(own).map(|line| format!("gone: {line}"))).collect()
}
