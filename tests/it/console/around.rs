//! What a job had around its steps: caches, the network, images that it pushed.
use danube::model::cache::Scope;
use danube::queue::Lease;
use danube::store::cache_uses::{self, Finding, Found, Saved, Saving};
use danube::store::caches::{self, CacheName, NewContent};
use danube::store::egress::{self, Verdict};
use danube::store::registry::{self, NewPush};
use danube::store::{pipelines, steps};

use super::corpus;
use super::seed::Seed;

/// What a pipeline with dependencies and an image has.
pub(super) fn usual(seed: &Seed, lease: Lease, pipeline: &str) {
    caches(seed, lease, pipeline, &["packages".to_owned(), "node_modules".to_owned()]);
    network(seed, lease, &["pypi.example.com".to_owned()], &["telemetry.example.com".to_owned()]);
    image(seed, lease, &format!("{pipeline}/app"), "1.4.0");
}

/// The same, long and by a stranger.
pub(super) fn hostile(seed: &Seed, lease: Lease, pipeline: &str) {
    let names: Vec<String> = (0..12).map(|n| corpus::text(n).chars().take(64).collect()).collect();
    caches(seed, lease, pipeline, &names);
    let hosts: Vec<String> = (0..60).map(|n| format!("{}.example{n}.com", "a".repeat(60))).collect();
    network(seed, lease, &hosts[..30], &hosts[30..]);
    image(seed, lease, &format!("{pipeline}/{}", "b".repeat(100)), &"9".repeat(120));
}

/// The first cache was found and stays, the second was not and is stored; and so on.
fn caches(seed: &Seed, lease: Lease, pipeline: &str, names: &[String]) {
    let row = seed.store.read_blocking(|view| pipelines::find_by_name(view, pipeline)).unwrap().unwrap();
    let steps = seed.store.read_blocking(|view| steps::of_job(view, lease.job)).unwrap();
    let step = steps.first().expect("a step uses the caches").id;
    let names = names.to_vec();
    seed.write(move |tx| {
        for (n, name) in names.iter().enumerate() {
            let hit = n % 2 == 0;
            let place = CacheName {
                pipeline: row.id,
                scope: Scope::Protected,
                name: name.clone(),
                key: String::new(),
                paths: "[\"vendor\"]".to_owned(),
            };
            let content = NewContent { digest: format!("{n:064x}"), bytes: 48_300_000 + n as u64 };
            caches::store(tx, lease.id, (lease.job, "web#12"), &place, &content)?;
            let found = Finding {
                name: name.clone(),
                key: String::new(),
                found: if hit { Found::Hit } else { Found::Miss },
                note: if hit { "web#11, protected branches".to_owned() } else { "nothing is stored".to_owned() },
                bytes: if hit { 48_300_000 } else { 0 },
                millis: 410,
            };
            cache_uses::note_found(tx, step, &found)?;
            let saving = Saving {
                name: name.clone(),
                saved: if hit { Saved::Unchanged } else { Saved::Stored },
                note: String::new(),
                bytes: 48_300_000,
                millis: 900,
            };
            cache_uses::note_saved(tx, step, &saving)?;
        }
        Ok(())
    });
}

fn network(seed: &Seed, lease: Lease, reached: &[String], denied: &[String]) {
    let asked: Vec<(String, Verdict)> = reached
        .iter()
        .map(|name| (name.clone(), Verdict::Allowed))
        .chain(denied.iter().map(|name| (name.clone(), Verdict::Denied)))
        .collect();
    seed.write(move |tx| {
        for (name, verdict) in &asked {
            let detail = if *verdict == Verdict::Allowed { "203.0.113.7" } else { "" };
            egress::record(tx, lease.job, 1, name, *verdict, detail)?;
        }
        Ok(())
    });
}

fn image(seed: &Seed, lease: Lease, repository: &str, tag: &str) {
    let new = NewPush {
        job_id: lease.job,
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        digest: "5e".repeat(32),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes: 81_000_000,
        protected: false,
    };
    seed.write(move |tx| registry::pushed(tx, lease.id, &new));
}
