//! Images on a server: found out once per job, whoever dies meanwhile; recorded; their progress shown.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;

use crate::support::images::{Image, Registry, Tar, answer};
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, until};

/// A server that builds these lines, with these lines in its `config.yaml`.
fn building(lines: &[&str], global: &str) -> Danube {
    Danube::with(&Setup { files: &[("danubefile.py", &danubefile(lines))], pipeline: TRIGGERS, global })
}

fn one(image: &str) -> String {
    format!("step.run(\"echo ran\", name=\"one\", image={image:?})")
}

/// A stream that begins and does not go on.
fn stuck() -> axum::http::Response<axum::body::Body> {
    let begin = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"\x1f\x8b"))]);
    let pieces = futures::StreamExt::chain(begin, futures::stream::pending());
    axum::http::Response::new(axum::body::Body::from_stream(pieces))
}

#[test]
fn a_name_stands_for_one_image_in_a_job_though_the_master_dies_while_it_is_fetched() {
    let registry = Registry::start();
    let image = Image::busybox().layer(Tar::new().file("version", 0o644, b"first\n").gzip());
    let digest = registry.put("app", "1", &image);
    let (held, layer) = (Arc::new(AtomicBool::new(true)), image.layers[1].digest());
    let holds = Arc::clone(&held);
    registry.handle(move |asked| (asked.path.ends_with(&layer) && holds.load(Ordering::Relaxed)).then(stuck));
    let name = registry.name("app:1");
    let lines = [
        &format!("step.run(\"cat /version\", name=\"one\", image={name:?})"),
        &format!("step.run(\"cat /version\", name=\"two\", image={name:?})"),
    ];
    let mut server = building(&lines.map(String::as_str), &registry.listed());
    let id = server.trigger();
    let reason = until("the step says what it waits for", || {
        let job = server.job(&id);
        let step = job["steps"].as_array()?.iter().find(|step| step["name"] == "one")?.clone();
        step["reason"].as_str().filter(|reason| reason.starts_with("pulling")).map(str::to_owned)
    });
    assert!(reason.starts_with(&format!("pulling {name}: ")) && reason.contains(" layers, "), "{reason}");
    server.kill();
    // Meanwhile the name stands for something else.
    registry.put("app", "1", &Image::busybox().layer(Tar::new().file("version", 0o644, b"second\n").gzip()));
    held.store(false, Ordering::Relaxed);
    server.start();
    server.succeeds(&id);
    assert_eq!([server.log(&id, 1), server.log(&id, 2)], ["first\n", "first\n"]);
    let job = server.job(&id);
    for step in job["steps"].as_array().unwrap().iter().filter(|step| step["seq"] != 0) {
        assert_eq!(
            (step["image_digest"].as_str(), step["reason"].is_null()),
            (Some(digest.as_str()), true),
            "{step:#}"
        );
    }
    let envelope: serde_json::Value = serde_json::from_str(&server.attestation(&id)).unwrap();
    let statement = base64::engine::general_purpose::STANDARD.decode(envelope["payload"].as_str().unwrap()).unwrap();
    let statement = String::from_utf8(statement).unwrap();
    assert!(statement.contains(digest.trim_start_matches("sha256:")) && statement.contains("app:1"), "{statement}");
    // Whom this server asked for it is on record; the allowlist of the pipeline needs no entry for that.
    assert!(statement.contains("\"127.0.0.1\""), "{statement}");
    let asked = server.get(&format!("/api/v1/jobs/{id}/egress")).with(200);
    let host = &asked["hosts"].as_array().unwrap()[0];
    assert_eq!((host["name"].as_str(), host["images_only"].as_bool()), (Some("127.0.0.1"), Some(true)), "{asked:#}");
    let suggested = server.danube(&["egress", "suggest", &id]);
    let suggested = String::from_utf8(suggested.stdout).unwrap();
    assert!(suggested.ends_with("egress_allowlist: []\n"), "{suggested}");
    let page = server.get(&format!("/jobs/{id}")).text();
    assert!(page.contains("for an image"), "{page}");
    let second = server.trigger();
    server.succeeds(&second);
    assert_eq!(server.log(&second, 1), "second\n", "the next job asks again");
}

