//! A server of the harness's own: config repo, built repository, executor and master as two services.
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use danube::executor::Executor as _;
use danube::executor::remote::Client;
use serde_json::Value;

use crate::http::{Door, Reply, send};
use crate::machine::machine_snapshot;
use crate::repo::repository;
use crate::service::{Service, Unit};

/// What happens at all happens within this time.
pub(crate) const LIMIT: Duration = Duration::from_secs(180);
/// The value that no log may show.
pub(crate) const TOKEN: &str = "hunter22-of-the-harness";

/// A server; what it leaves on the machine is removed by `end`.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) instance: String,
    pub(crate) uid: u32,
    faults: String,
    pub(crate) master: Option<Service>,
    pub(crate) executor: Option<Service>,
}

/// The program under test: this build's, or the one that DANUBE_PROGRAM names.
pub(crate) fn program() -> String {
    std::env::var("DANUBE_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_danube").to_owned())
}

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("not within {LIMIT:?}: {what}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn head(kind: &str, name: &str) -> String {
    format!("apiVersion: danube.dev/v1\nkind: {kind}\nmetadata: {name}\nspec:\n")
}

impl World {
    /// Everything but the processes.
    pub(crate) fn new(danubefile: &str, log: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("chaos-").tempdir().expect("a directory");
        let path = dir.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it can be opened");
        repository(&path.join("app"), &[("danubefile.py", danubefile)]);
        let conf = path.join("conf");
        let pipeline = format!(
            "{}  repository: file://{}\n  triggers: [{{on: manual}}]\n  attempts: 3\n  secrets: [{{key: TOKEN}}, {{key: OPEN, reveal: true}}]\n  params:\n    \
             - {{name: pause, default: \"0.05\"}}\n    - {{name: full, default: \"\"}}\n  workspace_size_gb: 1\n  concurrency: {{max_running: 100}}\n",
            head("Pipeline", "{name: app, team: core}"),
            path.join("app").display()
        );
        repository(
            &conf,
            &[
                (
                    "config.yaml",
                    &format!("{}  concurrency: {{max_running_jobs: 100}}\n", head("Config", "{name: global}")),
                ),
                ("users.yaml", &format!("{}  email: ada@example.com\n", head("User", "{name: ada}"))),
                (
                    "teams.yaml",
                    &format!("{}  members: [ada@example.com]\n  global_admin: true\n", head("Team", "{name: core}")),
                ),
                ("pipelines/app.yaml", &pipeline),
            ],
        );
        let toml = format!(
            "[config_repo]\nurl = \"file://{}\"\nsync_interval = \"1s\"\n\n[server]\nbind_address = \"127.0.0.1:0\"\n\n\
             [executor]\nhost_image = true\nimages_max_bytes = \"0\"\ncaches_max_bytes = \"300KiB\"\n\n[executor.limits]\nmax_log_bytes = \"{log}\"\n\n[log]\nformat = \"text\"\n",
            conf.display()
        );
        fs::write(path.join("danube.toml"), toml).expect("a file");
        // An account that every machine has: ssh-keygen works for no other.
        let uid = 65_534;
        let this = Self { dir, instance: String::new(), uid, faults: String::new(), master: None, executor: None };
        for name in ["data", "ledger"] {
            fs::create_dir(this.path(name)).expect("a directory");
            chown(this.path(name), Some(uid), Some(uid)).expect("root gives it away");
        }
        fs::set_permissions(this.path("ledger"), fs::Permissions::from_mode(0o777)).expect("it can be opened");
        fs::write(this.path("ledger/ledger"), "").expect("a file");
        fs::set_permissions(this.path("ledger/ledger"), fs::Permissions::from_mode(0o666)).expect("it can be opened");
        this
    }

    /// Starts both, armed with these faults, and waits until the server is ready.
    pub(crate) fn start(&mut self, faults: &str) -> Result<(), String> {
        // Several users write to it.
        fs::write(self.path("hits"), "").expect("a file");
        fs::set_permissions(self.path("hits"), fs::Permissions::from_mode(0o666)).expect("it can be opened");
        faults.clone_into(&mut self.faults);
        self.start_master();
        // The server names itself at its first start; the executor carries that name.
        let file = self.path("data/instance");
        self.instance =
            until("the server has a name", || fs::read_to_string(&file).ok().filter(|text| text.len() == 8))?;
        self.start_executor();
        self.fetch("/health/ready")?;
        for (name, value) in [("TOKEN", TOKEN), ("OPEN", "to be shown")] {
            until("the secret is set", || {
                let path = format!("/api/v1/secrets/global/{name}");
                self.ask("PUT", &path, value.as_bytes()).filter(|reply| reply.status == 204)
            })?;
        }
        Ok(())
    }

