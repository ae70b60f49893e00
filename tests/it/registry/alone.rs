//! A fresh server without a registry, without the machine's own tools: layouts on disk are all that it has.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

/// What make builds before the tests, in a place that the server's account reaches too.
fn coordinator(dir: &Path) -> PathBuf {
    let made = std::env::var_os("DANUBE_TEST_COORDINATOR").map(PathBuf::from);
    let made = made.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/coordinator-image"));
    assert!(made.join("index.json").exists(), "{} is missing: run `make coordinator-image` first", made.display());
    let place = dir.join("coordinator");
    let copied = Command::new("cp").arg("-r").arg(&made).arg(&place).status().unwrap();
    assert!(copied.success());
    place
}

/// An image with a shell as an OCI layout.
fn layout(dir: &Path) -> PathBuf {
    let (root, layout) = (dir.join("root"), dir.join("shell"));
    let script = format!(
        "mkdir -p {root}/bin && cp /bin/busybox {root}/bin/ && for name in sh cat; do ln -s busybox {root}/bin/$name; done && \
         umoci init --layout {layout} && umoci new --image {layout}:1 && umoci insert --image {layout}:1 {root} / && \
         chmod -R a+rX {layout}",
        root = root.display(),
        layout = layout.display()
    );
    let output = Command::new("sh").args(["-ec", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    layout
}

#[test]
fn layouts_and_the_coordinator_image_alone_run_a_pipeline() {
    let dir = tempfile::Builder::new().prefix("it-alone-").tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let layout = layout(dir.path());
    let image = format!("oci:{}:1", layout.display());
    let file = danubefile(&[
        &format!("step.run('cat hello; echo $0', name='in a layout', image='{image}', network=False)"),
        "result = step.run('true', image='host', check=False)",
        "print('host', result.exit_code)",
    ]);
    let mut server = Danube::prepared(&Setup {
        files: &[("danubefile.py", &file), ("hello", "hello\n")],
        pipeline: TRIGGERS,
        global: "",
    });
    let toml = fs::read_to_string(server.toml()).unwrap();
    let executor = format!(
        "[executor]\ncoordinator_image = \"oci:{}\"\nimage_dirs = [\"{}\"]\nhost_image = false\n",
        coordinator(dir.path()).display(),
        dir.path().display()
    );
    fs::write(server.toml(), toml.replace("[executor]\nhost_image = true\n", &executor)).unwrap();
    server.start();
    let id = server.trigger();
    let job = server.succeeds(&id);
    assert_eq!(server.log(&id, 1), "hello\n/bin/sh\n");
    assert!(job["steps"][0]["image_digest"].as_str().unwrap().starts_with("sha256:"));
    assert!(job["steps"][1]["reason"].as_str().unwrap().contains("host"), "{}", job["steps"][1]);
    let usr = server.tree().join("tools");
    assert!(usr.exists(), "helpers have tools of their own");
}
