//! Images on a server: found out once per job, whoever dies meanwhile; recorded; their progress shown.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;

use crate::support::images::{Image, Registry, Tar, answer};
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, until};

#[test]
fn a_name_stands_for_one_image_in_a_job_though_the_master_dies_while_it_is_fetched() {
    let registry = Registry::start();
    let image = Image::busybox().layer(Tar::new().file("version", 0o644, b"first\n").gzip());
    let digest = registry.put("app", "1", &image);
    let (held, layer) = (Arc::new(AtomicBool::new(true)), image.layers[1].digest());
    let holds = Arc::clone(&held);
    registry.handle(move |asked| {
        if !asked.path.ends_with(&layer) || !holds.load(Ordering::Relaxed) {
            return None;
        }
        // A stream that begins and does not go on.
        let begin = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"\x1f\x8b"))]);
        let never = futures::stream::pending();
        let pieces = futures::StreamExt::chain(begin, never);
        Some(axum::http::Response::new(axum::body::Body::from_stream(pieces)))
    });
    let name = registry.name("app:1");
    let mut server = Danube::building(&[
        &format!("step.run(\"cat /version\", name=\"one\", image={name:?})"),
        &format!("step.run(\"cat /version\", name=\"two\", image={name:?})"),
    ]);
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
    let second = server.trigger();
    server.succeeds(&second);
    assert_eq!(server.log(&second, 1), "second\n", "the next job asks again");
}

#[test]
fn registries_of_the_config_are_reached_by_mirror_and_secret() {
    let registry = Registry::start();
    registry.put("team/app", "1", &Image::busybox());
    registry.handle(|asked| {
        let good = asked.authorization.as_deref() == Some("Basic ZGFudWJlOmh1bnRlcjIy");
        (!good).then(|| answer(401, &[("www-authenticate", "Basic realm=\"r\"")], ""))
    });
    let global = format!(
        "  registries:\n    - host: registry.example.com\n      mirrors: [\"http://{0}\"]\n    - host: {0}\n      \
         username: danube\n      password_secret: REGISTRY_PASSWORD\n",
        registry.address
    );
    let script = danubefile(&["step.run(\"echo ran\", name=\"one\", image=\"registry.example.com/team/app:1\")"]);
    let server = Danube::with(&Setup { files: &[("danubefile.py", &script)], pipeline: TRIGGERS, global: &global });
    let first = server.trigger();
    let failed = server.ended(&first);
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("REGISTRY_PASSWORD"), "a missing secret is named: {reason}");
    server.put("/api/v1/secrets/global/REGISTRY_PASSWORD", b"hunter22").with(204);
    let second = server.trigger();
    server.succeeds(&second);
    assert_eq!(server.log(&second, 1), "ran\n");
}
