//! `danube run` as an ordinary user: the same steps, and an honest word about what is not enforced.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::support::machine::machine_snapshot;
use super::support::repo::repository;
use super::support::server::until;
use super::support::{danube, shim};

const TOKEN: &str = "hunter22-of-an-ordinary-user";

/// A user without an account, with a home, a repository and copies of the programs.
struct Somebody {
    uid: u32,
    home: tempfile::TempDir,
}

impl Somebody {
    /// Each test has a uid of its own: what is left can be told by it.
    fn new(uid: u32, steps: &[&str]) -> Self {
        // A short path: sockets lie below it.
        let home = tempfile::Builder::new().prefix("it-").tempdir_in("/tmp").unwrap();
        let script = format!(
            "from danube import StepFailed, artifacts, pipeline, secrets, step\n\n\n@pipeline(name=\"own\")\ndef build() -> None:\n    {}\n",
            steps.join("\n    ")
        );
        repository(&home.path().join("repo"), &[("danubefile.py", &script), ("src/a.txt", "tracked\n")]);
        fs::create_dir(home.path().join("rt")).unwrap();
        // The build's own directory may be closed to others.
        fs::copy(danube(), home.path().join("danube")).unwrap();
        fs::copy(shim(), home.path().join("danube-shim")).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let given = Command::new("chown").arg("-R").arg(format!("{uid}:{uid}")).arg(home.path()).status().unwrap();
        assert!(given.success());
        Self { uid, home }
    }

    fn repo(&self) -> PathBuf {
        self.home.path().join("repo")
    }

    fn data(&self) -> PathBuf {
        self.repo().join(".danube")
    }

