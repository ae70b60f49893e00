//! The registry beside the server, as steps use it: by the clients of this machine, in real networks of jobs.
mod alone;
mod kaniko;

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::danube;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

/// Makes an image of one file and a shell, `img:1`, in the workspace.
const IMAGE: &str = "set -e; mkdir -p root/bin; cp /bin/busybox root/bin/; for name in sh cat; do ln -s busybox root/bin/$name; done; \
    echo made here > root/hello; umoci init --layout img; umoci new --image img:1; umoci insert --image img:1 root /";
/// Pushes it.
const PUSH: &str =
    "skopeo --insecure-policy copy -q --digestfile digest oci:img:1 docker://registry.danube-system:5000/app/made:1";

/// A server with the distribution's registry.
fn server(lines: &[&str]) -> Danube {
    let file = danubefile(lines).replace("import annotate", "import images, annotate");
    let mut server = Danube::prepared(&Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" });
    server.with_registry();
    server.start();
    server
}

/// The name that a step sees; it is no secret.
fn verify(server: &Danube, image: &str, envelope: &str) -> (Option<i32>, String) {
    let attestation = server.path("attestation.json");
    fs::write(&attestation, envelope).unwrap();
    let key = server.data().join("keys/signing.key.pub");
    let output = Command::new(danube())
        .args(["verify", "--image", image, "--attestation"])
        .arg(attestation)
        .arg("--key")
        .arg(key)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A metric's value.
fn metric(server: &Danube, line: &str) -> f64 {
    let text = server.get("/metrics").text();
    let found = text.lines().find_map(|each| each.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {line} in:\n{text}"))
}

#[test]
fn an_image_built_by_a_step_runs_in_a_later_step_and_is_verified() {
    let server = server(&[
        &format!("step.run({IMAGE:?}, name='make', image='host')"),
        &format!("step.run({PUSH:?}, name='push', image='host')"),
        "digest = step.run('cat digest', name='digest', image='host', capture=True, network=False).stdout.strip()",
        "image = f'registry.danube-system:5000/app/made@{digest}'",
        "step.run('cat /hello', name='use', image=image, network=False)",
        "step.run('curl -sS -o /dev/null -w \"%{http_code}\" https://registry.danube-system:5000/v2/', image='host', network=False)",
        "step.run('cat $DOCKER_CONFIG/config.json', name='look', image='host', network=False)",
        "step.run('cat $SSL_CERT_FILE', name='trust', image=image, network=False)",
    ]);
    let id = server.trigger();
    let job = server.succeeds(&id);
    assert_eq!(server.log(&id, 4).lines().last(), Some("made here"));
    let trusted = server.log(&id, 7).matches("BEGIN CERTIFICATE").count();
    assert!(trusted > 10, "beside the registry's, the image that brings none has the machine's: {trusted}");
    assert_eq!(
        server.log(&id, 5).trim_end(),
        "401",
        "the authority is trusted, and nobody comes in without a credential"
    );
    let look = server.log(&id, 6);
    assert!(look.contains("registry.danube-system:5000") && look.contains("[secret registry credential]"), "{look}");
    let [image] = &job["images"].as_array().unwrap()[..] else { panic!("{}", job["images"]) };
    assert_eq!(
        (image["repository"].as_str(), image["tag"].as_str()),
        (Some("registry.danube-system:5000/app/made"), Some("1"))
    );
    let digest = image["digest"].as_str().unwrap();
    assert_eq!(job["steps"][3]["image_digest"].as_str(), Some(digest));

    let name = format!("registry.danube-system:5000/app/made@{digest}");
    let envelope = server.attestation(&id);
    let (code, said) = verify(&server, &name, &envelope);
    assert_eq!(code, Some(0), "{said}");
    let other = format!("registry.danube-system:5000/app/made@sha256:{}", "0".repeat(64));
    let (code, said) = verify(&server, &other, &envelope);
    assert_eq!(code, Some(2), "{said}");
    let shown = String::from_utf8(server.danube(&["job", "show", &id]).stdout).unwrap();
    assert!(shown.contains(&format!("registry.danube-system:5000/app/made:1@{digest}")), "{shown}");
    assert!(server.get(&format!("/jobs/{id}")).text().contains(digest.trim_start_matches("sha256:")));
    assert!(metric(&server, "danube_registry_pushes_total{image=\"app/made\"}") >= 1.0);
    assert!(metric(&server, "danube_registry_pulls_total{image=\"app/made\"}") >= 1.0);
}

#[test]
fn garbage_is_collected_on_demand_and_what_was_freed_is_said() {
    let mut server = server(&[
        &format!("step.run({IMAGE:?}, name='make', image='host')"),
        &format!("step.run({PUSH:?}, name='push', image='host')"),
    ]);
    let id = server.trigger();
    server.succeeds(&id);
    let collect = |server: &Danube| {
        let output = server.danube(&["registry", "gc"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(collect(&server).starts_with("0 images removed, 0 B freed"));
    server.stop();
    let months_ago = "UPDATE registry_images SET last_used_at = last_used_at - 100 * 86400 * 1000000";
    server.database().execute(months_ago, []).unwrap();
    server.start();
    let said = collect(&server);
    assert!(said.starts_with("1 image removed, ") && !said.contains(", 0 B freed"), "{said}");
    let job = server.get(&format!("/api/v1/jobs/{id}")).with(200);
    assert!(job["images"][0]["expired_at"].is_string(), "{job}");
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
