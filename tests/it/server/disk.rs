//! A data directory that is full, read-only or gone while a job runs: it is said what is wrong, nothing is told that is
//! not stored, and the job comes to its end when the fault is mended.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::http::send;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile, until};

/// Waits for a file of the workspace and prints nothing meanwhile.
const WAIT: &str =
    "step.run('echo started >> runs; echo up; until test -e go; do sleep 0.02; done', name='wait', image='host')";

#[track_caller]
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // fsck says by 1 that it mended something.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{program} {arguments:?}: {said}");
}

/// A small disk of a file, with the data directory on it.
struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    fn make(image: PathBuf, at: PathBuf) -> Self {
        File::create(&image).unwrap().set_len(128 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", image.to_str().unwrap()]);
        fs::create_dir(&at).unwrap();
        let this = Self { image, at };
        this.mount();
        this
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", self.image.to_str().unwrap(), self.at.to_str().unwrap()]);
    }

    /// What the kernel does after an error of the disk: everything is read-only, and stays so while it is mounted.
    fn fails(&self) {
        run("sync", &["-f", self.at.to_str().unwrap()]);
        run("mount", &["-o", "remount,abort", self.at.to_str().unwrap()]);
    }

    /// What whoever runs the server does then: the same files on another disk, in the same place.
    fn mend(&mut self) {
        self.unmount();
        let other = self.image.with_extension("mended");
        fs::copy(&self.image, &other).unwrap();
        self.image = other;
        run("e2fsck", &["-f", "-y", self.image.to_str().unwrap()]);
        self.mount();
    }

    /// Also where somebody uses it.
    fn unmount(&self) {
        run("umount", &["-l", self.at.to_str().unwrap()]);
    }

    /// Takes all space but this much.
    fn fill(&self) -> PathBuf {
        let path = self.at.join("filler");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 4096, 1] {
            let piece = vec![7; size];
            while file.write_all(&piece).is_ok() {}
        }
        path
    }
}

/// A server whose data directory is a disk.
struct OnDisk {
    server: Danube,
    disk: Disk,
    job: String,
}

impl Drop for OnDisk {
    /// The server looks for leftovers when it is dropped, and the disk must be none.
    fn drop(&mut self) {
        self.server.stop();
        self.disk.unmount();
    }
}

impl OnDisk {
    /// A server whose job waits in its first step.
    fn start() -> Self {
        let file = danubefile(&[WAIT, "step.run('cat runs', name='runs', image='host')"]);
        let setup = Setup { files: &[("danubefile.py", &file)], pipeline: TRIGGERS, global: "" };
        let server = Danube::prepared(&setup);
        let disk = Disk::make(server.path("disk.img"), server.data());
        let mut this = Self { server, disk, job: String::new() };
        this.server.start();
        this.job = waiting(&this.server);
        this
    }

    /// What the server says of itself once it has seen this.
    fn says(&self, name: &str) {
        until(name, || {
            let ready = self.server.get("/health/ready");
            let named = ready.json()["down"].as_array().is_some_and(|down| down.iter().any(|down| *down == *name));
            (ready.status == 503 && named).then_some(())
        });
    }

    fn page(&self) -> String {
        let door = self.server.socket();
        send(&door, "GET", "/system", &[("Accept", "text/html")], b"").unwrap().text()
    }
}

fn waiting(server: &Danube) -> String {
    let job = server.trigger();
    until("the step runs", || server.log(&job, 1).contains("up").then_some(()));
    job
}

#[track_caller]
fn ends_well(server: &Danube, job: &str) {
    let ended = server.succeeds(job);
    assert_eq!(ended["attempt"], 1, "{ended:#}");
    assert_eq!(server.log(job, 1), "up\n");
    assert_eq!(server.log(job, 2), "started\n", "the step ran once");
}

