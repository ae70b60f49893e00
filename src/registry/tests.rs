//! Real clients on a real registry: pushed, pulled, refused, counted, collected.
use std::fs;
use std::net::TcpListener as StdListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::artifacts::Digest;
use crate::model::cache::Scope;
use crate::model::job::Event;
use crate::model::settings::{Level, Permission, Pipeline};
use crate::model::trigger::{Revision, Trigger};
use crate::model::{Principal, Secret};
use crate::platform::{Clock as _, SystemClock};
use crate::queue::{self, Claimed, Limits, NewJob};
use crate::store::registry as rows;
use crate::store::testing::{TestStore, pipeline, settings, with};

/// Days that the test's clock is behind the machine's, until it is moved.
const DAYS: i64 = 40;
const PASSWORD: &str = "0123456789abcdef";

/// A registry with the doors of some jobs, and the namespace in which clients find it by its name.
struct World {
    test: TestStore,
    registry: Arc<Registry>,
    net: Net,
    stop: CancellationToken,
    running: Vec<tokio::task::JoinHandle<()>>,
}

/// A network of its own in which the registry's name leads to its own loopback.
struct Net {
    holder: Child,
    dir: PathBuf,
}

impl Net {
    fn new(dir: &Path) -> Self {
        fs::write(dir.join("hosts"), format!("127.0.0.1 localhost\n127.0.0.5 {HOST}\n")).unwrap();
        let ready = dir.join("ready");
        let script = format!(
            "ip link set lo up && mount --bind {0}/hosts /etc/hosts && touch {0}/ready && exec sleep 1000",
            dir.display()
        );
        let holder = Command::new("unshare").args(["--net", "--mount", "sh", "-c", &script]).spawn().unwrap();
        while !ready.exists() {
            std::thread::yield_now();
        }
        Self { holder, dir: dir.to_owned() }
    }

    /// A listener inside, made by a thread that goes there and ends.
    fn listen(&self, address: String) -> TcpListener {
        let link = fs::File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap();
        let made = std::thread::spawn(move || {
            let kind = Some(rustix::thread::LinkNameSpaceType::Network);
            rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&link), kind).unwrap();
            StdListener::bind(address).unwrap()
        });
        let listener = made.join().unwrap();
        listener.set_nonblocking(true).unwrap();
        TcpListener::from_std(listener).unwrap()
    }

    /// Runs a client inside, with what a step gets.
    async fn run(&self, program: &str, args: &[&str]) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-n", "-m", "--", program]).args(args);
        command.env("DOCKER_CONFIG", self.dir.join("docker")).env("SSL_CERT_FILE", self.dir.join("ca.pem"));
        command.env("HOME", &self.dir).env("REGISTRY_AUTH_FILE", self.dir.join("docker/config.json"));
        command.env("XDG_RUNTIME_DIR", &self.dir).stdin(Stdio::null());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn well(&self, program: &str, args: &[&str]) -> String {
        let output = self.run(program, args).await;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {args:?}: {out}{err}");
        out.into_owned()
    }

    /// The status and body of a request by curl.
    async fn curl(&self, args: &[&str]) -> (u16, String) {
        let cacert = self.dir.join("ca.pem").display().to_string();
        let mut all = vec!["-sS", "--cacert", &cacert, "-w", "\n%{http_code}"];
        all.extend(args);
        let text = self.well("curl", &all).await;
        let (body, code) = text.rsplit_once('\n').unwrap();
        (code.parse().unwrap(), body.to_owned())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _gone = self.holder.kill();
        let _gone = self.holder.wait();
    }
}

impl World {
    async fn new(quota: u64, pipelines: Vec<Pipeline>) -> Self {
        let test = with(settings(pipelines)).await;
        // Clients have the machine's clock: a certificate that is made now holds there, and so does one of later on.
        let now = SystemClock.now().duration_since(test.clock.now()) - SignedDuration::from_hours(24 * DAYS);
        test.clock.advance(now.unsigned_abs());
        let keys = test.dir.path().join("keys");
        fs::create_dir(&keys).unwrap();
        let setup = Setup {
            store: test.store.clone(),
            dir: test.dir.path().join("registry"),
            keys,
            program: "auto".to_owned(),
            quota,
        };
        let registry = Registry::open(setup).unwrap();
        let (stop, this) = (CancellationToken::new(), Arc::clone(&registry));
        let running = vec![tokio::spawn(this.run(stop.clone()))];
        assert_eq!(registry.settled().await, State::Up);
        let net = Net::new(test.dir.path());
        fs::create_dir(test.dir.path().join("docker")).unwrap();
        fs::write(test.dir.path().join("ca.pem"), registry.certificate()).unwrap();
        Self { test, registry, net, stop, running }
    }

