//! `danube-shim helper cache-save` and `cache-restore` on directories that play workspace and cache.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use tempfile::TempDir;

/// A job: a workspace, and the own directory of one cache with one bound path.
struct Job {
    dir: TempDir,
}

impl Job {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["workspace", "own", "own/0"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn workspace(&self, path: &str) -> PathBuf {
        self.dir.path().join("workspace").join(path)
    }

    fn bound(&self, path: &str) -> PathBuf {
        self.dir.path().join("own/0").join(path)
    }

    fn helper(&self, verb: &str, arguments: &[&str], input: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_danube-shim"))
            .args(["helper", verb])
            .arg(self.dir.path().join("own"))
            .args(arguments)
            .current_dir(self.workspace(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        // The helper may refuse before it has read everything.
        let _ = feeder.join().unwrap();
        output
    }

    fn save(&self, places: &[&str]) -> Vec<u8> {
        let output = self.helper("cache-save", &[&["1000", "1000000"], places].concat(), b"");
        assert!(output.status.success(), "{}", complaint(&output));
        output.stdout
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.helper("cache-save", arguments, b"");
        assert_eq!(output.status.code(), Some(1));
        complaint(&output)
    }

    fn restore(&self, places: &[&str], tar: &[u8]) {
        let output = self.helper("cache-restore", &[&["0", "0"], places].concat(), tar);
        assert!(output.status.success(), "{}", complaint(&output));
    }

    /// What the executor does once the bytes are stored.
    fn stored(&self) {
        fs::rename(self.dir.path().join("own/stamp.next"), self.dir.path().join("own/stamp")).unwrap();
    }
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_cache_comes_back_with_modes_times_and_links() {
    let job = Job::new();
    write(&job.bound("registry/.git/tool"), "tool");
    fs::set_permissions(job.bound("registry/.git/tool"), fs::Permissions::from_mode(0o751)).unwrap();
    let old = UNIX_EPOCH + Duration::from_secs(1_000_000_007);
    fs::File::options().write(true).open(job.bound("registry/.git/tool")).unwrap().set_modified(old).unwrap();
    symlink("/usr/bin/python3", job.bound("python")).unwrap();
    fs::create_dir(job.bound("readonly")).unwrap();
    write(&job.bound("readonly/file"), "x");
    fs::set_permissions(job.bound("readonly"), fs::Permissions::from_mode(0o555)).unwrap();
    write(&job.workspace("node_modules/a/b.js"), "b");
    let tar = job.save(&["b", "w:node_modules"]);

    let other = Job::new();
    other.restore(&["b", "w:node_modules"], &tar);
    let tool = fs::metadata(other.bound("registry/.git/tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.mtime()), (0o751, 1_000_000_007));
    assert_eq!(fs::read_link(other.bound("python")).unwrap(), Path::new("/usr/bin/python3"));
    assert_eq!(fs::metadata(other.bound("readonly")).unwrap().mode() & 0o777, 0o555);
    assert_eq!(fs::read_to_string(other.workspace("node_modules/a/b.js")).unwrap(), "b");
    let made = |path: PathBuf| fs::metadata(path).unwrap().ino();
    assert_ne!(made(other.bound("readonly/file")), made(job.bound("readonly/file")), "two jobs share no file");
}

#[test]
fn content_that_did_not_change_is_not_sent_again() {
    let job = Job::new();
    write(&job.bound("a"), "1");
    let tar = job.save(&["b"]);
    assert!(!job.save(&["b"]).is_empty(), "what was not stored is sent again");
    job.stored();
    assert!(job.save(&["b"]).is_empty());
    let other = Job::new();
    other.restore(&["b"], &tar);
    assert!(other.save(&["b"]).is_empty(), "what was restored is stored already");
    write(&other.bound("a"), "2");
    let second = other.save(&["b"]);
    assert!(!second.is_empty() && second != tar);
    fs::remove_file(other.bound("a")).unwrap();
    write(&other.bound("b"), "1");
    assert!(!other.save(&["b"]).is_empty());
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let made = |names: [&str; 3]| {
        let job = Job::new();
        for name in names {
            write(&job.bound(name), name);
            let file = fs::File::options().write(true).open(job.bound(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(5)).unwrap();
        }
        job.save(&["b"])
    };
    assert_eq!(made(["x/1", "x/2", "y"]), made(["y", "x/2", "x/1"]));
}

#[test]
fn a_file_that_is_in_the_workspace_stays_as_it_is() {
    let job = Job::new();
    write(&job.workspace("vendor/a"), "old");
    write(&job.workspace("vendor/b"), "b");
    let tar = job.save(&["w:vendor"]);
    let other = Job::new();
    write(&other.workspace("vendor/a"), "of the commit");
    other.restore(&["w:vendor"], &tar);
    assert_eq!(fs::read_to_string(other.workspace("vendor/a")).unwrap(), "of the commit");
    assert_eq!(fs::read_to_string(other.workspace("vendor/b")).unwrap(), "b");
    // Cut short and done again.
    fs::remove_file(other.workspace("vendor/b")).unwrap();
    write(&other.workspace("vendor/.danube-cache-half"), "hal");
    other.restore(&["w:vendor"], &tar);
    assert_eq!(fs::read_to_string(other.workspace("vendor/b")).unwrap(), "b");
    assert!(!other.workspace("vendor/.danube-cache-half").exists());
}

#[test]
fn no_link_leads_out_on_the_way_in_or_out() {
    let outside = tempfile::tempdir().unwrap();
    write(&outside.path().join("secret"), "of the host");
    let job = Job::new();
    symlink(outside.path(), job.workspace("node_modules")).unwrap();
    assert!(job.refused(&["9", "9", "w:node_modules"]).contains("symbolic link"));
    assert!(job.refused(&["9", "9", "w:node_modules/secret"]).contains("symbolic link"));
    assert!(job.refused(&["9", "9", "w:../own"]).contains(".."));
    // The bound directory itself is one that only danube renames.
    symlink(outside.path(), job.bound("link")).unwrap();
    let text = String::from_utf8_lossy(&job.save(&["b"])).into_owned();
    assert!(!text.contains("of the host"));

    let honest = Job::new();
    write(&honest.workspace("node_modules/x"), "x");
    let tar = honest.save(&["w:node_modules"]);
    let output = job.helper("cache-restore", &["0", "0", "w:node_modules"], &tar);
    assert_eq!(output.status.code(), Some(1));
    assert!(!outside.path().join("x").exists());
}

#[test]
fn entries_that_want_out_are_refused() {
    for name in ["0/../../x", "/etc/x", "1/x", "x"] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(1);
        header.set_mode(0o644);
        // The builder would refuse such names itself.
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &b"x"[..]).unwrap();
        let job = Job::new();
        let output = job.helper("cache-restore", &["0", "0", "b"], &tar.into_inner().unwrap());
        assert_eq!(output.status.code(), Some(1), "{name:?}: {}", complaint(&output));
        assert!(!job.dir.path().join("x").exists());
    }
}

#[test]
fn bounds_are_told_before_anything_is_sent() {
    let job = Job::new();
    for n in 0..20 {
        write(&job.bound(&n.to_string()), "0123456789");
    }
    fs::File::create(job.bound("sparse")).unwrap().set_len(1 << 40).unwrap();
    assert!(job.refused(&["10", "100000", "b"]).contains("more than 10 files"));
    assert!(job.refused(&["100", "1048576", "b"]).starts_with("it has 1048577 MiB, and a cache may have 1 MiB"));
    assert_eq!(Job::new().refused(&["10", "10", "w:absent"]), "its paths are empty");
}

#[test]
fn what_no_other_job_could_use_is_left_out() {
    let job = Job::new();
    write(&job.bound("a"), "1");
    let _socket = std::os::unix::net::UnixListener::bind(job.bound("socket")).unwrap();
    let output = job.helper("cache-save", &["10", "1000", "b"], b"");
    assert!(output.status.success());
    assert_eq!(complaint(&output), "1 sockets, pipes or devices were left out");
    let other = Job::new();
    other.restore(&["b"], &output.stdout);
    assert!(other.bound("a").exists() && !other.bound("socket").exists());
}