/// Asks for jobs until one is refused; those that were promised.
fn promised(server: &Danube, status: u16, says: &str) -> Vec<String> {
    let mut promised = Vec::new();
    let refused = until("a start is refused", || {
        let reply = server.post("/api/v1/pipelines/app/trigger", &Value::Null);
        if reply.status == 201 {
            promised.push(reply.json()["id"].as_str().unwrap().to_owned());
            return None;
        }
        Some(reply)
    });
    assert_eq!(refused.status, status, "{}", refused.text());
    assert!(refused.text().contains(says), "{}", refused.text());
    promised
}

#[test]
fn a_full_disk_is_told_and_the_job_goes_on_when_it_has_room_again() {
    let this = OnDisk::start();
    let (server, job) = (&this.server, &this.job);
    let filler = this.disk.fill();
    this.says("data directory (full)");
    assert!(this.page().contains("Free some space; the server goes on by itself"), "{}", this.page());
    let promised = promised(server, 507, "disk is full");
    fs::write(server.workspace(job).join("go"), "").unwrap();
    assert_eq!(server.job(job)["status"], "running", "no end is told that is not stored");
    fs::remove_file(filler).unwrap();
    ends_well(server, job);
    until("the server is ready", || (server.get("/health/ready").status == 200).then_some(()));
    assert!(server.log_tail().contains("is full") && server.log_tail().contains("takes writes again"));
    for id in promised {
        server.post(&format!("/api/v1/jobs/{id}/cancel"), &Value::Null);
        server.ended(&id);
    }
}

#[test]
fn a_disk_that_went_read_only_is_told_and_the_job_ends_when_it_is_mended_and_runs_again() {
    let mut this = OnDisk::start();
    this.disk.fails();
    this.says("data directory (read-only)");
    assert!(this.page().contains("Look at its disk and its mount"), "{}", this.page());
    let lost = promised(&this.server, 503, "directory can't be used");
    assert!(lost.is_empty(), "what was promised could not be stored: {lost:?}");
    assert_eq!(this.server.job(&this.job)["status"], "running", "what is there can be read");
    assert!(this.server.log_tail().contains("is read-only: nothing can be stored"), "{}", this.server.log_tail());
    fs::write(this.server.workspace(&this.job).join("go"), "").unwrap();
    until("the step has ended", || {
        let records = this.server.tree().join("jobs").join(&this.job).join("steps/1.1/rec/exit");
        records.exists().then_some(())
    });
    this.server.stop();
    this.disk.mend();
    this.server.start();
    // The end of a log that could not be synced is not known: the step is no success.
    let ended = this.server.ended(&this.job);
    assert_eq!(ended["status"], "failure", "{ended:#}");
    let reason = ended["reason"].as_str().unwrap();
    assert!(reason.contains("its output could not be stored") && reason.contains("read-only"), "{ended:#}");
    let again = this.server.post(&format!("/api/v1/jobs/{}/rerun", this.job), &Value::Null).with(201);
    let again = again["id"].as_str().unwrap();
    until("the step runs again", || this.server.log(again, 1).contains("up").then_some(()));
    fs::write(this.server.workspace(again).join("go"), "").unwrap();
    ends_well(&this.server, again);
}

#[test]
fn a_server_whose_data_directory_is_moved_away_ends_and_goes_on_when_it_is_back() {
    let mut server = Danube::building(&[WAIT, "step.run('cat runs', name='runs', image='host')"]);
    let job = waiting(&server);
    let (data, away) = (server.data(), server.path("away"));
    fs::rename(&data, &away).unwrap();
    assert_eq!(server.ends(), Some(1));
    let said = server.log_tail();
    assert!(
        said.contains("is not in its place any more") && said.contains("Put it back and start the server"),
        "{said}"
    );
    assert!(!data.exists(), "nothing is begun in its place");
    fs::write(server.workspace(&job).join("go"), "").unwrap();
    fs::rename(&away, &data).unwrap();
    server.start();
    ends_well(&server, &job);
}
