//! The server's executor: found, killed, started again, and made to leave with all that it made.
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use danube::executor::Executor as _;
use danube::executor::remote::Client;
use rustix::process::{Pid, Signal, kill_process};

use super::{Danube, LIMIT, until};
use crate::support::machine::machine_snapshot;
use crate::support::{danube, shim};

impl Danube {
    /// The executor's process, with its words.
    pub(crate) fn executor(&self) -> Option<(Pid, Vec<String>)> {
        if self.instance.is_empty() {
            return None;
        }
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

    /// Ends the executor with everything that it made.
    pub(super) fn leave(&self) {
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
    pub(super) fn leftovers(&self) -> Vec<String> {
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

    /// An executor that died has jobs to clear away.
    pub(super) fn revive(&self) {
        let run = Path::new("/run/danube").join(&self.instance);
        if !run.exists() {
            return;
        }
        let words =
            ["danube", "executor", "--instance", &self.instance, "--master-uid", "0", "--linger", "60", "--root"];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.push(self.tree().display().to_string());
        words.extend(["--run-dir".to_owned(), run.display().to_string()]);
        words.extend(["--shim".to_owned(), shim().display().to_string()]);
        self.start_executor(&words);
    }
}
