//! The registry beside the server, as steps use it: by the clients of this machine, in real networks of jobs.
use std::fs;
use std::path::Path;

use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

/// A server with the distribution's registry.
fn server(lines: &[&str]) -> Danube {
    let file = danubefile(lines).replace("import annotate", "import images, annotate");
    let mut server = Danube::prepared(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" });
    server.with_registry();
    server.start();
    server
}

#[test]
fn a_server_without_a_registry_says_so_where_it_is_asked_for() {
    let file = danubefile(&[
        "step.run('! curl -sS https://registry.danube-system:5000/v2/', image='host')",
        "images.build(tag='app')",
    ]);
    let file = file.replace("import annotate", "import images, annotate");
    let server = Danube::with(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" });
    let id = server.trigger();
    let job = server.ended(&id);
    // What danube itself writes into a log is part of the whole.
    let log = server.get(&format!("/api/v1/jobs/{id}/steps/1/log")).text();
    assert!(log.contains("registry.danube-system leads nowhere: the registry is switched off"), "{log}");
    assert!(job["reason"].as_str().unwrap().contains("no image can be built"), "{}", job["reason"]);
    let said = server.danube(&["registry", "status"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("switched off"));
}

/// Whether a process of the registry lives on this data directory.
fn lives(data: &Path) -> bool {
    let pid = fs::read_to_string(data.join("registry/pid")).unwrap_or_default();
    let pid = pid.split_whitespace().next().unwrap_or_default().to_owned();
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.contains("docker-registry") || line.contains("registry/config.yml")
}

#[test]
fn the_registry_ends_with_its_server_however_that_ends() {
    let mut server = server(&["pass"]);
    crate::support::server::until("the registry runs", || lives(&server.data()).then_some(()));
    server.kill();
    crate::support::server::until("the registry ended with its server", || (!lives(&server.data())).then_some(()));
    server.start();
    crate::support::server::until("the registry runs again", || lives(&server.data()).then_some(()));
    server.stop();
    assert!(!lives(&server.data()));
}
