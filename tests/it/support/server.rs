//! A server of a test's own: config repo, built repository, `danube serve`, and a client of its API.
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use danube::executor::Executor as _;
use danube::executor::remote::Client;
use ring::hmac;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::http::{Door, Reply, send};
use super::machine::machine_snapshot;
use super::repo::{commit, git, repository};
use super::{danube, shim};

/// What happens at all happens within this time.
const LIMIT: Duration = Duration::from_secs(90);

/// Signs the deliveries of a test.
pub(crate) const WEBHOOK_KEY: &str = "a-webhook-secret-of-a-test";

/// Triggers of the usual pipeline.
pub(crate) const TRIGGERS: &str = "  triggers: [{on: push}, {on: manual}]\n";

/// What a server is to build.
pub(crate) struct Setup<'a> {
    /// Of the built repository.
    pub(crate) files: &'a [(&'a str, &'a str)],
    /// Further lines of the pipeline's `spec`.
    pub(crate) pipeline: &'a str,
    /// Further lines of the `spec` of `config.yaml`.
    pub(crate) global: &'a str,
}

/// A server, gone with everything of its own when dropped.
pub(crate) struct Danube {
    dir: tempfile::TempDir,
    child: Option<Child>,
    instance: String,
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {LIMIT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A danubefile with one pipeline, of these lines.
pub(crate) fn danubefile(lines: &[&str]) -> String {
    let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    format!(
        "from danube import artifacts, ctx, pipeline, secrets, step\n\n\n@pipeline(name=\"app\")\ndef build():\n{body}"
    )
}

impl Danube {
    /// Builds a repository with this danubefile.
    pub(crate) fn building(lines: &[&str]) -> Self {
        Self::with(&Setup { files: &[("danubefile.py", &danubefile(lines))], pipeline: TRIGGERS, global: "" })
    }

    /// Starts, and waits until the configuration is in force.
    pub(crate) fn with(setup: &Setup<'_>) -> Self {
        let mut this = Self::prepared(setup);
        this.start();
        this
    }

    /// Everything but the server.
    pub(crate) fn prepared(setup: &Setup<'_>) -> Self {
        let dir = tempfile::Builder::new().prefix("it-").tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let this = Self { dir, child: None, instance: String::new() };
        repository(&this.app(), setup.files);
        let pipeline = this.pipeline_document("app", setup.pipeline);
        let global = setup.global;
        let head = |kind: &str, name: &str| {
            format!("apiVersion: danube.dev/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n")
        };
        repository(
            &this.conf(),
            &[
                (
                    "config.yaml",
                    &format!(
                        "{}  webhooks: [{{forge: github, secret: GITHUB_WEBHOOK}}]\n{global}",
                        head("Config", "global")
                    ),
                ),
                ("users.yaml", &format!("{}  email: ada@example.com\n", head("User", "ada"))),
                (
                    "teams.yaml",
                    &format!("{}  members: [ada@example.com]\n  global_admin: true\n", head("Team", "core")),
                ),
                ("pipelines/app.yaml", &pipeline),
            ],
        );
        let conf = this.conf();
        let toml = format!(
            "[config_repo]\nurl = \"file://{}\"\nsync_interval = \"1s\"\n\n[server]\nbind_address = \"127.0.0.1:0\"\n\n\
             [executor]\nhost_image = true\n\n[log]\nformat = \"text\"\n",
            conf.display()
        );
        fs::write(this.toml(), toml).unwrap();
        this
    }

    /// A pipeline of the built repository.
    pub(crate) fn pipeline_document(&self, name: &str, lines: &str) -> String {
        format!(
            "apiVersion: danube.dev/v1\nkind: Pipeline\nmetadata: {{name: {name}, team: core}}\nspec:\n  repository: \
             file://{}\n{lines}",
            self.app().display()
        )
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The built repository.
    pub(crate) fn app(&self) -> PathBuf {
        self.path("app")
    }

    /// The config repo.
    pub(crate) fn conf(&self) -> PathBuf {
        self.path("conf")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn toml(&self) -> PathBuf {
        self.path("danube.toml")
    }

    /// Eight hex digits that everything global of this server carries.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// `danube serve`, not yet started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(danube());
        command.arg("serve").arg("--config").arg(self.toml()).arg("--data-dir").arg(self.data());
        command.env("DANUBE_SHIM", shim()).stdin(Stdio::null()).current_dir(self.dir.path());
        for name in ["DANUBE_LOG", "DANUBE_SERVER", "DANUBE_TOKEN", "SUDO_UID", "SUDO_GID"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the server to its end, which should be soon; its exit status and what it said.
    #[track_caller]
    pub(crate) fn refused(&mut self, mut command: Command) -> (Option<i32>, String) {
        let said = self.path("refused.log");
        let file = File::create(&said).unwrap();
        let mut child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        let end = Instant::now() + LIMIT;
        let status: ExitStatus = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("the server did not end: {}", fs::read_to_string(&said).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        self.learn_instance();
        (status.code(), fs::read_to_string(&said).unwrap())
    }

    /// Starts the server and waits until the configuration is in force.
    #[track_caller]
    pub(crate) fn start(&mut self) {
        self.launch();
        until("the server is ready", || {
            let ready = self.try_send("GET", "/health/ready", &[], b"").ok();
            self.alive();
            ready.filter(|reply| reply.status == 200)
        });
        let key = WEBHOOK_KEY.as_bytes();
        self.put("/api/v1/secrets/global/GITHUB_WEBHOOK", key).with(204);
    }

    /// Starts the server and waits until it answers.
    #[track_caller]
    pub(crate) fn launch(&mut self) {
        // A server that was killed leaves these behind.
        for name in ["http.addr", "api.sock"] {
            let _absent = fs::remove_file(self.data().join(name));
        }
        let log = File::options().create(true).append(true).open(self.path("server.log")).unwrap();
        let child = self.command().stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        until("the server answers", || {
            self.alive();
            self.data().join("http.addr").exists().then_some(())
        });
        self.learn_instance();
    }

    fn learn_instance(&mut self) {
        if let Ok(text) = fs::read_to_string(self.data().join("instance")) {
            self.instance = text.trim().to_owned();
        }
    }

    /// Fails with the server's own words where it ended.
    #[track_caller]
    fn alive(&mut self) {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait().unwrap()
        {
            panic!("the server ended with {status}");
        }
    }

    /// What the server logged, the end of it.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read(self.path("server.log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(6000)..]).into_owned()
    }

    /// The server's process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        if child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let _gone = kill_process(pid, Signal::TERM);
        }
        let end = Instant::now() + LIMIT;
        while child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > end {
                eprintln!("the server did not stop when told to");
                let _gone = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The executor's process, with its words.
    pub(crate) fn executor(&self) -> Option<(Pid, Vec<String>)> {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|entry| {
                let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
                let line = fs::read(entry.path().join("cmdline")).ok()?;
                let words: Vec<String> =
                    line.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                let ours = words.get(1).is_some_and(|w| w == "executor") && words.contains(&self.instance);
                ours.then_some((Pid::from_raw(pid)?, words))
            })
            .next()
    }

    /// `kill -9` of the executor; the words to start it again by.
    pub(crate) fn kill_executor(&self) -> Vec<String> {
        let (pid, words) = self.executor().expect("the executor runs");
        kill_process(pid, Signal::KILL).unwrap();
        until("the executor is gone", || self.executor().is_none().then_some(()));
        words
    }

    /// Starts the executor again, as a supervisor of services would.
    pub(crate) fn start_executor(&self, words: &[String]) {
        let words: Vec<&String> = words.iter().filter(|word| !word.is_empty()).collect();
        let child = Command::new(danube()).args(&words[1..]).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        // Ours to wait for; a thread does, so that no zombie is left.
        let mut child = child.unwrap();
        std::thread::spawn(move || child.wait());
    }

    /// The machine's own door.
    pub(crate) fn socket(&self) -> Door {
        Door::Socket(self.data().join("api.sock"))
    }

    /// The network's door.
    pub(crate) fn network(&self) -> Door {
        Door::Network(fs::read_to_string(self.data().join("http.addr")).unwrap().trim().to_owned())
    }

    fn try_send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> std::io::Result<Reply> {
        send(&self.socket(), method, path, headers, body)
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Reply {
        self.try_send("GET", path, &[], b"").unwrap()
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.try_send("POST", path, &[("Content-Type", "application/json")], body.as_bytes()).unwrap()
    }

    #[track_caller]
    pub(crate) fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.try_send("PUT", path, &[], body).unwrap()
    }

    /// The program as a client of this server.
    pub(crate) fn danube(&self, words: &[&str]) -> std::process::Output {
        Command::new(danube())
            .args(words)
            .arg("--socket")
            .arg(self.data().join("api.sock"))
            .env_remove("DANUBE_SERVER")
            .env_remove("DANUBE_TOKEN")
            .output()
            .unwrap()
    }

    /// Starts a job of `app`; its id.
    #[track_caller]
    pub(crate) fn trigger(&self) -> String {
        self.trigger_of("app")
    }

    #[track_caller]
    pub(crate) fn trigger_of(&self, pipeline: &str) -> String {
        let started = self.post(&format!("/api/v1/pipelines/{pipeline}/trigger"), &Value::Null).with(201);
        started["id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn job(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/jobs/{id}")).with(200)
    }

    /// All jobs, newest first.
    #[track_caller]
    pub(crate) fn jobs(&self) -> Vec<Value> {
        self.get("/api/v1/jobs").with(200)["jobs"].as_array().unwrap().clone()
    }

    /// The job once it has one of these states.
    #[track_caller]
    pub(crate) fn reaches(&self, id: &str, states: &[&str]) -> Value {
        until(&format!("job {id} is {states:?}"), || {
            let job = self.job(id);
            states.contains(&job["status"].as_str().unwrap()).then_some(job)
        })
    }

    /// The job once it has ended.
    #[track_caller]
    pub(crate) fn ended(&self, id: &str) -> Value {
        self.reaches(id, &["success", "failure", "cancelled", "timeout"])
    }

    /// The job's end, which must be success.
    #[track_caller]
    pub(crate) fn succeeds(&self, id: &str) -> Value {
        let job = self.ended(id);
        let log = self.get(&format!("/api/v1/jobs/{id}/log")).text();
        assert_eq!(job["status"], "success", "{job:#}\n{log}");
        job
    }

    /// The log of one step, without the remark that it has no network.
    #[track_caller]
    pub(crate) fn log(&self, id: &str, step: u32) -> String {
        let reply = self.get(&format!("/api/v1/jobs/{id}/steps/{step}/log"));
        let text = if reply.status == 200 { reply.text() } else { String::new() };
        text.lines().filter(|line| !line.starts_with("danube: ")).map(|line| format!("{line}\n")).collect()
    }

    /// The signed record of an ended job.
    #[track_caller]
    pub(crate) fn attestation(&self, id: &str) -> String {
        until("the record is signed", || {
            let reply = self.get(&format!("/api/v1/jobs/{id}/attestation"));
            (reply.status == 200).then(|| reply.text())
        })
    }

    /// A signed delivery of a push, as GitHub sends it.
    #[track_caller]
    pub(crate) fn deliver(&self, id: &str, reference: &str, before: &str, after: &str) -> Reply {
        let body = self.push_event(reference, before, after);
        self.deliver_body(id, body.to_string().as_bytes(), &sign(body.to_string().as_bytes()))
    }

    #[track_caller]
    pub(crate) fn deliver_body(&self, id: &str, body: &[u8], signature: &str) -> Reply {
        let headers = [
            ("Content-Type", "application/json"),
            ("X-GitHub-Delivery", id),
            ("X-GitHub-Event", "push"),
            ("X-Hub-Signature-256", signature),
        ];
        send(&self.network(), "POST", "/webhooks/github", &headers, body).unwrap()
    }

    /// The body of a push to the built repository.
    pub(crate) fn push_event(&self, reference: &str, before: &str, after: &str) -> Value {
        let zero = "0".repeat(40);
        json!({
            "ref": reference, "before": before, "after": after, "created": before == zero, "deleted": after == zero,
            "repository": { "full_name": "team/app", "clone_url": format!("file://{}", self.app().display()) },
        })
    }

    /// Commits to the config repo, and waits until the server has looked at it.
    #[track_caller]
    pub(crate) fn configure(&self, files: &[(&str, &str)]) -> String {
        let sha = commit(&self.conf(), files, "change");
        self.looked_at(&sha);
        sha
    }

    /// Waits until the server has looked at a commit of the config repo.
    #[track_caller]
    pub(crate) fn looked_at(&self, sha: &str) -> Value {
        self.post("/api/v1/config/sync", &Value::Null).with(202);
        until("the commit is looked at", || {
            let status = self.get("/api/v1/config/status").with(200);
            (status["last_seen"]["commit"] == sha).then_some(status)
        })
    }

    /// The workspace of a living job, as root sees it.
    pub(crate) fn workspace(&self, id: &str) -> PathBuf {
        self.data().join("executor/jobs").join(id).join("workspace")
    }

    /// The database, for what no API shows and for damage.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.data().join("danube.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }

    /// Ends the executor with everything that it made.
    fn leave(&self) {
        let run = Path::new("/run/danube").join(&self.instance);
        if self.instance.is_empty() || !run.exists() {
            return;
        }
        let socket = run.join("executor.sock");
        let cleaned = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let client = Client::new(&socket);
                for job in client.list().await.unwrap_or_default() {
                    let _gone = client.teardown(job).await;
                }
                client.leave().await
            })
        });
        let _reported = cleaned.join();
        let end = Instant::now() + LIMIT;
        while run.exists() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What the machine still shows of this server.
    fn leftovers(&self) -> Vec<String> {
        let dir = self.dir.path().display().to_string();
        let ours = |line: &str| line.contains(&dir) || (!self.instance.is_empty() && line.contains(&self.instance));
        let mut left: Vec<String> = machine_snapshot().into_iter().filter(|line| ours(line)).collect();
        for lease in fs::read_dir("/run/danube/uids").into_iter().flatten().flatten() {
            let holder = fs::read_to_string(lease.path()).unwrap_or_default();
            if ours(&holder) {
                left.push(format!("uid range: {holder}"));
            }
        }
        left
    }
}

/// `X-Hub-Signature-256` of a body.
pub(crate) fn sign(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, WEBHOOK_KEY.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}

/// Where a branch of a repository is.
pub(crate) fn head(dir: &Path) -> String {
    git(dir, &["rev-parse", "HEAD"])
}

impl Drop for Danube {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log ends with:\n{}", self.log_tail());
        }
        self.stop();
        if self.executor().is_none() && !self.instance.is_empty() {
            self.revive();
        }
        self.leave();
        let left = self.leftovers();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left on the machine: {left:#?}");
        }
    }
}

impl Danube {
    /// An executor that died has jobs to clear away.
    fn revive(&self) {
        let run = Path::new("/run/danube").join(&self.instance);
        if !run.exists() {
            return;
        }
        let words =
            ["danube", "executor", "--instance", &self.instance, "--master-uid", "0", "--linger", "60", "--root"];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.push(self.data().join("executor").display().to_string());
        words.extend(["--run-dir".to_owned(), run.display().to_string()]);
        words.extend(["--shim".to_owned(), shim().display().to_string()]);
        self.start_executor(&words);
    }
}
