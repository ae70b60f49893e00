//! A process that is started again whenever it ends, as a supervisor of services would.
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often an ended process is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// How soon one that does not start at all is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// How a service is started.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub(crate) words: Vec<String>,
    /// The user it runs as.
    pub(crate) uid: u32,
    pub(crate) env: Vec<(String, String)>,
    /// Where its output goes.
    pub(crate) log: PathBuf,
}

impl Unit {
    /// It ends with the harness, however that ends.
    fn spawn(&self) -> Child {
        let log = File::options().create(true).append(true).open(&self.log).expect("a log can be written");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--reuid", &self.uid.to_string(), "--regid", &self.uid.to_string()]);
        command.arg("--clear-groups").args(&self.words).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs(self.env.iter().cloned()).current_dir("/").stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a descriptor")).stderr(log);
        command.spawn().expect("setpriv runs (util-linux)")
    }
}

/// The process and who looks after it.
pub(crate) struct Service {
    shared: Arc<Shared>,
    keeper: Option<JoinHandle<()>>,
}

struct Shared {
    child: Mutex<Option<Child>>,
    stopping: AtomicBool,
}

impl Shared {
    fn child(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    pub(crate) fn start(unit: Unit) -> Self {
        let shared = Arc::new(Shared { child: Mutex::new(None), stopping: AtomicBool::new(false) });
        let kept = Arc::clone(&shared);
        let keeper = std::thread::spawn(move || keep(&kept, &unit));
        Self { shared, keeper: Some(keeper) }
    }

    /// `kill -9`; false where it does not run just now.
    pub(crate) fn kill(&self) -> bool {
        let mut child = self.shared.child();
        child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)) && child.kill().is_ok())
    }

    /// Ends it for good.
    pub(crate) fn stop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        if let Some(keeper) = self.keeper.take() {
            keeper.join().expect("the keeper of a service ends");
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn keep(shared: &Shared, unit: &Unit) {
    while !shared.stopping.load(Ordering::Relaxed) {
        let since = Instant::now();
        *shared.child() = Some(unit.spawn());
        loop {
            std::thread::sleep(LOOK);
            let mut child = shared.child();
            let Some(running) = child.as_mut() else { break };
            if !matches!(running.try_wait(), Ok(None)) {
                *child = None;
                break;
            }
            if shared.stopping.load(Ordering::Relaxed) {
                running.kill().expect("a child can be killed");
                running.wait().expect("a child can be waited for");
                *child = None;
                return;
            }
        }
        if since.elapsed() < PAUSE && !shared.stopping.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSE);
        }
    }
}
