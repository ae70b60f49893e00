//! Caches by the real executor: filled, seen by steps, stored by digest, whatever the steps do to them.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use danube::executor::remote::Client;
use danube::executor::{
    CacheFill, CacheFilled, CacheMount, CachePlace, CacheRoot, CacheTake, CacheTaken, Executor, ExecutorError, StepAt,
    StepSpec,
};
use danube::model::JobId;

use super::support::executor::{Box, spawn, spec};

const HOME: &str = "/root/.cache/tool";

/// A cache with one path outside the workspace and one in it.
fn place() -> CachePlace {
    CachePlace { id: "ab".repeat(16), paths: vec![CacheRoot::Own, CacheRoot::Workspace("vendor".to_owned())] }
}

fn cached(command: &str) -> StepSpec {
    let mount = CacheMount { id: place().id, number: 0, to: HOME.to_owned() };
    StepSpec { caches: vec![mount], ..spec(command) }
}

struct World {
    executor: Box,
}

impl World {
    fn start() -> Self {
        Self { executor: Box::start() }
    }

    async fn fill(&self, job: JobId, digest: Option<&str>) -> CacheFilled {
        self.fill_for(StepAt { job, step: 1, attempt: 1 }, digest, None).await
    }

    async fn fill_for(&self, at: StepAt, digest: Option<&str>, user: Option<&str>) -> CacheFilled {
        let (digest, user) = (digest.map(str::to_owned), user.map(str::to_owned));
        let fill = CacheFill { place: place(), digest, at, user };
        self.executor.client.cache_restore(at.job, fill).await.unwrap()
    }

    async fn take(&self, job: JobId) -> CacheTaken {
        self.take_at_most(job, 1 << 20, 1000).await.unwrap()
    }

    async fn take_at_most(&self, job: JobId, most_bytes: u64, most_files: u64) -> Result<CacheTaken, ExecutorError> {
        self.executor.client.cache_save(job, CacheTake { place: place(), most_bytes, most_files }).await
    }

    /// A job that stored a cache; its digest and size.
    async fn stored(&self, command: &str) -> (String, u64) {
        let job = self.executor.job().await;
        assert_eq!(self.fill(job, None).await, CacheFilled::Empty);
        let (end, log) = self.executor.run(self.executor.at(job, 1), cached(command)).await;
        assert_eq!(end.exit_code, 0, "{log}");
        let CacheTaken::Stored { digest, bytes, .. } = self.take(job).await else { panic!("it is not stored") };
        self.executor.client.teardown(job).await.unwrap();
        (digest, bytes)
    }

    fn blobs(&self) -> PathBuf {
        self.executor.dir.path().join("executor/caches")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.blobs()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_later_job_finds_what_an_earlier_one_left_in_both_kinds_of_places() {
    let world = World::start();
    let made = "echo 1 > ~/.cache/tool/a && chmod 751 ~/.cache/tool/a && mkdir vendor && echo 2 > vendor/b && \
                ln -s /etc/passwd vendor/link";
    let (digest, bytes) = world.stored(made).await;
    let job = world.executor.job().await;
    assert_eq!(world.fill(job, Some(&digest)).await, CacheFilled::Restored { bytes });
    assert_eq!(world.fill(job, Some(&digest)).await, CacheFilled::Restored { bytes }, "said again, the same answer");
    let later = world.executor.at(job, 2);
    assert_eq!(world.fill_for(later, Some(&digest), None).await, CacheFilled::Here);
    let look = "stat -c '%a %U' ~/.cache/tool/a; cat ~/.cache/tool/a vendor/b; readlink vendor/link; ls -A ~/.cache";
    let (end, log) = world.executor.run(world.executor.at(job, 1), cached(look)).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "751 root\n1\n2\n/etc/passwd\ntool\n"));
    assert_eq!(world.take(job).await, CacheTaken::Unchanged);

    // A later step of the job sees what this one adds, and then it is stored.
    let (_, log) = world.executor.run(later, cached("echo 3 > ~/.cache/tool/c; rm -r ~/.cache/tool/a")).await;
    let CacheTaken::Stored { digest: second, .. } = world.take(job).await else { panic!("{log}") };
    assert_ne!(second, digest);
    let (_, log) = world.executor.run(world.executor.at(job, 3), cached("ls ~/.cache/tool; rm -rf ~/.cache")).await;
    assert!(log.starts_with("c\n"), "{log}");
    world.executor.client.teardown(job).await.unwrap();
    assert_eq!(world.names().len(), 2, "the job's own directories are gone, the content is not");
}

