//! Two jobs side by side, and one after the other: neither sees, reaches or reads anything of the other.
use std::io::Read;

use danube::executor::{Executor, FileSpec, StepSpec};

use base64::Engine as _;

use crate::support::executor::{Box, spec};

/// What only one of them knows.
const MARK: &str = "only-of-this-job";

/// A job that has something of everything: a secret in its environment, one in a file, files, processes, sockets with
/// and without a name, shared memory.
const OWNER: &str = "exec python3 -c '
import os, socket, sys, time
mark = os.environ[\"MARK\"]
for place in (\"/workspace\", \"/tmp\", \"/dev/shm\", \"/var/tmp\", \"/root\"):
    open(f\"{place}/{mark}\", \"w\").write(mark)
try: tcp = socket.create_server((\"127.0.0.1\", 47111))
except OSError: pass  # without a network there is no such address
loose = socket.socket(socket.AF_UNIX); loose.bind(\"\\0\" + mark); loose.listen()
named = socket.socket(socket.AF_UNIX); named.bind(f\"/tmp/{mark}.sock\"); named.listen()
os.chmod(f\"/tmp/{mark}.sock\", 0o777)
print(\"up\", flush=True)
while not os.path.exists(\"/workspace/go\"): time.sleep(0.02)
print(\"untouched\" if os.path.exists(f\"/workspace/{mark}\") else \"touched\")
' --only-of-this-job";

/// Everything that somebody else could look at. The mark itself comes in two parts: it must not be found here.
const STRANGER: &str = "exec python3 -c '
import os, socket
mark = \"only-of-\" + \"this-job\"
found = []
def see(what, text):
    if mark in text: found.append(what)
for pid in filter(str.isdigit, os.listdir(\"/proc\")):
    if pid == str(os.getpid()): continue
    for name in (\"environ\", \"cmdline\", \"maps\", \"mountinfo\"):
        try: see(f\"{pid}/{name}\", open(f\"/proc/{pid}/{name}\", \"rb\").read().decode(errors=\"replace\"))
        except OSError: pass
for top, dirs, files in os.walk(\"/\", onerror=None):
    if top.startswith((\"/proc\", \"/usr\")): dirs[:] = []; continue
    for name in dirs + files: see(f\"{top}/{name}\", name)
for name in (\"net/tcp\", \"net/unix\", \"sysvipc/shm\", \"mounts\"):
    try: see(name, open(f\"/proc/self/{name}\" if name != \"sysvipc/shm\" else \"/proc/sysvipc/shm\").read())
    except OSError: pass
for family, address in ((socket.AF_INET, (\"127.0.0.1\", 47111)), (socket.AF_UNIX, \"\\0\" + mark)):
    try: socket.socket(family).connect(address); found.append(str(address))
    except OSError: pass
killed = 0
for pid in range(2, 70000):
    if pid == os.getpid(): continue
    try: os.kill(pid, 9); killed += 1
    except OSError: pass
print(\"found\", found, \"killed\", killed)
'";

fn owner() -> StepSpec {
    let mut step = spec(OWNER);
    step.env.push(("MARK".into(), MARK.into()));
    step.env.push(("TOKEN".into(), MARK.into()));
    step.files
        .push(FileSpec { path: "/run/key".into(), content: base64::engine::general_purpose::STANDARD.encode(MARK) });
    step
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_side_by_side_and_one_after_the_other_see_nothing_of_each_other() {
    let this = Box::start();
    let (one, other) = (this.job().await, this.job().await);
    let at = this.at(one, 1);
    this.begin(at, owner()).await.unwrap();
    while !this.log(at).contains("up\n") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (end, log) = this.sh(other, 1, STRANGER).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "found [] killed 0\n"), "beside it");
    // The same from a root that it may only read, and as an ordinary user.
    let mut user = spec(STRANGER);
    user.user = Some("1000".into());
    user.root = danube::executor::Root::Readonly;
    let (end, log) = this.run(this.at(other, 2), user).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "found [] killed 0\n"), "as another user");
    // As the coordinator, which sees its own checkout and socket.
    let mut coordinator = spec(STRANGER);
    coordinator.kind = danube::executor::StepKind::Coordinator;
    coordinator.workdir = "/".into();
    let (end, log) = this.run(this.at(other, 3), coordinator).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "found [] killed 0\n"), "as a coordinator");
    // A step of the job itself sees its workspace, and nothing else that the other step has.
    let (_, log) = this.sh(one, 2, STRANGER).await;
    let own = format!("found ['/workspace/{MARK}'] killed 0\n");
    assert_eq!(log, own, "from within the job");
    this.sh(one, 3, "touch go").await;
    let (end, log) = this.end(at).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "up\nuntouched\n"));
    this.client.teardown(one).await.unwrap();
    // Whoever gets its users next finds nothing that was theirs.
    let next = this.job().await;
    let (_, log) = this.sh(next, 1, STRANGER).await;
    assert_eq!(log, "found [] killed 0\n", "after it");
    for job in [other, next] {
        this.client.teardown(job).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_becomes_a_link_while_it_is_uploaded_is_uploaded_as_it_was_or_not_at_all() {
    let this = Box::start();
    let job = this.job().await;
    let at = this.at(job, 1);
    let swap = "mkdir real; echo mine > real/passwd; ln -s /etc link; echo up; until test -e go; do \
                rm -rf x d; echo mine > x; mkdir d; echo mine > d/passwd; rm -rf x d; ln -s /etc/passwd x; ln -s /etc d; done";
    this.begin(at, spec(swap)).await.unwrap();
    while !this.log(at).contains("up\n") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    for n in 0..12 {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map(|_| String::from_utf8_lossy(&bytes).into_owned())
        });
        let path = if n % 2 == 0 { "x" } else { "d/passwd" };
        // Whether it was a file when it was looked at is chance.
        let _either = this.client.export(job, path.into(), std::os::fd::OwnedFd::from(writer).into()).await;
        let bytes = read.await.unwrap().unwrap();
        assert!(!bytes.contains("root:") && !bytes.contains("/bin/sh"), "{bytes}");
    }
    this.sh(job, 2, "touch go").await;
    assert_eq!(this.end(at).await.0.exit_code, 0);
    this.client.teardown(job).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_user_is_no_trouble_for_the_next_step_nor_for_the_end() {
    let this = Box::start();
    let job = this.job().await;
    let leave = "mkdir -m 700 shut; echo private > shut/file; chmod 600 shut/file; chown -R 4321:4321 shut; \
                 mkdir -m 0 closed; chown 65535:65535 closed; mkdir -m 1777 all; touch all/of; chown 7:7 all/of";
    let (end, log) = this.sh(job, 1, leave).await;
    assert_eq!(end.exit_code, 0, "{log}");
    let mut user = spec("cat shut/file; rm -f all/of; ls shut; echo end");
    user.user = Some("1000".into());
    let (_, log) = this.run(this.at(job, 2), user).await;
    assert!(!log.contains("private") && log.contains("all/of") && log.contains("end\n"), "another user: {log}");
    let (end, log) = this.sh(job, 3, "cat shut/file; rm -r all; rmdir closed; ls").await;
    assert_eq!((end.exit_code, log.as_str()), (0, "private\ndanubefile.py\nshut\nsrc\n"), "root of the job");
    this.sh(job, 4, "mkdir -p deep; cd deep; for i in $(seq 400); do mkdir d; cd d; done; chown -h 9 .; chmod 0 .")
        .await;
    this.client.teardown(job).await.expect("everything of it is removed");
}