    async fn claim(&self, pipeline: &Pipeline) -> Claimed {
        let new = NewJob {
            pipeline_id: self.test.pipeline_id(&pipeline.name).await,
            pipeline: pipeline.clone(),
            config_commit: "c0ffee".into(),
            trigger: Trigger::Manual,
            event: None,
            origin: None,
            actor: Principal::System,
            revision: Revision {
                commit: "a".repeat(40),
                branch: "main".into(),
                tag: None,
                message: String::new(),
                author: String::new(),
            },
            pull_request: None,
            pr_base: None,
            fork: false,
            params: Default::default(),
            parent: None,
            reuse: false,
            dedupe_key: None,
        };
        queue::enqueue(&self.test.store, new).await.unwrap();
        queue::claim(&self.test.store, "m", Limits { max_running: 99 }).await.unwrap().unwrap()
    }

    /// Opens the registry for a job of the pipeline, at an address of its own; clients carry its credential from now on.
    async fn door(&mut self, pipeline: &Pipeline, address: &str) -> (Arc<Door>, queue::Lease) {
        self.door_of(pipeline, address, Scope::Protected).await
    }

    async fn door_of(&mut self, pipeline: &Pipeline, address: &str, scope: Scope) -> (Arc<Door>, queue::Lease) {
        let claimed = self.claim(pipeline).await;
        let door = Arc::new(Door {
            job: claimed.job.id,
            lease: claimed.lease.id,
            pipeline: claimed.job.pipeline_id,
            name: pipeline.name.clone(),
            fork: false,
            scope,
            credential: Secret::new(PASSWORD.to_owned()),
        });
        fs::write(self.net.dir.join("docker/config.json"), door.docker_config(None).unwrap().expose()).unwrap();
        let (listener, registry) = (self.net.listen(address.to_owned()), Arc::clone(&self.registry));
        self.running.push(tokio::spawn(registry.serve(listener, Arc::clone(&door), self.stop.clone())));
        (door, claimed.lease)
    }

    /// An image of one layer as an OCI layout.
    fn image(&self, name: &str, content: &[u8]) -> String {
        let (dir, root) = (self.net.dir.join(name), self.net.dir.join(format!("{name}.root")));
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("file"), content).unwrap();
        let script = format!(
            "umoci init --layout {0} && umoci new --image {0}:1 && umoci insert --image {0}:1 {1}/file /file",
            dir.display(),
            root.display()
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("oci:{}:1", dir.display())
    }

    async fn end(self) {
        self.stop.cancel();
        for task in self.running {
            task.await.unwrap();
        }
    }
}

fn reference(repository: &str) -> String {
    format!("docker://{HOST_PORT}/{repository}")
}

