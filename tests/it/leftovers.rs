//! What a server finds of one that died, it removes and tells; what is another's it does not touch.
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::mount::{MountFlags, mount};

use crate::support::machine::machine_snapshot;
use crate::support::server::{Danube, until};

/// A job that nobody knows.
const NOBODY: &str = "01a1fe6f-ae5a-778e-9642-e63d33687fe7";
/// Another, of which no directory is left.
const GONE: &str = "01a1fe6f-ae5a-778e-9642-e63d33687fe8";

const WAITS: &str = "step.run('touch up; until test -e go; do sleep 0.02; done; echo went', name='wait', image='host')";

/// Everything of one server: what the machine shows, its directories, its leases.
fn shown(server: &Danube) -> BTreeSet<String> {
    fn tree(dir: &Path, lines: &mut BTreeSet<String>) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            lines.insert(format!("file: {}", entry.path().display()));
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                tree(&entry.path(), lines);
            }
        }
    }
    let mut lines: BTreeSet<String> =
        machine_snapshot().into_iter().filter(|line| line.contains(server.instance())).collect();
    for name in ["logs", "artifacts", "keys", "scratch", "repos"] {
        tree(&server.data().join(name), &mut lines);
    }
    tree(&server.tree(), &mut lines);
    for lease in fs::read_dir("/run/danube/uids").unwrap().flatten() {
        let holder = fs::read_to_string(lease.path()).unwrap_or_default();
        if holder.contains(server.instance()) {
            lines.insert(format!("lease: {holder}"));
        }
    }
    lines
}

fn write(path: PathBuf) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "half").unwrap();
}

/// A process in a cgroup of this server's that belongs to no job.
fn stray(server: &Danube) -> Child {
    let child =
        Command::new("/bin/sh").args(["-c", "trap '' TERM; exec sleep 3600"]).stdin(Stdio::null()).spawn().unwrap();
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies: Vec<PathBuf> = match root.join("cgroup.controllers").exists() {
        true => vec![root.to_owned()],
        false => ["pids", "memory", "freezer"].map(|name| root.join(name)).to_vec(),
    };
    for hierarchy in hierarchies {
        let dir = hierarchy.join(format!("danube-{}/{GONE}/1.1", server.instance()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("cgroup.procs"), child.id().to_string()).unwrap();
    }
    child
}

/// Puts one of each kind by hand where a dead server could have left it; what is expected in a log of it.
fn litter(server: &Danube) -> Vec<&'static str> {
    let (data, tree, run) = (server.data(), server.tree(), Path::new("/run/danube").join(server.instance()));
    write(data.join("scratch/.scratch.1.0.tmp"));
    write(data.join("keys/.signing.tmp"));
    write(data.join("repos/.key.1.0.tmp"));
    write(data.join("repos/config.git/packed-refs.lock"));
    write(data.join("repos/config.git/objects/pack/tmp_pack_abc"));
    write(data.join(format!("logs/{NOBODY}/1.1.log")));
    write(data.join(format!("artifacts/{NOBODY}/incoming-1-0")));
    write(tree.join("bin/.danube-shim.tmp"));
    write(tree.join("sdk/danube/.__init__.py.tmp"));
    // A job that was being removed, and its mount that kept that from going through.
    let busy = tree.join(format!("jobs/{NOBODY}/roots/1.1"));
    fs::create_dir_all(&busy).unwrap();
    mount(c"none", busy.as_path(), c"tmpfs", MountFlags::empty(), c"size=4k").unwrap();
    write(run.join(format!("crun/danube-{}-{GONE}-1.1/status", server.instance())));
    fs::create_dir_all(run.join(format!("jobs/{GONE}/rpc"))).unwrap();
    drop(UnixListener::bind(run.join(format!("jobs/{GONE}/rpc/rpc.sock"))).unwrap());
    drop(UnixListener::bind(run.join("executor.new")).unwrap());
    fs::write("/run/danube/uids/4000", tree.join("jobs").join(GONE).display().to_string()).unwrap();
    vec![
        "scratch/.scratch.1.0.tmp",
        "keys/.signing.tmp",
        "packed-refs.lock",
        "tmp_pack_abc",
        "a log directory",
        "a directory of artifacts",
        "bin/.danube-shim.tmp",
        ".__init__.py.tmp",
        "a mount",
        "a container",
        "sockets",
        "executor.new",
        "a range of uids",
    ]
}

