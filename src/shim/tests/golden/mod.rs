//! What a step leaves on disk is read by later releases: `step-v1/` holds it as version 1 wrote it, byte for byte.
//!
//! A test of the program reads these copies by the code of its executor and of its logs. Here the writer of today is
//! held to them: another form needs another version and a copy of its own (`DANUBE_BLESS=1` writes one that is not
//! there yet), and the older copies stay.

#![expect(clippy::unwrap_used, reason = "a harness of tests")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use danube_shim::index::{self, Stream};
use danube_shim::record::VERSION;

use crate::bundle::Step;

/// What lies in the directory of a step; the harness keeps its bundle there as well.
const FILES: [&str; 8] =
    ["ctl.sock", "lock", "pid", "rec/captured", "rec/disk-full", "rec/exit", "rec/overflow", "rec/started"];

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/step-v{VERSION}")).join(kind)
}

/// Every number behind one of these names is another one each time.
fn without_times_and_numbers(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some(at) = ["\"pid\":", "_ns\":"].iter().filter_map(|name| Some(rest.find(name)? + name.len())).min() {
        plain.push_str(&rest[..at]);
        plain.push('N');
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
    }
    plain + rest
}

/// Names, rights and contents, each by a line; and the log by the records of its index.
fn form(dir: &Path) -> String {
    let mut form = String::new();
    for name in FILES {
        let Ok(meta) = fs::symlink_metadata(dir.join(name)) else { continue };
        // The rights of crun's own file come from the umask.
        let mode = if name == "pid" { 0 } else { meta.permissions().mode() & 0o777 };
        let content = match name {
            "ctl.sock" => meta.file_type().is_socket().then(|| "a socket".to_owned()).unwrap(),
            // crun's own form: all that counts is the number.
            "pid" => fs::read_to_string(dir.join(name))
                .unwrap()
                .trim()
                .parse::<u32>()
                .map(|_| "a number".to_owned())
                .unwrap(),
            _ => format!("{:?}", without_times_and_numbers(&fs::read_to_string(dir.join(name)).unwrap())),
        };
        writeln!(form, "{mode:03o} {name} {content}").unwrap();
    }
    let (log, idx) = (fs::read(dir.join("log")).unwrap(), fs::read(dir.join("idx")).unwrap());
    writeln!(form, "index {:?}", String::from_utf8_lossy(&idx[..index::HEADER.len()])).unwrap();
    assert_eq!(idx.len() as u64, index::position(index::count(idx.len() as u64)), "whole records");
    let records: Vec<_> = index::records(&idx, log.len() as u64).collect();
    assert_eq!(records.iter().map(|record| u64::from(record.length)).sum::<u64>(), log.len() as u64);
    for stream in [Stream::Note, Stream::Stdout, Stream::Stderr] {
        let bytes = records
            .iter()
            .filter(|record| record.stream == stream)
            .flat_map(|record| &log[usize::try_from(record.offset).unwrap()..usize::try_from(record.end()).unwrap()]);
        let bytes: Vec<u8> = bytes.copied().collect();
        writeln!(form, "{stream:?} {:?}", String::from_utf8_lossy(&bytes)).unwrap();
    }
    form
}

/// Holds what lies in the step's directory to the copy of its kind.
#[track_caller]
fn is_as_copied(kind: &str, step: &Step) {
    let (golden, form) = (golden(kind), form(step.dir()));
    if std::env::var_os("DANUBE_BLESS").is_some() && !golden.exists() {
        fs::create_dir_all(golden.join("rec")).unwrap();
        for name in FILES.into_iter().chain(["log", "idx"]).filter(|name| *name != "ctl.sock") {
            if step.dir().join(name).exists() {
                fs::write(golden.join(name), fs::read(step.dir().join(name)).unwrap()).unwrap();
            }
        }
        fs::write(golden.join("form"), &form).unwrap();
    }
    let kept = fs::read_to_string(golden.join("form")).unwrap_or_default();
    assert!(
        form == kept,
        "a step leaves another form than version {VERSION}. Later releases read what this one wrote: raise \
         record::VERSION, keep tests/golden/step-v{VERSION} and bless a copy of the new version\n--- {}\n{kept}\n--- now\n{form}",
        golden.display()
    );
}

#[test]
fn a_step_that_ended_leaves_the_form_of_its_version() {
    let Some(mut step) = Step::new("echo one; echo two >&2; exit 7") else { return };
    step.start.notes = vec!["danube: attempt 1".to_owned()];
    step.run();
    is_as_copied("ended", &step);
}

#[test]
fn a_step_whose_supervisor_was_killed_leaves_the_form_of_its_version() {
    let Some(step) = Step::new("echo one; exec sleep 1000") else { return };
    let mut shim = step.spawn();
    step.wait_for_log("one\n");
    shim.kill().unwrap();
    shim.wait().unwrap();
    is_as_copied("lost", &step);
}

#[test]
fn a_step_that_captured_a_secret_leaves_the_form_of_its_version() {
    let Some(mut step) = Step::new("printf fresh-token; echo visible >&2") else { return };
    step.start.capture_secret = true;
    step.run();
    is_as_copied("captured", &step);
}

#[test]
fn a_step_with_too_long_a_log_leaves_the_form_of_its_version() {
    let Some(mut step) = Step::new("yes | head -c 300000") else { return };
    step.start.log_limit = 20;
    step.run();
    is_as_copied("overflow", &step);
}