#[tokio::test]
async fn the_files_belong_to_the_user_of_the_step() {
    let world = World::start();
    let (digest, _) =
        world.stored("mkdir -p ~/.cache/tool/d; echo 1 > ~/.cache/tool/d/a; ln -s a ~/.cache/tool/d/l").await;
    let job = world.executor.job().await;
    world.fill_for(world.executor.at(job, 1), Some(&digest), Some("1000")).await;
    let look = "stat -c %u ~/.cache/tool ~/.cache/tool/d ~/.cache/tool/d/*; echo 2 >> ~/.cache/tool/d/a; \
                touch ~/.cache/beside && stat -c %u ~/.cache";
    let mut step = cached(look);
    step.user = Some("1000".to_owned());
    step.env.retain(|(name, _)| name != "HOME");
    step.env.push(("HOME".to_owned(), "/home/build".to_owned()));
    step.caches[0].to = "/home/build/.cache/tool".to_owned();
    let (end, log) = world.executor.run(world.executor.at(job, 1), step).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "1000\n1000\n1000\n1000\n1000\n"));
}

#[tokio::test]
async fn nothing_outside_is_stored_whatever_a_step_puts_in_the_place_of_its_cache() {
    let world = World::start();
    let secret = world.executor.dir.path().join("secret");
    fs::write(&secret, "of the host").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["ln -s / vendor", "ln -s /proc/1/root vendor", "mkdir x && ln -s ../x vendor && echo 1 > x/a"] {
        let job = world.executor.job().await;
        world.fill(job, None).await;
        world.executor.run(world.executor.at(job, 1), cached(command)).await;
        let CacheTaken::Refused { reason } = world.take(job).await else { panic!("{command}") };
        assert!(reason.contains("symbolic link"), "{reason}");
        world.executor.client.teardown(job).await.unwrap();
    }
    // In the bound directory a link stays a link.
    let command = format!("ln -s / ~/.cache/tool/root; ln -s {} ~/.cache/tool/secret", secret.display());
    let (digest, bytes) = world.stored(&command).await;
    assert!(bytes < 10_000, "{bytes}");
    let content = fs::read(world.blobs().join(digest)).unwrap();
    assert!(!String::from_utf8_lossy(&content).contains("of the host"));
}

#[tokio::test]
async fn content_that_was_changed_on_disk_is_a_miss_and_removed() {
    let world = World::start();
    let (digest, _) = world.stored("echo good > ~/.cache/tool/a").await;
    let path = world.blobs().join(&digest);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(4).position(|part| part == b"good").unwrap();
    bytes[at..at + 4].copy_from_slice(b"evil");
    fs::write(&path, bytes).unwrap();
    let job = world.executor.job().await;
    assert_eq!(world.fill(job, Some(&digest)).await, CacheFilled::Damaged);
    let (_, log) = world.executor.run(world.executor.at(job, 1), cached("ls -A ~/.cache/tool; echo seen")).await;
    assert_eq!(log, "seen\n");
    assert!(!path.exists());
    let job = world.executor.job().await;
    assert_eq!(world.fill(job, Some(&digest)).await, CacheFilled::Missing);
}

#[tokio::test]
async fn what_is_too_much_is_told_and_leaves_nothing() {
    let world = World::start();
    let job = world.executor.job().await;
    world.fill(job, None).await;
    let many = "cd ~/.cache/tool; seq 1 2000 | xargs touch; truncate -s 1T sparse; mkfifo fifo";
    world.executor.run(world.executor.at(job, 1), cached(many)).await;
    for (bytes, files, said) in [(1 << 50, 1000, "more than 1000 files"), (1 << 20, 10_000, "a cache may have 1 MiB")] {
        let CacheTaken::Refused { reason } = world.take_at_most(job, bytes, files).await.unwrap() else { panic!() };
        assert!(reason.contains(said), "{reason}");
    }
    assert!(world.names().is_empty(), "{:?}", world.names());
    world.executor.run(world.executor.at(job, 2), cached("rm ~/.cache/tool/sparse")).await;
    let CacheTaken::Stored { remark, .. } = world.take_at_most(job, 1 << 20, 10_000).await.unwrap() else { panic!() };
    assert_eq!(remark.as_deref(), Some("1 sockets, pipes or devices were left out"));
}

