//! Registries as they are: private, slow, down, full of mistakes. What each does is told by its name.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::images::{ARCHITECTURE, Image, Registry, Tar, answer, digest};
use crate::support::run::Run;

/// Runs one step on an image that can't be had; why it failed, and the cause.
fn failure(run: &Run) -> (String, String) {
    let end = run.end();
    assert_eq!(end.code, 1, "{end:?}");
    (end.step("one").reason().to_owned(), end.step("one").cause().to_owned())
}

fn one(image: &str) -> Run {
    Run::body(&format!("step.run(\"echo ran\", name=\"one\", image={image:?})"))
}

#[test]
fn names_that_are_none_are_refused_before_anybody_is_asked() {
    for (name, reason) in [
        ("--privileged", "begins with '-'"),
        ("https://registry.example.com/app", "leave the scheme out"),
        ("https://me:hunter22@registry.example.com/app", "holds no user and password"),
        ("me:hunter22@registry.example.com/app", "holds no user and password"),
        ("app --x", "spaces"),
    ] {
        let run = one(name);
        let (said, cause) = failure(&run);
        assert!(said.contains(reason) && cause == "exit", "{name}: {said} ({cause})");
        assert!(!said.contains("hunter22"), "{said}");
    }
}

#[test]
fn what_a_registry_says_no_to_is_told_with_what_to_do() {
    let registry = Registry::start();
    registry.put("app", "1", &Image::busybox());
    let gone = Image::busybox().layer(Tar::new().file("gone", 0o644, b"x").gzip());
    registry.put("gap", "1", &gone);
    registry.remove_blob("gap", &gone.layers[1].digest());
    let mut other = Image::busybox();
    other.architecture = "s390x";
    registry.put("other", "1", &other);
    let wrong = Image::busybox().layer(Tar::new().file("wrong", 0o644, b"x").gzip());
    registry.put("wrong", "1", &wrong);
    let mut bytes = wrong.layers[1].bytes.clone();
    *bytes.last_mut().unwrap() ^= 1;
    registry.put_blob("wrong", &wrong.layers[1].digest(), bytes);
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": [
        { "digest": digest(b"1"), "size": 1, "platform": { "os": "linux", "architecture": "riscv64" } },
        { "digest": digest(b"2"), "size": 1, "platform": { "os": "windows", "architecture": ARCHITECTURE } },
    ] });
    registry.put_manifest("index", "1", "application/vnd.oci.image.index.v1+json", index.to_string().into_bytes());
    registry.handle(|asked| match asked.path.split('/').nth(2)? {
        "private" => Some(answer(401, &[("www-authenticate", "Basic realm=\"x\"")], "")),
        "forbidden" => Some(answer(403, &[], r#"{"errors":[{"message":"go away"}]}"#)),
        "busy" => Some(answer(429, &[("retry-after", "0")], "")),
        "broken" => Some(answer(500, &[], "")),
        "moved" => Some(answer(307, &[("location", "/v2/moved/manifests/1")], "")),
        "huge" => Some(answer(200, &[], &"x".repeat(5 << 20))),
        "notes" => Some(answer(200, &[], "{\"a\":1}")),
        _ => None,
    });
    for (image, reason, cause) in [
        ("none:1", "has no none/manifests/1, \"not on the shelf\"", "exit"),
        ("gap:1", "has no gap/blobs/sha256:", "exit"),
        ("other:1", "it is made for linux/s390x, and this machine is linux/", "exit"),
        ("index:1", &format!("there is none for linux/{ARCHITECTURE}: it is made for linux/riscv64, windows/"), "exit"),
        ("wrong:1", "can't be used: what came has the digest sha256:", "exit"),
        ("private:1", "(401): it is private, or not there: name a user and a secret", "exit"),
        ("forbidden:1", "(403), \"go away\"", "exit"),
        ("busy:1", "was asked too often (429)", "infra"),
        ("broken:1", "failed with 500", "infra"),
        ("moved:1", "leads on and on", "infra"),
        ("huge:1", "more than 4194304 bytes", "exit"),
        ("notes:1", "neither that of an image nor an index", "exit"),
    ] {
        let (said, seen) = failure(&one(&registry.name(image)));
        assert!(said.contains(reason) && seen == cause, "{image}: {said} ({seen})");
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (said, cause) = failure(&one(&format!("{closed}/app:1")));
    assert!(said.contains("does not answer") && cause == "infra", "{said} ({cause})");
}

#[test]
fn a_password_goes_to_its_registry_and_to_nobody_it_leads_to() {
    let (registry, elsewhere) = (Registry::start(), Registry::start());
    let image = Image::busybox();
    registry.put("app", "1", &image);
    elsewhere.put("app", "1", &image);
    let (away, own) = (elsewhere.address.clone(), registry.address.clone());
    let realm = own.clone();
    registry.handle(move |asked| {
        if asked.path.starts_with("/token") {
            let good = asked.authorization.as_deref() == Some("Basic bWU6aHVudGVyMjI=");
            return Some(if good { answer(200, &[], "{\"token\":\"t0ken\"}") } else { answer(401, &[], "") });
        }
        if asked.authorization.as_deref() != Some("Bearer t0ken") {
            let challenge =
                format!("Bearer realm=\"http://{realm}/token\",service=\"s\",scope=\"repository:app:pull\"");
            return Some(answer(401, &[("www-authenticate", &challenge)], ""));
        }
        asked
            .path
            .contains("/blobs/")
            .then(|| answer(307, &[("location", &format!("http://{away}{}", asked.path))], ""))
    });
    let config = tempfile::tempdir().unwrap();
    std::fs::set_permissions(config.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = serde_json::json!({ "auths": { own.clone(): { "auth": "bWU6aHVudGVyMjI=" } } });
    std::fs::write(config.path().join("config.json"), text.to_string()).unwrap();
    let run = one(&registry.name("app:1")).env("DOCKER_CONFIG", &config.path().display().to_string());
    run.end().succeeded();
    assert!(registry.times("/token?service=s&scope=repository%3Aapp%3Apull") > 0, "{:?}", registry.asked());
    let led: Vec<_> = elsewhere.asked();
    assert!(!led.is_empty() && led.iter().all(|asked| asked.authorization.is_none()), "{led:?}");
}

#[test]
fn mirrors_are_asked_first_and_their_failure_is_no_end() {
    let (mirror, broken) = (Registry::start(), Registry::start());
    let digest = mirror.put("hub/library/app", "1", &Image::busybox());
    broken.handle(|_| Some(answer(404, &[], "")));
    let mirrors = format!("docker.io=http://{},docker.io=http://{}/hub", broken.address, mirror.address);
    let run = one("app:1").env("DANUBE_REGISTRY_MIRRORS", &mirrors);
    run.end().succeeded();
    assert!(run.log(1, 1).contains(&digest), "{}", run.log(1, 1));
    assert!(!broken.asked().is_empty());
}

#[test]
fn a_stream_that_breaks_off_is_gone_on_with() {
    let registry = Registry::start();
    let image = Image::busybox();
    registry.put("app", "1", &image);
    let (layer, bytes) = (image.layers[0].digest(), image.layers[0].bytes.clone());
    let served = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&served);
    registry.handle(move |asked| {
        if !asked.path.ends_with(&layer) {
            return None;
        }
        count.fetch_add(1, Ordering::Relaxed);
        let half = bytes.len() / 2;
        if asked.before == 0 {
            // Half of it, then an error in the middle.
            let first = bytes::Bytes::copy_from_slice(&bytes[..half]);
            let pieces = futures::stream::iter([Ok(first), Err(std::io::Error::other("cut"))]);
            return Some(axum::http::Response::new(axum::body::Body::from_stream(pieces)));
        }
        let rest = bytes[half..].to_vec();
        Some(axum::http::Response::builder().status(206).body(axum::body::Body::from(rest)).unwrap())
    });
    one(&registry.name("app:1")).end().succeeded();
    assert_eq!(served.load(Ordering::Relaxed), 2);
}

#[test]
fn two_steps_side_by_side_fetch_an_image_once() {
    let registry = Registry::start();
    registry.put("app", "1", &Image::busybox());
    let name = registry.name("app:1");
    let run = Run::body(&format!(
        "step.parallel(*[(lambda n=n: step.run(f\"echo {{n}}\", name=f\"s{{n}}\", image={name:?})) for n in range(4)])"
    ));
    run.end().succeeded();
    assert_eq!((registry.times("/manifests/"), registry.times("/blobs/")), (1, 2), "{:?}", registry.asked());
}