/// Bytes that no compression makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pushed_and_pulled_by_real_clients_and_its_digest_is_the_servers() {
    let site = pipeline("site", "web");
    let mut world = World::new(1 << 30, vec![site.clone()]).await;
    let door = world.door(&site, "127.0.0.5:5000").await;
    let image = world.image("one", b"hello");
    world.net.well("skopeo", &["copy", "-q", &image, &reference("site/app:1")]).await;
    let shown = world.net.well("skopeo", &["inspect", "--format", "{{.Digest}}", &reference("site/app:1")]).await;
    let job = door.0.job;
    let pushed = world.test.store.read(move |view| rows::of_job(view, job)).await.unwrap();
    let [row] = &pushed[..] else { panic!("{pushed:?}") };
    assert_eq!(shown.trim(), format!("sha256:{}", row.digest));
    assert_eq!((row.repository.as_str(), row.tag.as_str(), row.bytes > 0), ("site/app", "1", true));
    let by_digest = reference(&format!("site/app@sha256:{}", row.digest));
    let back = format!("dir:{}", world.net.dir.join("back").display());
    world.net.well("skopeo", &["copy", "-q", &by_digest, &back]).await;
    // The same bytes under a further name, without being sent again.
    world.net.well("skopeo", &["copy", "-q", &by_digest, &reference("site/other:2")]).await;
    let storage = world.net.dir.join("store").display().to_string();
    let args = ["--root", &storage, "--storage-driver", "vfs", "--runroot", &storage, "pull", "-q"];
    world.net.well("buildah", &[&args[..], &[&reference("site/other:2")]].concat()).await;
    let counted = world.registry.counted();
    let names: Vec<_> = counted.iter().map(|count| (count.image.as_str(), count.pushes, count.pulls > 0)).collect();
    assert_eq!(names, [("site/app", 1, true), ("site/other", 1, true)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_to_its_own_room_and_reads_what_its_team_may() {
    let site = pipeline("site", "web");
    let mut tools = pipeline("tools", "ops");
    let own = pipeline("secretive", "ops");
    tools.permissions = vec![Permission { team: "web".into(), level: Level::Read }];
    let mut world = World::new(1 << 30, vec![site.clone(), tools.clone(), own.clone()]).await;
    let image = world.image("one", b"hello");
    for (n, other) in [&tools, &own].into_iter().enumerate() {
        world.door(other, &format!("127.0.0.5:{}", 6000 + n)).await;
        // The same name, another job's door.
        let to = format!("docker://{HOST}:{}/{}/base:1", 6000 + n, other.name);
        let auth = format!("danube:{PASSWORD}");
        world.net.well("skopeo", &["copy", "-q", "--dest-creds", &auth, &image, &to]).await;
    }
    world.door(&site, "127.0.0.5:5000").await;
    world.net.well("skopeo", &["inspect", &reference("tools/base:1")]).await;
    let hidden = world.net.run("skopeo", &["inspect", &reference("secretive/base:1")]).await;
    assert!(!hidden.status.success());
    let refused = world.net.run("skopeo", &["copy", "-q", &image, &reference("tools/base:2")]).await;
    assert!(!refused.status.success());
    let url = |path: &str| format!("https://{HOST_PORT}/v2/{path}");
    let user = format!("danube:{PASSWORD}");
    let as_job = ["-u", user.as_str()];
    let ask = async |args: &[&str]| world.net.curl(&[&as_job[..], args].concat()).await;
    let (code, body) = ask(&["-X", "POST", &url("tools/base/blobs/uploads/")]).await;
    assert_eq!(code, 403);
    assert!(body.contains("may push to site/… alone"), "{body}");
    assert_eq!(ask(&[&url("_catalog")]).await.0, 403);
    assert_eq!(ask(&["-X", "DELETE", &url("site/app/manifests/1")]).await.0, 405);
    assert_eq!(ask(&[&url("secretive/base/tags/list")]).await.0, 404);
    assert_eq!(
        ask(&[&url("nowhere/base/tags/list")]).await.1.replace("nowhere", "secretive"),
        ask(&[&url("secretive/base/tags/list")]).await.1
    );
    // A blob of a repository that may not be read is not taken over from there.
    let blob = format!("sha256:{}", Digest::of(b"x"));
    for (from, may) in [("secretive/base", false), ("tools/base", true)] {
        let digest = if may { layer_of(&world, "tools").await } else { blob.clone() };
        let mount = url(&format!("site/app/blobs/uploads/?mount={digest}&from={from}"));
        assert_eq!(ask(&["-X", "POST", &mount]).await.0, if may { 201 } else { 202 }, "{from}");
    }
    let (code, _) = world.net.curl(&[&url("")]).await;
    let head = world.net.curl(&["-I", &url("")]).await.1.to_lowercase();
    assert_eq!(code, 401);
    assert!(head.contains("www-authenticate: basic realm=\"danube\""), "{head}");
    assert_eq!(world.net.curl(&["-u", "danube:wrong", &url("")]).await.0, 401);
    world.end().await;
}

/// A registry looks at a form in the body before the query, and a proxy that looks at the query alone sees nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_in_the_body_takes_no_blob_from_a_repository_that_may_not_be_read() {
    let (site, own) = (pipeline("site", "web"), pipeline("secretive", "ops"));
    let mut world = World::new(1 << 30, vec![site.clone(), own.clone()]).await;
    let (image, user) = (world.image("one", b"hello"), format!("danube:{PASSWORD}"));
    world.door(&own, "127.0.0.5:6000").await;
    let base = format!("docker://{HOST}:6000/secretive/base:1");
    world.net.well("skopeo", &["copy", "-q", "--dest-creds", &user, &image, &base]).await;
    let inspect = ["inspect", "--creds", &user, "--format", "{{index .Layers 0}}", &base];
    let layer = world.net.well("skopeo", &inspect).await.trim().to_owned();
    world.door(&site, "127.0.0.5:5000").await;
    let url = |path: &str| format!("https://{HOST_PORT}/v2/{path}");
    let ask = async |args: &[&str]| world.net.curl(&[&["-u", user.as_str()], args].concat()).await;
    let (begin, form) = (url("site/app/blobs/uploads/"), format!("mount={layer}&from=secretive%2Fbase"));
    let (mount, from) = (format!("mount={layer}"), "from=secretive/base");
    for (kind, to) in [
        ("application/x-www-form-urlencoded", begin.clone()),
        ("Application/X-WWW-Form-URLencoded; charset=utf-8", begin.clone()),
        ("application/x-www-form-urlencoded", format!("{begin}?mount={layer}&from=site/app")),
        ("application/x-www-form-urlencoded", format!("{begin}?digest={layer}")),
    ] {
        let kind = format!("Content-Type: {kind}");
        let (code, body) = ask(&["-X", "POST", "-H", &kind, "-d", &form, &to]).await;
        assert_eq!(code, 202, "{kind} {to}: {body}");
    }
    assert_eq!(ask(&["-F", &mount, "-F", from, &begin]).await.0, 202);
    let chunked = ["-X", "POST", "-H", "Transfer-Encoding: chunked", "-d", &form, &begin];
    assert_eq!(ask(&chunked).await.0, 202);
    assert_eq!(ask(&["-I", &url(&format!("site/app/blobs/{layer}"))]).await.0, 404);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_feeds_no_build_of_the_protected_ones_and_moves_none_of_their_tags() {
    let site = pipeline("site", "web");
    let mut world = World::new(1 << 30, vec![site.clone()]).await;
    let (one, two) = (world.image("one", b"hello"), world.image("two", b"evil"));
    let auth = format!("danube:{PASSWORD}");
    let scope = Scope::Branch("feature/x".to_owned());
    let own = cache_of("site", &scope);
    world.door_of(&site, "127.0.0.5:6000", scope).await;
    world.door(&site, "127.0.0.5:5000").await;
    let push = async |door: u16, image: &str, to: &str| {
        let to = format!("docker://{HOST}:{door}/{to}");
        let output = world.net.run("skopeo", &["copy", "-q", "--dest-creds", &auth, image, &to]).await;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    for to in ["site/app:1", "site/cache:layer"] {
        push(5000, &one, to).await.unwrap();
    }
    let said = push(6000, &two, "site/cache:layer").await.unwrap_err();
    assert!(said.contains(&format!("writes the layer cache {own} alone")), "{said}");
    assert!(push(6000, &two, "site/cache/0123456789ab:layer").await.is_err());
    assert!(push(5000, &two, &format!("{own}:layer")).await.is_err());
    push(6000, &two, &format!("{own}:layer")).await.unwrap();
    let said = push(6000, &two, "site/app:1").await.unwrap_err();
    assert!(said.contains("site/app:1 was pushed by a job of the protected branches"), "{said}");
    assert!(said.contains("push under another tag"), "{said}");
    push(6000, &one, "site/app:1").await.unwrap();
    push(6000, &two, "site/app:feature-x").await.unwrap();
    push(6000, &one, "site/app:feature-x").await.unwrap();
    // Once the protected ones have it, it is theirs.
    push(5000, &one, "site/app:feature-x").await.unwrap();
    assert!(push(6000, &two, "site/app:feature-x").await.is_err());
    let inspect = ["inspect", "--creds", &auth, &format!("docker://{HOST}:6000/site/cache:layer")];
    world.net.well("skopeo", &inspect).await;
    world.end().await;
}

async fn layer_of(world: &World, pipeline: &str) -> String {
    let image = reference(&format!("{pipeline}/base:1"));
    let text = world.net.well("skopeo", &["inspect", "--format", "{{index .Layers 0}}", &image]).await;
    text.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_without_room_is_told_so() {
    let site = pipeline("site", "web");
    let mut world = World::new(1 << 20, vec![site.clone()]).await;
    world.door(&site, "127.0.0.5:5000").await;
    let image = world.image("small", b"hello");
    world.net.well("skopeo", &["copy", "-q", &image, &reference("site/app:1")]).await;
    let large = world.image("large", &noise(2 << 20));
    let refused = world.net.run("skopeo", &["copy", "-q", &large, &reference("site/app:2")]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("may keep 1 MiB in the registry"), "{said}");
    // What had come in of it is gone again, and what fits goes on.
    let storage = world.registry.storage().unwrap();
    assert!(storage.used("site").unwrap() < 1 << 20);
    let more = world.image("more", b"hello again");
    world.net.well("skopeo", &["copy", "-q", &more, &reference("site/app:3")]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_nobody_used_are_collected_and_what_is_freed_is_told() {
    let site = pipeline("site", "web");
    let mut world = World::new(1 << 30, vec![site.clone()]).await;
    let door = world.door(&site, "127.0.0.5:5000").await;
    let (old, used) = (world.image("old", &noise(300_000)), world.image("used", b"hello"));
    world.net.well("skopeo", &["copy", "-q", &old, &reference("site/old:1")]).await;
    world.net.well("skopeo", &["copy", "-q", &used, &reference("site/used:1")]).await;
    world.test.clock.advance(std::time::Duration::from_secs(86_400 * DAYS.unsigned_abs()));
    world.net.well("skopeo", &["inspect", &reference("site/used:1")]).await;
    // A push that has begun holds the collection up.
    world.registry.sessions.word(door.0.job, "site/new").await;
    assert_eq!(world.registry.collect().await.unwrap(), None);
    // The client looks at blobs of further repositories too, if it knows them: all of that ends with the job.
    world.registry.sessions.gone(door.0.job);
    let collected = world.registry.collect().await.unwrap().unwrap();
    assert_eq!(collected.images, 1);
    assert!(collected.bytes > 300_000, "{collected}");
    assert!(!world.net.run("skopeo", &["inspect", &reference("site/old:1")]).await.status.success());
    world.net.well("skopeo", &["inspect", &reference("site/used:1")]).await;
    let job = door.0.job;
    let pushed = world.test.store.read(move |view| rows::of_job(view, job)).await.unwrap();
    let gone: Vec<_> = pushed.iter().map(|row| (row.repository.as_str(), row.expired_at.is_some())).collect();
    assert_eq!(gone, [("site/old", true), ("site/used", false)]);
    let guarded = world.test.store.read(|view| {
        Ok([rows::guarded(view, "site/old", "1")?.is_some(), rows::guarded(view, "site/used", "1")?.is_some()])
    });
    assert_eq!(guarded.await.unwrap(), [false, true], "a tag without an image is nobody's");
    // The same image can be pushed again, whole.
    world.net.well("skopeo", &["copy", "-q", &old, &reference("site/old:1")]).await;
    world.net.well("skopeo", &["inspect", &reference("site/old:1")]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_dies_is_started_again_and_an_ended_job_pushes_nothing() {
    let site = pipeline("site", "web");
    let mut world = World::new(1 << 30, vec![site.clone()]).await;
    let door = world.door(&site, "127.0.0.5:5000").await;
    let image = world.image("one", b"hello");
    world.net.well("skopeo", &["copy", "-q", &image, &reference("site/app:1")]).await;
    let pid = fs::read_to_string(world.test.dir.path().join("registry/pid")).unwrap();
    let mut state = world.registry.state.subscribe();
    let pid = rustix::process::Pid::from_raw(pid.split_once(' ').unwrap().0.parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    state.wait_for(|state| matches!(state, State::Down(_))).await.unwrap();
    state.wait_for(|state| *state == State::Up).await.unwrap();
    world.net.well("skopeo", &["inspect", &reference("site/app:1")]).await;
    queue::finish(&world.test.store, door.1, Event::Exited { code: 0 }, None).await.unwrap();
    let refused = world.net.run("skopeo", &["copy", "-q", &image, &reference("site/app:2")]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success(), "{said}");
    world.end().await;
}
