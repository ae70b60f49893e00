//! A real project as a team would build it: images of a registry, a service, caches, steps side by side; and the second run, which
//! finds layers and caches. `make test-project` makes the images and runs this.
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::registry::World;
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS};

const FILE: &str = include_str!("../project/danubefile.py");

/// What `make test-project` sets: the folder of the OCI layouts.
fn layouts() -> PathBuf {
    let path = std::env::var_os("DANUBE_TEST_PROJECT").expect("DANUBE_TEST_PROJECT: run this by `make test-project`");
    PathBuf::from(path)
}

/// simplejson as its authors published it.
fn unpack(into: &Path) {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/simplejson-3.19.2.tar.gz");
    let done = Command::new("tar").args(["--strip-components=1", "-xf", archive]).current_dir(into).status().unwrap();
    assert!(done.success());
}

fn step<'a>(job: &'a Value, name: &str) -> Vec<&'a Value> {
    job["steps"].as_array().unwrap().iter().filter(|step| step["name"] == name).collect()
}

/// The raw log of the only step of a name.
fn log(server: &Danube, job: &Value, name: &str) -> String {
    let [step] = step(job, name)[..] else { panic!("{name}: {job:#}") };
    server.raw_log(job["id"].as_str().unwrap(), u32::try_from(step["n"].as_u64().unwrap()).unwrap())
}

fn whole_log(server: &Danube, job: &Value) -> String {
    server.get(&format!("/api/v1/jobs/{}/log", job["id"].as_str().unwrap())).text()
}

#[test]
fn the_second_run_of_a_real_project_finds_its_layers_and_caches() {
    let world = World::new();
    for name in ["python-dev", "lint", "redis"] {
        world.push(&layouts().join(name), &format!("ci/{name}:1"));
    }
    let global = world.mirrors("registry.example.com");
    let mut server =
        Danube::prepared(&Setup { files: &[("danubefile.py", FILE)], pipeline: TRIGGERS, global: &global });
    unpack(&server.app());
    commit(&server.app(), &[], "simplejson 3.19.2");
    server.start();

    let first = server.succeeds(&server.trigger());
    let second = server.succeeds(&server.trigger());
    for job in [&first, &second] {
        let digests: std::collections::BTreeSet<_> =
            job["steps"].as_array().unwrap().iter().filter_map(|step| step["image_digest"].as_str()).collect();
        assert_eq!(digests.len(), 3, "{job:#}");
        let suites = step(job, "the authors' tests");
        assert_eq!(suites.len(), 2, "{job:#}");
        // Each branch has a service of its own, so each counts one.
        assert_eq!(whole_log(&server, job).matches("suites so far: 1 of branch").count(), 2);
        let kept = server.get(&format!("/api/v1/jobs/{}/artifacts", job["id"].as_str().unwrap())).with(200);
        assert_eq!(kept["artifacts"].as_array().unwrap().len(), 1, "{kept:#}");
        for (one, other) in [(0, 1), (1, 0)] {
            let (began, ended) = (suites[one]["started_at"].as_str(), suites[other]["finished_at"].as_str());
            assert!(began < ended, "side by side: {job:#}");
        }
    }

    // Layers: fetched once each, then none.
    let (cold, warm) = (whole_log(&server, &first), whole_log(&server, &second));
    assert_eq!(cold.matches("fetched 1 of 1 layers").count(), 3, "{cold}");
    assert!(!warm.contains("fetched"), "{warm}");
    // Caches: nothing there, then both restored, and the compiler's cache is hit.
    let made = log(&server, &first, "compile");
    assert!(made.contains("cache objects: nothing is stored") && made.contains("cache build: nothing"), "{made}");
    let again = log(&server, &second, "compile");
    assert!(again.contains("cache objects: restored ") && again.contains("cache build: restored "), "{again}");
    assert!(again.contains("Hits:               1 /    1"), "{again}");

    // What a person sees of it.
    let id = second["id"].as_str().unwrap();
    let page = server.get(&format!("/jobs/{id}")).text();
    for word in ["objects", "build", "registry.example.com/ci/redis:1"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    let shown = String::from_utf8(server.danube(&["job", "show", id]).stdout).unwrap();
    assert!(shown.contains("objects") && shown.contains("restored"), "{shown}");
    if let Some(out) = std::env::var_os("DANUBE_SHOW") {
        let out = PathBuf::from(out);
        std::fs::write(out.join("job.html"), page).unwrap();
        std::fs::write(out.join("job.txt"), shown).unwrap();
        std::fs::write(out.join("cold.log"), cold).unwrap();
        std::fs::write(out.join("warm.log"), warm).unwrap();
    }
}