    /// Starts the executor again, armed with other faults.
    pub(crate) fn arm(&mut self, faults: &str) -> Result<(), String> {
        faults.clone_into(&mut self.faults);
        self.executor = None;
        self.start_executor();
        let socket = self.run_dir().join("executor.sock");
        until("the executor answers", || std::os::unix::net::UnixStream::connect(&socket).ok()).map(drop)
    }

    /// Starts both again, armed with other faults, none of which has struck.
    pub(crate) fn again(&mut self, faults: &str) -> Result<(), String> {
        self.stop_master();
        fs::write(self.path("hits"), "").map_err(|error| error.to_string())?;
        self.arm(faults)?;
        self.start_master();
        self.fetch("/health/ready").map(drop)
    }

    /// A start with a config repo that is reached by SSH, which makes the key for it.
    pub(crate) fn deploy_key(&mut self, faults: &str) -> Result<(), String> {
        self.stop_master();
        faults.clone_into(&mut self.faults);
        let toml = fs::read_to_string(self.path("danube.toml")).map_err(|error| error.to_string())?;
        let other: String = toml
            .lines()
            .map(|line| if line.starts_with("url = ") { "url = \"git@git.invalid:ops/config.git\"" } else { line })
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(self.path("ssh.toml"), other).map_err(|error| error.to_string())?;
        let unit = self.master_unit("ssh.toml");
        self.master = Some(Service::start(unit));
        let key = self.path("data/keys/git_deploy_key");
        let made = until("the deploy key is made", || key.exists().then_some(()));
        until("the server serves with it", || self.path("data/http.addr").exists().then_some(()))?;
        self.stop_master();
        self.start_master();
        self.fetch("/health/ready")?;
        made
    }

    pub(crate) fn stop_master(&mut self) {
        self.master = None;
        let _absent = fs::remove_file(self.path("data/http.addr"));
    }

    pub(crate) fn start_master(&mut self) {
        self.master = Some(Service::start(self.master_unit("danube.toml")));
    }

    fn master_unit(&self, toml: &str) -> Unit {
        let words = ["serve", "--config", &self.text(toml), "--data-dir", &self.text("data")].map(str::to_owned);
        self.unit(&words, self.uid, "server.log")
    }

    fn start_executor(&mut self) {
        let shim = std::env::var("DANUBE_SHIM").expect("DANUBE_SHIM names the shim: run this by make");
        for dir in [self.tree(), self.run_dir()] {
            fs::create_dir_all(dir).expect("root makes directories");
        }
        let (tree, run, uid) = (self.tree().display().to_string(), self.run_dir().display().to_string(), self.uid);
        let ledger = format!("{}:/ledger", self.text("ledger"));
        let words = ["executor", "--instance", &self.instance, "--master-uid", &uid.to_string(), "--host-image"];
        let more = ["--root", &tree, "--run-dir", &run, "--shim", &shim, "--bind", &ledger];
        let words: Vec<String> = words.into_iter().chain(more).map(str::to_owned).collect();
        self.executor = Some(Service::start(self.unit(&words, 0, "executor.log")));
    }

