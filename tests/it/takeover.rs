//! A web process that was taken over: its rights, the executor's socket, and bad intentions.
//!
//! It can misuse jobs. It must not become root, touch the host beyond its own uid's rights, start a
//! process outside a container, or get what the executor's policy does not give.
use std::fs;
use std::process::Command;

use danube::executor::Executor;

use super::support::executor::Box;

/// A uid that no account has: the master's in this test.
const MASTER: u32 = 61_183;

#[tokio::test]
async fn a_master_that_was_taken_over_stays_in_its_box() {
    let this = Box::serving(MASTER);
    let job = this.job().await;
    let own = this.dir.path().join("own");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(MASTER), Some(MASTER)).unwrap();
    // Something of root's that must not come out, and a place that must not be written.
    let treasure = this.dir.path().join("treasure");
    fs::write(&treasure, "root's alone").unwrap();
    fs::set_permissions(&treasure, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/takeover/attack.py");
    let output = Command::new("setpriv")
        .args(["--reuid", &MASTER.to_string(), "--regid", &MASTER.to_string(), "--clear-groups", "--no-new-privs"])
        .args(["/usr/bin/python3", "-I", "-c", &fs::read_to_string(script).unwrap()])
        .arg(this.run.join("executor.sock"))
        .arg(this.dir.path())
        .arg(job.to_string())
        .arg(this.child.id().to_string())
        .output()
        .expect("setpriv runs (util-linux)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("attacks held"), "{said}");
    assert!(!said.contains("HOLE") && !said.contains("root's alone"), "{said}");
    this.client.teardown(job).await.unwrap();
    for job in this.client.list().await.unwrap() {
        this.client.teardown(job).await.unwrap();
    }
}

#[tokio::test]
async fn another_user_gets_no_answer() {
    let this = Box::serving(MASTER);
    let ask = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n\
        b=b'{\"id\":0,\"verb\":\"hello\",\"version\":1}'\n\
        try:\n s.sendall(len(b).to_bytes(4,'little')+b)\n print('answer', s.recv(100))\nexcept OSError as e:\n print('answer', b'')";
    let output = Command::new("setpriv")
        .args(["--reuid", "61182", "--regid", "61182", "--clear-groups", "/usr/bin/python3", "-I", "-c", ask])
        .arg(this.run.join("executor.sock"))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "answer b''");
}