#[test]
fn an_image_does_not_lead_the_server_to_its_own_network() {
    let registry = Registry::start();
    registry.put("app", "1", &Image::busybox());
    let port = registry.address.rsplit_once(':').unwrap().1;
    let names = [
        registry.name("app:1"),
        format!("localhost:{port}/app:1"),
        format!("[::1]:{port}/app:1"),
        "169.254.169.254/app:1".to_owned(),
        "10.0.0.1:5000/app:1".to_owned(),
    ];
    let mut lines = Vec::new();
    for name in &names {
        lines.push(format!("try: step.run(\"true\", name=\"no\", image={name:?})"));
        lines.push("except StepFailed as e: print(e, flush=True)".to_owned());
    }
    let script = danubefile(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let script = script.replacen("step, tests", "step, tests, StepFailed", 1);
    let server = Danube::with(&Setup { files: &[("danubefile.py", &script)], pipeline: TRIGGERS, global: "" });
    let id = server.trigger();
    server.ended(&id);
    let log = server.raw_log(&id, 0);
    assert_eq!(log.matches("lists the host, with its port, under `registries`").count(), names.len(), "{log}");
    assert!(registry.asked().is_empty(), "{:?}", registry.asked());
}

#[test]
fn a_pull_goes_on_under_its_login_and_by_its_mirror_after_the_server_died_in_it() {
    let registry = Registry::start();
    let image = Image::busybox().layer(Tar::new().file("mark", 0o644, b"mine\n").gzip());
    registry.put("team/app", "1", &image);
    let (held, layer) = (Arc::new(AtomicBool::new(true)), image.layers[1].digest());
    let holds = Arc::clone(&held);
    registry.handle(move |asked| {
        if asked.authorization.as_deref() != Some("Basic ZGFudWJlOmh1bnRlcjIy") {
            return Some(answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""));
        }
        (asked.path.ends_with(&layer) && holds.load(Ordering::Relaxed)).then(stuck)
    });
    let line = "step.run(\"cat /mark\", name=\"one\", image=\"registry.example.com/team/app:1\")";
    let mut server = building(&[line], &by_mirror(&registry));
    server.put("/api/v1/secrets/global/REGISTRY_PASSWORD", b"hunter22").with(204);
    let id = server.trigger();
    until("the layer is asked for", || (registry.times(&image.layers[1].digest()) > 0).then_some(()));
    server.kill();
    held.store(false, Ordering::Relaxed);
    server.start();
    server.succeeds(&id);
    assert_eq!(server.log(&id, 1), "mine\n");
    assert_eq!(registry.times("/manifests/"), 2, "looked up once, by way of a question who asks");
}

/// `registry.example.com` is had at this registry, with a user and a password.
fn by_mirror(registry: &Registry) -> String {
    format!(
        "  registries:\n    - host: registry.example.com\n      mirrors: [\"http://{0}\"]\n    - host: {0}\n      \
         username: danube\n      password_secret: REGISTRY_PASSWORD\n",
        registry.address
    )
}

#[test]
fn two_jobs_at_once_fetch_a_layer_once_and_a_later_one_asks_only_whether_it_may() {
    let registry = Registry::start();
    let image = Image::busybox().layer(Tar::new().file("mark", 0o644, b"here\n").gzip());
    registry.put("app", "1", &image);
    let (held, layer) = (Arc::new(AtomicBool::new(true)), image.layers[1].digest());
    let holds = Arc::clone(&held);
    let bytes = image.layers[1].bytes.clone();
    registry.handle(move |asked| {
        if !asked.path.ends_with(&layer) || asked.method != "GET" {
            return None;
        }
        let (holds, bytes) = (Arc::clone(&holds), bytes::Bytes::from(bytes.clone()));
        let later = async move {
            while holds.load(Ordering::Relaxed) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            Ok::<_, std::io::Error>(bytes)
        };
        Some(axum::http::Response::new(axum::body::Body::from_stream(futures::stream::once(later))))
    });
    let server = building(&[&one(&registry.name("app:1"))], &registry.listed());
    let ids = [server.trigger(), server.trigger()];
    for id in &ids {
        until("both wait for the layer", || {
            let job = server.job(id);
            let step = job["steps"].as_array()?.iter().find(|step| step["name"] == "one")?.clone();
            step["reason"].as_str().filter(|reason| reason.starts_with("pulling")).map(|_| ())
        });
    }
    held.store(false, Ordering::Relaxed);
    for id in &ids {
        server.succeeds(id);
    }
    let fetched = |method: &str| {
        registry.asked().iter().filter(|asked| asked.method == method && asked.path.contains("/blobs/")).count()
    };
    // Each reads the config for itself.
    assert_eq!(fetched("GET"), image.layers.len() + ids.len(), "{:?}", registry.asked());
    let heads = fetched("HEAD");
    let third = server.trigger();
    server.succeeds(&third);
    assert_eq!(fetched("GET"), image.layers.len() + ids.len() + 1, "{:?}", registry.asked());
    assert_eq!(fetched("HEAD"), heads + image.layers.len());
}

