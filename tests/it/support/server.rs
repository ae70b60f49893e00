//! A server of a test's own: config repo, built repository, `danube serve`, and a client of its API.
mod api;
mod executor;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::repo::repository;
use super::{danube, forget_kept, shim};

pub(crate) use api::{head, sign};

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
    boot: String,
    registry: bool,
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
        "from danube import annotate, artifacts, ctx, pipeline, secrets, step, tests\n\n\n@pipeline(name=\"app\")\ndef build():\n{body}"
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
        let this = Self { dir, child: None, instance: String::new(), boot: String::new(), registry: false };
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

    /// The next start is on a machine that was started so.
    pub(crate) fn boot(&mut self, id: &str) {
        self.boot = id.to_owned();
    }

    /// The next start is with a registry beside it.
    pub(crate) fn with_registry(&mut self) {
        self.registry = true;
    }

    /// `danube serve`, not yet started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(danube());
        command.arg("serve").arg("--config").arg(self.toml()).arg("--data-dir").arg(self.data());
        if !self.boot.is_empty() {
            command.env("DANUBE_TEST_BOOT_ID", &self.boot);
        }
        command.env("DANUBE_REGISTRY__PROGRAM", if self.registry { "auto" } else { "off" });
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
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = until("the program can be started", || match command.spawn() {
            // A copy just made: another test's fork holds its descriptor for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => None,
            started => Some(started.unwrap()),
        });
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
            panic!("the server ended with {status}: {}", self.log_tail());
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

    /// Waits until the server ends by itself; its exit code.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let child = self.child.as_mut().expect("the server runs");
        let ended = until("the server ends", || child.try_wait().unwrap());
        self.child = None;
        ended.code()
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
                let _gone = child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The workspace of a living job, as root sees it.
    pub(crate) fn workspace(&self, id: &str) -> PathBuf {
        self.tree().join("jobs").join(id).join("workspace")
    }

    /// What the executor keeps, out of the server's reach.
    pub(crate) fn tree(&self) -> PathBuf {
        Path::new("/var/lib/danube-executor").join(&self.instance)
    }

    /// What stays for the next executor goes with the test.
    fn forget_kept(&self) {
        if !self.instance.is_empty() {
            forget_kept(&self.tree());
        }
    }

    /// The database, for what no API shows and for damage.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.data().join("danube.db")).unwrap();
        db.busy_timeout(Duration::from_secs(10)).unwrap();
        db
    }
}

impl Drop for Danube {
    #[expect(clippy::print_stderr, reason = "a failing test shows what the server said")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log ends with:\n{}", self.log_tail());
        }
        self.stop();
        if self.executor().is_none() && !self.instance.is_empty() {
            self.revive();
        }
        self.leave();
        self.forget_kept();
        let end = Instant::now() + LIMIT;
        let mut left = self.leftovers();
        // The executor's process ends a moment after its last file is gone.
        while !left.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
            left = self.leftovers();
        }
        self.forget_kept();
        if !left.is_empty() && !std::thread::panicking() {
            panic!("left on the machine: {left:#?}");
        }
    }
}
