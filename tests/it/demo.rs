//! `danube demo` as a first-time user runs it.
use std::process::{Command, Stdio};

use super::support::machine::machine_snapshot;
use super::support::{danube, shim};

#[test]
fn the_demo_builds_attests_and_verifies_a_real_program_and_leaves_nothing() {
    let output = Command::new(danube())
        .args(["demo", "--exit"])
        .env("DANUBE_SHIM", shim())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{errors}", output.status);
    for wanted in [
        "✓ compile the C extension",
        "✓ the authors' tests, with the C extension",
        "✓ the authors' tests, without the C extension",
        "✓ build the wheel twice and compare",
        "✓ use the wheel",
        "✓ success after",
        "✓ signature",
        "✓ subject digest",
        "✓ builder",
        "✓ source",
        "✓ ref",
        "verified: ",
        "✓ a copy with one byte changed is refused",
        "is removed.",
    ] {
        assert!(said.contains(wanted), "'{wanted}' is missing:\n{said}");
    }
    assert!(!said.contains('\u{1b}'), "no colours where no terminal is:\n{said}");
    assert!(said.lines().count() <= 60, "a screen holds it:\n{said}");
    // Other tests come and go meanwhile: what carries this demo's names must be gone.
    let names = [after(&said, "urn:danube:"), after(&said, "/tmp/danube-demo.")];
    let left: Vec<String> =
        machine_snapshot().into_iter().filter(|line| names.iter().any(|name| line.contains(name))).collect();
    assert!(left.is_empty(), "the machine is not as it was: {left:#?}");
}

/// The eight hex digits that follow a text.
fn after<'a>(said: &'a str, text: &str) -> &'a str {
    let (_, rest) = said.split_once(text).expect("the demo tells its names");
    rest.get(..8).expect("a name has eight digits")
}