#[test]
fn whoever_knows_the_digest_of_a_layer_has_not_the_layer() {
    let registry = Registry::start();
    let secret = Tar::new().file("secret", 0o644, b"hunter22\n").gzip();
    let private = Image::busybox().layer(secret.clone());
    registry.put("private", "1", &private);
    // A manifest that names the layer, in a repository that does not hold it.
    registry.put("copied", "1", &private);
    registry.remove_blob("copied", &secret.digest());
    let server = building(&[&one(&registry.name("private:1"))], &registry.listed());
    server.succeeds(&server.trigger());
    let app = server.app();
    private.layout(&app.join("img"));
    let blob = app.join("img/blobs/sha256").join(secret.digest().trim_start_matches("sha256:"));
    for (what, said) in
        [("gone", "the archive has no "), ("other", "has the digest"), ("short", "its manifest tells of")]
    {
        let mut bytes = secret.bytes.clone();
        match what {
            "gone" => std::fs::remove_file(&blob).unwrap(),
            "other" => {
                bytes[20] ^= 1;
                std::fs::write(&blob, bytes).unwrap();
            }
            _ => std::fs::write(&blob, &bytes[1..]).unwrap(),
        }
        let text = danubefile(&["step.run(\"cat /secret\", name=\"one\", image=\"oci:./img\")"]);
        commit(&app, &[("danubefile.py", &text)], what);
        let id = server.trigger();
        let reason = server.ended(&id)["reason"].as_str().unwrap().to_owned();
        assert!(reason.contains(said), "{what}: {reason}");
        assert!(!server.log(&id, 1).contains("hunter22"));
    }
    // Asked twice in one job: the first answer is not forgotten for the second.
    let copied = registry.name("copied:1");
    let text = danubefile(&[
        &format!("try: step.run(\"cat /secret\", name=\"one\", image={copied:?})"),
        "except Exception as e: print(e, flush=True)",
        &format!("step.run(\"cat /secret\", name=\"two\", image={copied:?})"),
    ]);
    commit(&app, &[("danubefile.py", &text)], "copied");
    let id = server.trigger();
    let reason = server.ended(&id)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("has no copied/blobs/"), "{reason}");
    assert!(![1, 2].iter().any(|step| server.log(&id, *step).contains("hunter22")));
    std::fs::write(&blob, &secret.bytes).unwrap();
    let text = danubefile(&["step.run(\"cat /secret\", name=\"one\", image=\"oci:./img\")"]);
    commit(&app, &[("danubefile.py", &text)], "whole");
    let id = server.trigger();
    server.succeeds(&id);
    assert_eq!(server.log(&id, 1), "hunter22\n");
}

#[test]
fn a_layout_with_holes_takes_no_more_of_the_disk_than_a_workspace() {
    let pipeline = format!("{TRIGGERS}  workspace_size_gb: 1\n");
    let script = danubefile(&[
        "step.run(\"mkdir -p img && truncate -s 1T img/hole\", name=\"hole\")",
        "step.run(\"true\", name=\"one\", image=\"oci:./img\")",
    ]);
    let server = Danube::with(&Setup { files: &[("danubefile.py", &script)], pipeline: &pipeline, global: "" });
    let id = server.trigger();
    let reason = server.ended(&id)["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("the OCI layout has more than 1 GiB, the size of the job's workspace"), "{reason}");
}

#[test]
fn registries_of_the_config_are_reached_by_mirror_and_secret() {
    let registry = Registry::start();
    registry.put("team/app", "1", &Image::busybox());
    registry.handle(|asked| {
        let good = asked.authorization.as_deref() == Some("Basic ZGFudWJlOmh1bnRlcjIy");
        (!good).then(|| answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""))
    });
    let global = by_mirror(&registry);
    let other = Registry::start();
    other.put("app", "1", &Image::busybox());
    // Nobody asks for the password of a registry that is none of the image's.
    let global = format!("{global}    - host: {}\n", other.address);
    let server = building(&[&one("registry.example.com/team/app:1")], &global);
    let first = server.trigger();
    let failed = server.ended(&first);
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("REGISTRY_PASSWORD"), "a missing secret is named: {reason}");
    let (ours, others) = (one("registry.example.com/team/app:1"), one(&other.name("app:1")));
    commit(&server.app(), &[("danubefile.py", &danubefile(&[&others]))], "another registry");
    server.succeeds(&server.trigger());
    commit(&server.app(), &[("danubefile.py", &danubefile(&[&ours]))], "the first again");
    server.put("/api/v1/secrets/global/REGISTRY_PASSWORD", b"hunter22").with(204);
    let third = server.trigger();
    server.succeeds(&third);
    assert_eq!(server.log(&third, 1), "ran\n");
}
