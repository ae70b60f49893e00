//! The registry of the distribution, as people run it: with a user and a password, by tag and by digest.
use std::process::{Child, Command, Stdio};

use crate::support::images::{Image, Tar, digest};
use crate::support::run::Run;
use crate::support::server::until;

struct Registry {
    child: Child,
    address: String,
    _dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

const USER: (&str, &str) = ("danube", "hunter22");

impl Registry {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let hash = bcrypt::hash(USER.1, 4).unwrap();
        std::fs::write(dir.path().join("users"), format!("{}:{hash}\n", USER.0)).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {0}/data}}}}\n\
             auth: {{htpasswd: {{realm: test, path: {0}/users}}}}\nhttp: {{addr: \"{address}\"}}\n",
            dir.path().display()
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(dir.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package docker-registry is installed");
        until("the registry listens", || std::net::TcpStream::connect(&address).ok());
        Self { child, address, _dir: dir }
    }

    /// Pushes an image; gives its digest.
    fn push(&self, repository: &str, tag: &str, image: &Image) -> String {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let base = format!("http://{}/v2/{repository}", self.address);
        let manifest = image.manifest();
        runtime.block_on(async {
            let _kept = rustls::crypto::ring::default_provider().install_default();
            let http = reqwest::Client::new();
            for blob in image.blobs() {
                let begun =
                    http.post(format!("{base}/blobs/uploads/")).basic_auth(USER.0, Some(USER.1)).send().await.unwrap();
                let place = begun.headers()["location"].to_str().unwrap().to_owned();
                let glue = if place.contains('?') { '&' } else { '?' };
                let place = format!("{place}{glue}digest={}", digest(&blob));
                let done = http.put(place).basic_auth(USER.0, Some(USER.1)).body(blob).send().await.unwrap();
                assert_eq!(done.status(), 201);
            }
            let put = http.put(format!("{base}/manifests/{tag}")).basic_auth(USER.0, Some(USER.1));
            let put = put.header("content-type", "application/vnd.oci.image.manifest.v1+json").body(manifest.clone());
            assert_eq!(put.send().await.unwrap().status(), 201);
        });
        digest(&manifest)
    }
}

#[test]
fn an_image_of_a_real_registry_runs_by_tag_and_by_digest() {
    let registry = Registry::start();
    let image = Image::busybox().layer(Tar::new().file("mark", 0o644, b"pushed\n").gzip());
    let digest = registry.push("team/app", "1.0", &image);
    let (tag, pinned) =
        (format!("{}/team/app:1.0", registry.address), format!("{}/team/app@{digest}", registry.address));
    let body = format!(
        "step.run(\"cat /mark\", name=\"tag\", image={tag:?})\nstep.run(\"cat /mark\", name=\"pinned\", image={pinned:?})"
    );
    let home = tempfile::tempdir().unwrap();
    let empty = home.path().display().to_string();
    let end = Run::body(&body).env("DOCKER_CONFIG", &empty).end();
    assert!(end.step("tag").reason().contains("(401)"), "{end:?}");
    let config = serde_json::json!({ "auths": { registry.address.clone(): { "auth": "ZGFudWJlOmh1bnRlcjIy" } } });
    std::fs::write(home.path().join("config.json"), config.to_string()).unwrap();
    let run = Run::body(&body).env("DOCKER_CONFIG", &empty);
    run.end().succeeded();
    for step in [1, 2] {
        assert!(run.log(step, 1).ends_with("\npushed\n"), "{}", run.log(step, 1));
        assert!(run.log(step, 1).contains(&format!(" is {digest}")), "{}", run.log(step, 1));
    }
}