    fn unit(&self, words: &[String], uid: u32, log: &str) -> Unit {
        let danube = program();
        let env = [
            ("DANUBE_FAULT", self.faults.clone()),
            ("DANUBE_FAULT_HITS", self.text("hits")),
            ("DANUBE_LOG", "info".to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).to_vec();
        Unit { words: [vec![danube], words.to_vec()].concat(), uid, env, log: self.path(log) }
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the executor keeps.
    pub(crate) fn tree(&self) -> PathBuf {
        Path::new("/var/lib/danube-executor").join(&self.instance)
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        Path::new("/run/danube").join(&self.instance)
    }

    pub(crate) fn master(&self) -> &Service {
        self.master.as_ref().expect("the master was started")
    }

    pub(crate) fn executor(&self) -> &Service {
        self.executor.as_ref().expect("the executor was started")
    }

    /// Asks over the machine's socket; nothing where the server is away.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &[u8]) -> Option<Reply> {
        let door = Door::Socket(self.path("data/api.sock"));
        send(&door, method, path, &[("Content-Type", "application/json")], body).ok()
    }

    pub(crate) fn get(&self, path: &str) -> Option<Reply> {
        self.ask("GET", path, b"")
    }

    /// An answer with 200, waited for over restarts.
    pub(crate) fn fetch(&self, path: &str) -> Result<Reply, String> {
        let mut last = "nobody answers".to_owned();
        let found = until(path, || {
            let reply = self.get(path)?;
            last = format!("{} {}", reply.status, reply.text());
            (reply.status == 200).then_some(reply)
        });
        found.map_err(|error| format!("{error}: {last}"))
    }

    pub(crate) fn json(&self, path: &str) -> Result<Value, String> {
        Ok(self.fetch(path)?.json())
    }

    /// Starts a job; its id. Tried until a server acknowledges it.
    pub(crate) fn trigger(&self, body: &str) -> Result<String, String> {
        let mut last = "nobody answers".to_owned();
        let id = until("a job is started", || {
            let reply = self.ask("POST", "/api/v1/pipelines/app/trigger", body.as_bytes())?;
            last = format!("{} {}", reply.status, reply.text());
            (reply.status == 201).then(|| reply.json()["id"].as_str().expect("an id").to_owned())
        });
        id.map_err(|error| format!("{error}: {last}"))
    }

    /// The database, read-only.
    pub(crate) fn database(&self) -> rusqlite::Connection {
        let db = rusqlite::Connection::open(self.path("data/danube.db")).expect("the database opens");
        db.busy_timeout(Duration::from_secs(10)).expect("a limit");
        db
    }

    /// The program as a client.
    pub(crate) fn danube(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).arg("--socket").arg(self.path("data/api.sock"));
        command.env_remove("DANUBE_SERVER").env_remove("DANUBE_TOKEN");
        command
    }

    /// The first process of a running container of the job.
    pub(crate) fn container(&self, job: &str, step: &str) -> Option<i32> {
        let pid = fs::read_to_string(self.tree().join("jobs").join(job).join("steps").join(step).join("pid")).ok()?;
        pid.trim().parse().ok()
    }

    /// Ends everything after a failure; the server's files stay to be looked at.
    pub(crate) fn fail(mut self, error: &str) -> String {
        let tail = |name: &str| {
            let text = fs::read(self.path(name)).unwrap_or_default();
            String::from_utf8_lossy(&text[text.len().saturating_sub(3000)..]).into_owned()
        };
        let logs = format!("the server's log ends:\n{}\nthe executor's:\n{}", tail("server.log"), tail("executor.log"));
        self.dir.disable_cleanup(true);
        let place = self.dir.path().display().to_string();
        let ended = self.end().err().map(|error| format!("\nand then: {error}")).unwrap_or_default();
        format!("{error}\n{logs}\nits files are kept in {place}{ended}")
    }

    /// Ends everything and removes it from the machine.
    pub(crate) fn end(mut self) -> Result<(), String> {
        self.master = None;
        let socket = self.run_dir().join("executor.sock");
        if self.executor.is_some() {
            until("the executor answers", || std::os::unix::net::UnixStream::connect(&socket).ok())?;
            let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
            runtime.block_on(async {
                let client = Client::new(&socket);
                for job in client.list().await.map_err(|error| error.to_string())? {
                    client.teardown(job).await.map_err(|error| error.to_string())?;
                }
                Ok::<(), String>(())
            })?;
        }
        self.executor = None;
        for path in [self.tree(), self.run_dir()] {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            }
        }
        // What others share stays while anything is in it.
        let _shared = self.tree().parent().map(fs::remove_dir);
        for cgroup in cgroups(&format!("danube-{}", self.instance)) {
            fs::remove_dir(&cgroup).map_err(|error| format!("{}: {error}", cgroup.display()))?;
        }
        if self.instance.is_empty() {
            return Ok(());
        }
        // Whatever the machine shows of this server, and what others left is not this server's.
        let mut left = Vec::new();
        let clean = until("nothing of the server is left", || {
            left = machine_snapshot().into_iter().filter(|line| line.contains(&self.instance)).collect::<Vec<_>>();
            left.is_empty().then_some(())
        });
        clean.map_err(|error| format!("{error}; left: {left:#?}"))
    }
}

/// The cgroups of this name, in all hierarchies.
pub(crate) fn cgroups(name: &str) -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    hierarchies.chain([root.to_owned()]).map(|dir| dir.join(name)).filter(|dir| dir.is_dir()).collect()
}
