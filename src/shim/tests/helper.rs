//! `danube-shim helper` on a directory that plays the workspace.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use danube_shim::frame;
use danube_shim::transfer::{Checkout, Item, Kind};
use proptest::prelude::*;
use tempfile::TempDir;

fn helper(dir: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_danube-shim"))
        .arg("helper")
        .args(arguments)
        .current_dir(dir)
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

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn export(dir: &Path, path: &str) -> (Item, Vec<u8>) {
    let output = helper(dir, &["export", path], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut stream = output.stdout.as_slice();
    let header = frame::read(&mut stream, frame::HEADER_LIMIT).unwrap();
    (header, stream.to_vec())
}

fn import(dir: &Path, to: &str, kind: Kind, name: &str, bytes: &[u8]) -> Output {
    let header = Item { version: 1, kind, name: name.to_owned(), size: Some(bytes.len() as u64) };
    helper(dir, &["import", to], &[&frame::encode(&header).unwrap(), bytes].concat())
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn workspace() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn a_file_is_taken_out_as_it_is() {
    let dir = workspace();
    write(dir.path(), "dist/x.whl", "wheel");
    for path in ["dist/x.whl", "./dist//x.whl", "/workspace/dist/x.whl"] {
        let (header, bytes) = export(dir.path(), path);
        assert_eq!((header.kind, header.name.as_str(), header.size), (Kind::File, "x.whl", Some(5)));
        assert_eq!(bytes, b"wheel");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let dir = workspace();
    let output = helper(dir.path(), &["export", "dist/x.whl"], b"");
    assert_eq!(complaint(&output), "dist/x.whl: no such file in the workspace\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn nothing_outside_the_workspace_is_taken_out() {
    let dir = workspace();
    symlink("/etc", dir.path().join("etc")).unwrap();
    symlink("/etc/passwd", dir.path().join("passwd")).unwrap();
    for path in ["/etc/passwd", "../../etc/passwd", "etc/passwd", "passwd", "etc"] {
        let output = helper(dir.path(), &["export", path], b"");
        assert!(!complaint(&output).is_empty());
        assert!(output.stdout.is_empty(), "{path}");
    }
}

fn collected(dir: &Path, pattern: &str) -> Vec<(String, String)> {
    let output = helper(dir, &["collect", pattern], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut stream = output.stdout.as_slice();
    let mut files = Vec::new();
    while !stream.is_empty() {
        let header: Item = frame::read(&mut stream, frame::HEADER_LIMIT).unwrap();
        let (bytes, rest) = stream.split_at(usize::try_from(header.size.unwrap()).unwrap());
        files.push((header.name, String::from_utf8(bytes.to_vec()).unwrap()));
        stream = rest;
    }
    files
}

#[test]
fn a_pattern_takes_out_the_files_it_names_and_follows_no_link() {
    let dir = workspace();
    for (path, text) in [("r/b.xml", "b"), ("r/a/a.xml", "a"), ("r/a/a.txt", "no"), ("c.xml", "")] {
        write(dir.path(), path, text);
    }
    symlink("/etc", dir.path().join("r/etc")).unwrap();
    symlink("/etc/passwd", dir.path().join("r/passwd.xml")).unwrap();
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(collected(dir.path(), "**/*.xml"), [file("c.xml", ""), file("r/a/a.xml", "a"), file("r/b.xml", "b")]);
    assert_eq!(collected(dir.path(), "r/*.xml"), [file("r/b.xml", "b")]);
    assert_eq!(collected(dir.path(), "r/b.xml"), [file("r/b.xml", "b")]);
    for (pattern, why) in [
        ("none/*.xml", "none/*.xml: no such file in the workspace"),
        ("none.xml", "none.xml: no such file in the workspace"),
        ("r/passwd.xml", "a symbolic link is not followed"),
        ("r/etc/*", "a file or a symbolic link is where a directory is needed"),
        ("../*", "may leave the workspace"),
    ] {
        let complaint = complaint(&helper(dir.path(), &["collect", pattern], b""));
        assert!(complaint.contains(why), "{pattern}: {complaint}");
    }
}

#[test]
fn a_directory_is_packed_to_the_same_bytes_whoever_made_it() {
    let make = |names: &[&str], mode| {
        let dir = workspace();
        for name in names {
            write(dir.path(), name, name);
        }
        fs::set_permissions(dir.path().join("out/a/run"), fs::Permissions::from_mode(mode)).unwrap();
        symlink("../a.txt", dir.path().join("out/a/link")).unwrap();
        export(dir.path(), "out").1
    };
    let one = make(&["out/a/run", "out/a.txt", "out/b"], 0o700);
    let two = make(&["out/b", "out/a.txt", "out/a/run"], 0o4775);
    assert_eq!(one, two);
    let mut archive = tar::Archive::new(one.as_slice());
    let entries: Vec<(String, u32, u64)> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (path, header.mode().unwrap(), header.mtime().unwrap())
        })
        .collect();
    let expected = [("a.txt", 0o644), ("a/", 0o755), ("a/link", 0o777), ("a/run", 0o755), ("b", 0o644)];
    assert_eq!(entries, expected.map(|(path, mode)| (path.to_owned(), mode, 0)));
}

#[test]
fn a_directory_with_something_that_cannot_leave_names_it() {
    let dir = workspace();
    fs::create_dir_all(dir.path().join("out/sub")).unwrap();
    symlink("../../secret", dir.path().join("out/sub/link")).unwrap();
    let output = helper(dir.path(), &["export", "out"], b"");
    assert!(complaint(&output).starts_with("out/sub/link: the symbolic link to ../../secret"));
    fs::remove_file(dir.path().join("out/sub/link")).unwrap();
    let fifo = dir.path().join("out/sub/fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let output = helper(dir.path(), &["export", "out"], b"");
    assert!(complaint(&output).starts_with("out/sub/fifo: a named pipe"));
}

#[test]
fn what_was_taken_out_comes_back_the_same() {
    let dir = workspace();
    let long = format!("out/{}/{}", "d".repeat(120), "f".repeat(120));
    write(dir.path(), &long, "deep");
    write(dir.path(), "out/run", "#!");
    fs::set_permissions(dir.path().join("out/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run", dir.path().join("out/link")).unwrap();
    let (_, tar) = export(dir.path(), "out");
    assert!(import(dir.path(), "deps/out", Kind::Dir, "", &tar).status.success());
    assert_eq!(export(dir.path(), "deps/out").1, tar);
}

#[test]
fn a_file_comes_in_under_its_name() {
    let dir = workspace();
    assert!(import(dir.path(), "deps", Kind::File, "x.whl", b"wheel").status.success());
    assert_eq!(fs::read(dir.path().join("deps/x.whl")).unwrap(), b"wheel");
    for name in ["", "..", "a/b"] {
        assert_eq!(import(dir.path(), "deps", Kind::File, name, b"x").status.code(), Some(1));
    }
}

#[test]
fn half_a_file_is_not_left_behind() {
    let dir = workspace();
    let header = Item { version: 1, kind: Kind::File, name: "x".into(), size: Some(10) };
    let input = [&frame::encode(&header).unwrap()[..], b"half"].concat();
    let output = helper(dir.path(), &["import", "deps"], &input);
    assert_eq!(complaint(&output), "deps/x: 4 of 10 bytes arrived\n");
    assert_eq!(fs::read_dir(dir.path().join("deps")).unwrap().count(), 0);
}

/// A tar with one entry, named as the attacker likes.
fn attack(kind: tar::EntryType, name: &[u8], link: &str) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o4755);
    header.set_size(if kind == tar::EntryType::Regular { 3 } else { 0 });
    if !link.is_empty() {
        header.set_link_name_literal(link).unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    if kind == tar::EntryType::Regular {
        bytes.extend(b"bad");
        bytes.resize(1024, 0);
    }
    bytes
}

#[test]
fn an_archive_can_write_only_beneath_its_directory() {
    use tar::EntryType as Type;
    let dir = workspace();
    let inner = dir.path().join("work");
    fs::create_dir(&inner).unwrap();
    symlink(dir.path(), inner.join("up")).unwrap();
    for (kind, name, link) in [
        (Type::Regular, &b"../x"[..], ""),
        (Type::Regular, b"/tmp/danube-x", ""),
        (Type::Regular, b"a/../../x", ""),
        (Type::Regular, b"up/x", ""),
        (Type::Symlink, b"l", "/etc"),
        (Type::Symlink, b"l", "../x"),
        (Type::Symlink, b"a/l", "b/../../x"),
        (Type::Link, b"l", "/etc/passwd"),
        (Type::Char, b"null", ""),
        (Type::Fifo, b"pipe", ""),
    ] {
        let mut tar = attack(kind, name, link);
        tar.resize(tar.len() + 1024, 0);
        let output = import(&inner, ".", Kind::Dir, "", &tar);
        assert!(!complaint(&output).is_empty());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn no_setuid_bit_comes_in_and_no_link_is_written_through() {
    let dir = workspace();
    write(dir.path(), "victim", "safe");
    let first = attack(tar::EntryType::Symlink, b"x", "victim");
    let second = attack(tar::EntryType::Regular, b"x", "");
    let tar = [first, second, vec![0; 1024]].concat();
    assert!(import(dir.path(), ".", Kind::Dir, "", &tar).status.success());
    assert_eq!(fs::read(dir.path().join("victim")).unwrap(), b"safe");
    let meta = fs::symlink_metadata(dir.path().join("x")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o755);
}

struct Repository(TempDir);

impl Repository {
    fn git(&self, arguments: &[&str]) -> String {
        git_in(self.0.path(), arguments)
    }

    /// Two commits; the pack of the second, alone.
    fn new() -> (Self, String, Vec<u8>) {
        let repository = Self(workspace());
        let dir = repository.0.path();
        repository.git(&["init", "-q", "-b", "main"]);
        write(dir, "old", "old");
        repository.git(&["add", "."]);
        repository.git(&["commit", "-qm", "one"]);
        write(dir, "src/run", "#!/bin/sh\n");
        fs::set_permissions(dir.join("src/run"), fs::Permissions::from_mode(0o755)).unwrap();
        write(dir, "plain", "plain\n");
        symlink("plain", dir.join("link")).unwrap();
        repository.git(&["add", "."]);
        repository.git(&["commit", "-qm", "two"]);
        let commit = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
        let script = "{ git rev-parse HEAD HEAD^{tree}; \
            git ls-tree -r -t HEAD | awk '{print $3}'; } | git pack-objects -q --stdout";
        let pack = Command::new("sh").arg("-c").arg(script).current_dir(dir).output().unwrap();
        (repository, commit, pack.stdout)
    }
}

fn git_in(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn checkout(dir: &Path, commit: Option<&str>, branch: Option<&str>, pack: &[u8], tar: &[u8]) -> Output {
    let header = Checkout {
        version: 1,
        commit: commit.map(str::to_owned),
        ref_name: branch.map(str::to_owned),
        pack_bytes: pack.len() as u64,
        tar_bytes: tar.len() as u64,
    };
    helper(dir, &["checkout"], &[&frame::encode(&header).unwrap(), pack, tar].concat())
}

#[test]
fn a_commit_is_checked_out_as_a_clean_shallow_repository() {
    let (_repository, commit, pack) = Repository::new();
    let dir = workspace();
    let output = checkout(dir.path(), Some(&commit), Some("feature/x"), &pack, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(git_in(dir.path(), &["rev-parse", "HEAD"]).trim(), commit);
    assert_eq!(git_in(dir.path(), &["branch", "--show-current"]).trim(), "feature/x");
    assert_eq!(git_in(dir.path(), &["status", "--porcelain"]), "");
    assert_eq!(git_in(dir.path(), &["log", "--format=%s"]).trim(), "two");
    assert_eq!(git_in(dir.path(), &["remote"]), "");
    let mode = |path| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("src/run"), mode("plain")), (0o755, 0o644));
    assert!(dir.path().join("link").is_symlink());
}

#[test]
fn without_a_branch_the_head_is_detached() {
    let (_repository, commit, pack) = Repository::new();
    let dir = workspace();
    assert!(checkout(dir.path(), Some(&commit), None, &pack, b"").status.success());
    assert_eq!(git_in(dir.path(), &["branch", "--show-current"]), "");
    assert_eq!(git_in(dir.path(), &["rev-parse", "HEAD"]).trim(), commit);
}

#[test]
fn a_working_copy_keeps_the_index_of_its_commit() {
    let (repository, commit, pack) = Repository::new();
    write(repository.0.path(), "plain", "changed\n");
    write(repository.0.path(), "new", "new\n");
    let mut tar = tar::Builder::new(Vec::new());
    tar.follow_symlinks(false);
    for name in ["old", "src/run", "plain", "link", "new"] {
        tar.append_path_with_name(repository.0.path().join(name), name).unwrap();
    }
    let dir = workspace();
    let tar = tar.into_inner().unwrap();
    let output = checkout(dir.path(), Some(&commit), Some("main"), &pack, &tar);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(git_in(dir.path(), &["status", "--porcelain"]), " M plain\n?? new\n");
    let alone = workspace();
    assert!(checkout(alone.path(), None, None, b"", &tar).status.success());
    assert_eq!(fs::read(alone.path().join("new")).unwrap(), b"new\n");
    assert!(!alone.path().join(".git").exists());
}

#[test]
fn a_checkout_runs_nothing_of_the_repository_and_refuses_bad_names() {
    let (_repository, commit, pack) = Repository::new();
    for branch in ["-x", "a..b", "x/../../config", "a b"] {
        let output = checkout(workspace().path(), Some(&commit), Some(branch), &pack, b"");
        match branch {
            "-x" => assert!(output.status.success()),
            _ => assert!(complaint(&output).contains("not a name of a branch"), "{branch}"),
        }
    }
    let output = checkout(workspace().path(), Some("--upload-pack=x"), None, &pack, b"");
    assert!(complaint(&output).contains("not the name of a commit"));
    let mut tar = attack(tar::EntryType::Regular, b".GIT/config", "");
    tar.resize(tar.len() + 1024, 0);
    let output = checkout(workspace().path(), None, None, b"", &tar);
    assert!(complaint(&output).contains("must not bring a repository"));
}

#[test]
fn a_damaged_pack_is_an_error() {
    let (_repository, commit, mut pack) = Repository::new();
    let middle = pack.len() / 2;
    pack[middle] ^= 0xff;
    let output = checkout(workspace().path(), Some(&commit), None, &pack, b"");
    assert!(complaint(&output).contains("git index-pack"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_bytes_as_an_archive_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let dir = workspace();
        let inner = dir.path().join("work");
        fs::create_dir(&inner).unwrap();
        import(&inner, ".", Kind::Dir, "", &bytes);
        prop_assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
