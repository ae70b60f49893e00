//! Images built by kaniko under the strict profile, with the seven capabilities: by hand as `tests/images/example_images.py` does,
//! and by `images.build`. `make test-images` builds kaniko and runs these.
use std::path::PathBuf;

use crate::docs::{BUILT, blocks};
use crate::support::registry::World;
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS};

/// What `make test-images` sets: kaniko as an OCI layout.
fn kaniko() -> PathBuf {
    let path = std::env::var_os("DANUBE_TEST_KANIKO").expect("DANUBE_TEST_KANIKO: run these by `make test-images`");
    PathBuf::from(path)
}

/// Makes the base image in a job of the pipeline `base`: a shell, and an `npm` that does as little as possible.
const BASE: &str = r#"from danube import pipeline, step

MAKE = """set -e
mkdir -p root/bin root/usr/bin root/tmp root/etc
cp /bin/busybox root/bin/
for name in sh cat mkdir echo rm ls; do ln -s busybox root/bin/$name; done
printf '#!/bin/sh\\ncase $1 in ci) echo installed;; test) mkdir -p coverage && echo all > coverage/index.html;; esac\\n' > root/usr/bin/npm
chmod 755 root/usr/bin/npm
echo 'root:x:0:0:root:/root:/bin/sh' > root/etc/passwd
umoci init --layout img && umoci new --image img:1 && umoci insert --image img:1 root /
umoci config --image img:1 --config.env PATH=/usr/bin:/bin
skopeo --insecure-policy copy -q oci:img:1 docker://registry.danube-system:5000/base/node:22
"""


@pipeline(name="base")
def build() -> None:
    step.run(MAKE, name="base", image="host", network=False)
"#;

fn world(files: &[(&str, &str)], pipelines: &[(&str, &str)]) -> (Danube, World) {
    let mut all = vec![("base.py", BASE)];
    all.extend(files);
    let world = World::new();
    world.push(&kaniko(), "kaniko-project/executor:latest");
    let global = world.mirrors("gcr.io");
    let mut server = Danube::prepared(&Setup { files: &all, pipeline: TRIGGERS, global: &global });
    let base = server.pipeline_document("base", &format!("  script: base.py\n{TRIGGERS}"));
    let mut documents = vec![("pipelines/base.yaml".to_owned(), base)];
    for (name, lines) in pipelines {
        documents.push((format!("pipelines/{name}.yaml"), server.pipeline_document(name, lines)));
    }
    let documents: Vec<(&str, &str)> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    commit(&server.conf(), &documents, "pipelines");
    server.with_registry();
    server.start();
    let id = server.trigger_of("base");
    server.succeeds(&id);
    (server, world)
}

#[test]
fn the_example_of_image_builds_runs_unchanged_and_the_second_run_hits_the_cache() {
    let example = include_str!("../../images/example_images.py");
    let base = "FROM registry.danube-system:5000/base/node:22\n";
    let builder = format!("{base}RUN echo built > /built\n");
    let lines = format!("{TRIGGERS}  secrets: [{{key: HUB_CONFIG}}]\n");
    let (server, _world) = world(
        &[
            ("danubefile.py", example),
            ("Dockerfile.builder", &builder),
            ("Dockerfile", "FROM registry.danube-system:5000/frontend/builder:latest\nCOPY app.txt /srv/app.txt\n"),
            ("app.txt", "the app\n"),
        ],
        &[("frontend", &lines)],
    );
    let hub = br#"{"auths":{"hub.example.com":{"auth":"dXNlcjpwYXNz"}}}"#;
    server.put("/api/v1/secrets/pipeline/frontend/HUB_CONFIG", hub).with(204);
    let first = server.trigger_of("frontend");
    let job = server.succeeds(&first);
    assert_eq!(job["steps"].as_array().unwrap().len(), 3);
    assert!(!server.log(&first, 1).contains("Using caching version of cmd"), "{}", server.log(&first, 1));
    let second = server.trigger_of("frontend");
    let job = server.succeeds(&second);
    assert!(server.log(&second, 1).contains("Using caching version of cmd"), "{}", server.log(&second, 1));
    let images: Vec<&str> =
        job["images"].as_array().unwrap().iter().map(|image| image["repository"].as_str().unwrap()).collect();
    assert!(images.iter().any(|name| name.ends_with("/frontend/app")), "{images:?}");
    let statement = server.attestation(&second);
    assert!(!statement.is_empty());
}

#[test]
fn one_call_builds_an_image_and_gives_its_digest() {
    let page = blocks(BUILT);
    let of = |path: &str| page.iter().find(|block| block.path == path).unwrap().text.clone();
    let file = of("danubefile.py").replace("    step.run(", "    print(image)\n    step.run(");
    let docker = of("Dockerfile").replace("example.com/base:1", "registry.danube-system:5000/base/node:22");
    // What an image writes into /workspace is in it: the workspace of the build lies elsewhere.
    let docker = format!("{docker}WORKDIR /workspace\nRUN cat /greeting > kept\n");
    let file = file.replace("cat /greeting", "cat /greeting; ls -d /workspace");
    let (server, _world) = world(&[("danubefile.py", &file), ("Dockerfile", &docker)], &[]);
    let id = server.trigger();
    let job = server.succeeds(&id);
    assert_eq!(server.log(&id, 2), "hello from an image\n/workspace\n");
    let built = job["images"].as_array().unwrap().iter().find(|image| image["tag"] == "1.0").unwrap();
    let digest = built["digest"].as_str().unwrap();
    assert!(
        server.log(&id, 0).contains(&format!("registry.danube-system:5000/app/app@{digest}")),
        "{}",
        server.log(&id, 0)
    );
    assert_eq!(job["steps"][0]["name"], "Build image app:1.0");
    let (code, said) =
        super::verify(&server, &format!("registry.danube-system:5000/app/app@{digest}"), &server.attestation(&id));
    assert_eq!(code, Some(0), "{said}");
}
