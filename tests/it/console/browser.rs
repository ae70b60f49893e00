//! The driver of the browser, which is Python's: told where the servers are, heard when it ends.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::World;

/// A driver with its facts written down.
pub(super) struct Browser<'a> {
    _worlds: &'a [World],
    dir: tempfile::TempDir,
}

impl<'a> Browser<'a> {
    /// Told of these servers.
    pub(super) fn with(worlds: &'a [World]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("facts.json"), super::facts(worlds).to_string()).unwrap();
        Self { _worlds: worlds, dir }
    }

    /// Runs one of its parts; what it says is the failure's text, its pictures go there.
    #[track_caller]
    pub(super) fn run(&self, part: &str, pictures: &Path) {
        let output = Command::new(python())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/drive.py"))
            .arg(part)
            .arg(self.dir.path().join("facts.json"))
            .arg(pictures)
            .output()
            .expect("the driver starts");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{errors}\npictures: {}", pictures.display());
    }
}

/// The Python with the driver's packages.
fn python() -> PathBuf {
    let path = std::env::var_os("DANUBE_TEST_PYTHON");
    path.expect("DANUBE_TEST_PYTHON names the Python of make's environment: run the tests by `make test`").into()
}