#[test]
fn what_a_dead_server_left_is_removed_and_told_and_the_neighbours_things_stay() {
    let (mut server, neighbour) = (Danube::building(&["step.run('true', image='host')"]), Danube::building(&[WAITS]));
    let done = server.trigger();
    server.succeeds(&done);
    server.attestation(&done);
    let running = neighbour.trigger();
    until("the neighbour's step runs", || neighbour.workspace(&running).join("up").exists().then_some(()));
    until("the job is gone", || (!server.workspace(&done).exists()).then_some(()));
    server.kill();
    server.kill_executor();
    let clean = shown(&server);
    let others = shown(&neighbour);
    let expected = litter(&server);
    let mut stray = stray(&server);
    assert!(shown(&server).difference(&clean).count() > expected.len());

    server.start();
    until("everything is removed", || {
        let now = shown(&server);
        let left: Vec<&String> = now.iter().filter(|line| !clean.contains(*line)).collect();
        left.iter().all(|line| line.contains("process: ") || line.contains("executor.sock")).then_some(())
    });
    assert!(!stray.wait().unwrap().success(), "it was killed");
    let executor = fs::read_to_string(server.tree().join("executor.log")).unwrap();
    let said = executor + &fs::read_to_string(server.path("server.log")).unwrap();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("removed a left-over")).collect();
    for what in expected {
        let line = told.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {told:#?}"));
        assert!(line.contains("job=") && line.contains("why="), "{line}");
    }
    assert!(told.iter().any(|line| line.contains("a cgroup") && line.contains(GONE)), "{told:#?}");
    assert!(said.contains("removing what a job left"), "the job that was half removed is named: {told:#?}");

    assert_eq!(shown(&neighbour), others, "the neighbour's things are as they were");
    fs::write(neighbour.workspace(&running).join("go"), "").unwrap();
    neighbour.succeeds(&running);
    assert_eq!(neighbour.log(&running, 1), "went\n");
    // It goes on as if nothing had been.
    let again = server.trigger();
    server.succeeds(&again);
}

/// Killed in the middle of an upload, master, executor and the supervisor of a step leave what nobody asks for again.
#[test]
fn a_kill_in_the_middle_leaves_nothing_after_the_next_start() {
    let file = [
        "step.run('head -c 300000000 /dev/zero > big; (setsid sleep 3600 &); touch made', name='make', image='host')",
        "artifacts.upload('big', name='big')",
    ];
    let mut server = Danube::building(&file);
    let job = server.trigger();
    let dir = server.data().join("artifacts").join(&job);
    let halves = || {
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("incoming-")).count()
    };
    until("the upload is under way", || (halves() > 0).then_some(()));
    server.kill();
    server.kill_executor();
    assert_eq!(halves(), 1);
    server.start();
    let ended = server.succeeds(&job);
    assert_eq!(ended["attempt"], 1, "{ended:#}");
    assert_eq!(halves(), 0);
    let stored = server.get(&format!("/api/v1/jobs/{job}/artifacts")).with(200);
    assert_eq!(stored["artifacts"][0]["size"], 300_000_000, "{stored:#}");
    let log = fs::read_to_string(server.path("server.log")).unwrap();
    let told = log.lines().find(|line| line.contains("half-received artifacts")).unwrap();
    assert!(told.contains(&job) && told.contains("why="), "{told}");
    until("nothing of it is left", || {
        let own = |line: &String| line.contains(&job) && !line.contains("/data/");
        (!shown(&server).iter().any(own)).then_some(())
    });
}

#[test]
fn a_git_that_outlived_its_server_is_ended_with_its_lock() {
    let mut server = Danube::building(&["step.run('true', image='host')"]);
    let job = server.trigger();
    server.succeeds(&job);
    server.kill();
    let mirror = fs::read_dir(server.data().join("repos")).unwrap().flatten().map(|entry| entry.path());
    let mirror = mirror
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "git") && !path.ends_with("config.git"))
        .unwrap();
    let meta = fs::metadata(&mirror).unwrap();
    let mut git = Command::new("setpriv")
        .args([format!("--reuid={}", meta.uid()), format!("--regid={}", meta.gid())])
        .args(["--clear-groups", "git", "cat-file", "--batch"])
        .env("GIT_DIR", ".")
        .current_dir(&mirror)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("git works", || {
        fs::read_to_string(format!("/proc/{}/comm", git.id())).unwrap().starts_with("git").then_some(())
    });
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    server.start();
    assert!(!git.wait().unwrap().success(), "it was ended");
    assert!(!mirror.join("packed-refs.lock").exists());
    let again = server.trigger();
    server.succeeds(&again);
}