    /// A program as this user.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.arg(format!("--reuid={}", self.uid)).arg(format!("--regid={}", self.uid)).arg("--clear-groups");
        command.arg(program).env_clear().current_dir("/");
        command.env("PATH", "/usr/bin:/bin").env("HOME", self.home.path()).env("DANUBE_SECRET_TOKEN", TOKEN);
        command.env("XDG_RUNTIME_DIR", self.home.path().join("rt"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.command(&self.home.path().join("danube"));
        command.arg("run").args(args).arg(self.repo()).output().expect("setpriv runs (util-linux)")
    }

    /// Neither processes nor files of the executor are left, and the data is this user's alone.
    fn has_left_nothing(&self) {
        until("its processes have ended", || processes(self.uid).is_empty().then_some(()));
        assert!(!self.data().join("executor").exists());
        assert_eq!(fs::read_dir(self.home.path().join("rt/danube")).unwrap().count(), 0);
        let meta = fs::metadata(self.data()).unwrap();
        assert_eq!((meta.uid(), meta.mode() & 0o777), (self.uid, 0o700));
        let instance = fs::read_to_string(self.data().join("instance")).unwrap();
        let left: Vec<String> = machine_snapshot().into_iter().filter(|line| line.contains(instance.trim())).collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

/// Command lines of a user's living processes.
fn processes(uid: u32) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten().filter(|e| e.metadata().is_ok_and(|m| m.uid() == uid));
    // The command line of one that only waits to be collected is empty.
    let lines = entries.filter_map(|e| fs::read_to_string(e.path().join("cmdline")).ok());
    lines.filter(|line| !line.is_empty()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn an_ordinary_user_runs_a_danubefile_and_is_told_what_is_not_enforced() {
    let user = Somebody::new(
        61_181,
        &[
            "got = step.run('id -u; cat src/a.txt', name='ask', image='host', capture=True).stdout.split()",
            "step.run(f'echo {got[0]} {got[1]} > app; mkdir shut; touch shut/f; chmod 0 shut', name='make', image='host')",
            "artifacts.upload('app', name='app')",
            "step.run('echo it is $TOKEN', name='tell', image='host', env={'TOKEN': secrets.get('TOKEN')})",
            "try:",
            "    step.run('exit 3', name='fail', image='host')",
            "except StepFailed as failed:",
            "    step.run(f'echo saw {failed.result.exit_code}', name='after', image='host', user='0')",
            "probe = 'cat /proc/self/uid_map; grep -E \"^(CapBnd|NoNewPrivs|Seccomp):\" /proc/self/status; ls /sys /home; '",
            "probe += 'unshare -U true && echo HOLE; mount -t tmpfs x /mnt && echo HOLE; test -w /usr && echo HOLE; '",
            "probe += 'test -e /tmp/*/danube && echo HOLE; grep -c : /proc/net/dev'",
            "step.run(probe, name='boxed in', image='host')",
        ],
    );
    let output = user.run(&[]);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let head: Vec<&str> = said.lines().take_while(|line| !line.contains("ask")).collect();
    for wanted in ["memory, cpu and pids limits", "separate users", "supervisor's own user"] {
        let lines = head.iter().filter(|line| line.contains("not enforced: ") && line.contains(wanted)).count();
        assert_eq!(lines, 1, "'{wanted}' is told once, at the head:\n{said}");
    }
    for wanted in ["it is [secret TOKEN]", "✗ fail ", "saw 3", "CapBnd:\t00000000000000fb", "Seccomp:\t2", "✓ success"]
    {
        assert!(said.contains(wanted), "'{wanted}' is missing:\n{said}");
    }
    assert!(!said.contains(TOKEN) && !said.contains("HOLE"), "{said}");
    let (_, artifact) = said.lines().find_map(|line| line.split_once("artifact app (10 B): ")).expect("an artifact");
    assert_eq!(fs::read_to_string(artifact).unwrap(), "0 tracked\n");
    let found = Command::new("grep").args(["-rlaF", TOKEN]).arg(user.data()).output().unwrap();
    assert!(found.stdout.is_empty(), "{}", String::from_utf8_lossy(&found.stdout));
    user.has_left_nothing();
}

#[test]
fn a_failing_step_and_a_user_that_does_not_exist_are_named() {
    let user = Somebody::new(
        61_180,
        &[
            "try:",
            "    step.run('true', name='other', image='host', user='1000')",
            "except StepFailed:",
            "    step.run('sleep 600', name='slow', image='host', timeout='1s')",
        ],
    );
    let output = user.run(&["--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let run: Value = serde_json::from_slice(&output.stdout).expect("stdout is the object alone");
    let step = |name: &str| {
        let steps = run["steps"].as_array().unwrap();
        steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step '{name}' in {run:#}")).clone()
    };
    assert!(step("other")["reason"].as_str().unwrap().contains("user 1000 can't be had without root"), "{run:#}");
    assert_eq!(step("slow")["cause"], "timeout", "{run:#}");
    assert_eq!(run["status"], "failure");
    assert!(String::from_utf8_lossy(&output.stderr).contains("not enforced: memory"), "{}", said(&output));
    user.has_left_nothing();
}

#[test]
fn an_interrupted_run_ends_its_steps_and_leaves_nothing() {
    let user = Somebody::new(61_179, &["step.run('touch up; sleep 600', name='long', image='host')"]);
    let mut command = user.command(&user.home.path().join("danube"));
    let child = command.arg("run").arg(user.repo()).spawn().unwrap();
    let jobs = user.data().join("executor/jobs");
    until("the step is up", || {
        fs::read_dir(&jobs).ok()?.flatten().find(|job| job.path().join("workspace/up").exists())
    });
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && said(&output).contains("stopping"), "{}", said(&output));
    user.has_left_nothing();
}

#[test]
fn closed_user_namespaces_are_told_with_what_opens_them() {
    let user = Somebody::new(61_178, &["step.run('true', name='never', image='host')"]);
    // A world in which no user namespace may be made; it ends with the process.
    let closed = "import ctypes, os, sys\n\
        there, done = os.pipe(), os.pipe()\n\
        child = os.fork()\n\
        if child == 0:\n \
          assert ctypes.CDLL(None).unshare(0x10000000) == 0\n \
          os.write(there[1], b'x'); os.read(done[0], 1)\n \
          open('/proc/sys/user/max_user_namespaces', 'w').write('0')\n \
          os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))\n \
          os.execv(sys.argv[2], sys.argv[2:])\n\
        os.read(there[0], 1)\n\
        for name in ('uid_map', 'gid_map'):\n open(f'/proc/{child}/{name}', 'w').write('0 0 70000')\n\
        os.write(done[1], b'x')\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n";
    let output = Command::new("/usr/bin/python3")
        .args(["-I", "-c", closed, &user.uid.to_string()])
        .arg(user.home.path().join("danube"))
        .arg("run")
        .arg(user.repo())
        .env("XDG_RUNTIME_DIR", user.home.path().join("rt"))
        .env("HOME", user.home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("user.max_user_namespaces") && said.contains("sudo"), "{said}");
}

#[test]
fn a_data_directory_of_another_user_is_refused_by_name() {
    let user = Somebody::new(61_177, &["step.run('true', name='never', image='host')"]);
    fs::create_dir(user.data()).unwrap();
    chown(user.data(), Some(0), Some(0)).unwrap();
    let output = user.run(&[]);
    let said = said(&output);
    assert!(!output.status.success() && said.contains("belongs to another user"), "{said}");
    assert!(said.contains(".danube") && said.contains("--data-dir"), "{said}");
}