#[tokio::test]
async fn two_jobs_that_store_the_same_at_once_have_one_content() {
    let world = World::start();
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let job = world.executor.job().await;
        world.fill(job, None).await;
        let made =
            "head -c 300000 /dev/zero > ~/.cache/tool/a; touch -d @1000 ~/.cache/tool/a; chmod 755 ~/.cache/tool";
        world.executor.run(world.executor.at(job, 1), cached(made)).await;
        jobs.push(job);
    }
    let taken = futures::future::join_all(jobs.iter().map(|job| world.take(*job))).await;
    assert!(taken.iter().all(|one| *one == taken[0]), "{taken:?}");
    assert_eq!(world.names().len(), 1);
}

#[tokio::test]
async fn an_executor_that_dies_while_it_stores_leaves_no_half() {
    let mut world = World::start();
    let job = world.executor.job().await;
    world.fill(job, None).await;
    world.executor.run(world.executor.at(job, 1), cached("head -c 900000 /dev/urandom > ~/.cache/tool/a")).await;
    // A helper that hangs in the middle: a pipe is in the place of what it reads next.
    let half = world.blobs().join(format!(".{job}-{}.tmp", place().id));
    fs::write(&half, "half").unwrap();
    world.executor.child.kill().unwrap();
    world.executor.child.wait().unwrap();
    let instance = world.executor.run.file_name().unwrap().to_str().unwrap().to_owned();
    world.executor.child = spawn(world.executor.dir.path(), &world.executor.run, &instance, 0);
    assert!(!half.exists());
    let CacheTaken::Stored { digest, .. } = world.take(job).await else { panic!("it is not stored") };
    let meta = fs::metadata(world.blobs().join(digest)).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o077), (0, 0), "nobody but root reads the content of others");
}

#[tokio::test]
async fn the_content_stays_for_the_next_executor_when_one_leaves() {
    let mut world = World::start();
    let (digest, bytes) = world.stored("echo 1 > ~/.cache/tool/a").await;
    world.executor.client.leave().await.unwrap();
    let socket = world.executor.run.join("executor.sock");
    drop(std::mem::replace(&mut world.executor.client, Client::new(&socket)));
    world.executor.child.wait().unwrap();
    let root = world.executor.dir.path().join("executor");
    let left: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["caches"], "and nothing else");
    let instance = world.executor.run.file_name().unwrap().to_str().unwrap().to_owned();
    world.executor.child = spawn(world.executor.dir.path(), &world.executor.run, &instance, 0);
    let job = world.executor.job().await;
    assert_eq!(world.fill(job, Some(&digest)).await, CacheFilled::Restored { bytes });
    world.executor.client.teardown(job).await.unwrap();
    world.executor.client.cache_remove(vec![digest]).await.unwrap();
    world.executor.client.leave().await.unwrap();
    drop(std::mem::replace(&mut world.executor.client, Client::new(&socket)));
    world.executor.child.wait().unwrap();
    let gone = !root.exists();
    // Whoever clears away after the test asks one that answers.
    world.executor.child = spawn(world.executor.dir.path(), &world.executor.run, &instance, 0);
    assert!(gone, "without any content nothing stays");
}

#[tokio::test]
async fn only_digests_and_plain_paths_are_taken_from_a_master() {
    let world = World::start();
    let job = world.executor.job().await;
    let client = &world.executor.client;
    let at = world.executor.at(job, 1);
    for digest in ["../../etc/passwd", "", &"g".repeat(64)] {
        let fill = CacheFill { place: place(), digest: Some(digest.to_owned()), at, user: None };
        assert!(matches!(client.cache_restore(job, fill).await, Err(ExecutorError::PolicyDenied(_))), "{digest}");
        assert!(client.cache_remove(vec![digest.to_owned()]).await.is_err());
    }
    for (id, path) in [("../x".to_owned(), "a"), (place().id, "../a"), (place().id, "/etc"), (place().id, "")] {
        let place = CachePlace { id, paths: vec![CacheRoot::Workspace(path.to_owned())] };
        let fill = CacheFill { place, digest: None, at, user: None };
        assert!(matches!(client.cache_restore(job, fill).await, Err(ExecutorError::PolicyDenied(_))), "{path}");
    }
    world.fill(job, None).await;
    for (id, to) in [("../source", HOME), (place().id.as_str(), "/etc"), (place().id.as_str(), "/danube/files")] {
        let mut step = cached("true");
        step.caches[0] = CacheMount { id: id.to_owned(), number: 0, to: to.to_owned() };
        assert!(world.executor.begin(at, step).await.is_err(), "{id} {to}");
    }
}
