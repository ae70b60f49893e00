//! What is refused before it costs anything.
use std::fmt::Write as _;
use std::path::Path;

use git2::{Oid, Repository, Signature, Time};

use super::*;
use crate::config_repo::files::{MAX_FILE, MAX_FILES};
use crate::config_repo::yaml::Budget;

fn message_of(given: &[(&str, &str)]) -> String {
    with_usual(given).expect_err("refused").remove(0).to_string()
}

/// Nine anchors, each nine times the one before: 9^9 values once written out.
#[test]
fn an_alias_bomb_is_refused_before_it_is_written_out() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (before, name) in ('a'..).zip('b'..='i') {
        let aliases = vec![format!("*{before}"); 9].join(", ");
        writeln!(bomb, "{name}: &{name} [{aliases}]").unwrap();
    }
    let message = message_of(&[("pipelines/a.yaml", &bomb)]);
    assert!(message.starts_with("pipelines/a.yaml:6:") && message.contains("aliases"), "{message}");
}

#[test]
fn aliases_of_one_long_text_are_refused() {
    let mut bomb = format!("a: &a {}\nb:\n", "x".repeat(500_000));
    bomb.push_str(&"- *a\n".repeat(1000));
    assert!(message_of(&[("pipelines/a.yaml", &bomb)]).contains("aliases"));
}

#[test]
fn aliases_do_not_nest_deeper_than_what_is_written() {
    let mut bomb = "a: &a [[[[[[[[[[]]]]]]]]]]\n".to_owned();
    for (before, name) in ('a'..).zip('b'..='z') {
        writeln!(bomb, "{name}: &{name} [[[[[*{before}]]]]]").unwrap();
    }
    assert!(message_of(&[("pipelines/a.yaml", &bomb)]).contains("deeper than"));
}

#[test]
fn the_budget_is_one_for_all_files() {
    let mut budget = Budget::default();
    let many = "- x\n".repeat(80_000);
    assert!(super::super::yaml::parse(&many, &mut budget).1.is_none());
    assert!(super::super::yaml::parse(&many, &mut budget).1.is_none());
    assert!(super::super::yaml::parse(&many, &mut budget).1.is_some());
}

fn commit(repository: &Repository, entries: &[(&str, Oid, i32)]) -> Oid {
    let mut pipelines = repository.treebuilder(None).unwrap();
    let mut root = repository.treebuilder(None).unwrap();
    for (path, id, mode) in entries {
        match path.strip_prefix("pipelines/") {
            Some(name) => pipelines.insert(name, *id, *mode).unwrap(),
            None => root.insert(path, *id, *mode).unwrap(),
        };
    }
    if !pipelines.is_empty() {
        root.insert("pipelines", pipelines.write().unwrap(), 0o040_000).unwrap();
    }
    let tree = repository.find_tree(root.write().unwrap()).unwrap();
    let who = Signature::new("ana", "ana@example.com", &Time::new(0, 0)).unwrap();
    repository.commit(None, &who, &who, "x", &tree, &[]).unwrap()
}

fn refused(files: Files) -> String {
    told(&check(files).unwrap_err())
}

#[test]
fn a_commit_is_read_without_its_links_submodules_and_large_files() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(dir.path()).unwrap();
    let blob = |bytes: &[u8]| repository.blob(bytes).unwrap();
    let small = blob(CONFIG.as_bytes());
    let large = blob(&vec![b'#'; usize::try_from(MAX_FILE).unwrap() + 1]);
    let id = commit(
        &repository,
        &[
            ("config.yaml", small, 0o100_644),
            ("users.yaml", blob(b"/etc/passwd"), 0o120_000),
            ("teams.yaml", blob(b"\xff\xfe"), 0o100_644),
            ("README.md", large, 0o100_644),
            ("pipelines/sub.yaml", Oid::from_str("1111111111111111111111111111111111111111").unwrap(), 0o160_000),
            ("pipelines/large.yaml", large, 0o100_644),
            ("pipelines/short.yml", small, 0o100_644),
            ("pipelines/notes.txt", small, 0o100_644),
        ],
    );
    let files = from_commit(&repository, id).unwrap();
    assert_eq!(files.list.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["config.yaml"]);
    assert_eq!(
        refused(files),
        "pipelines/large.yaml:1:1: error: the file has 1048577 bytes; at most 1048576 are read\n    \
         fix: split it: documents may stand in several files of pipelines/\n\
         pipelines/short.yml:1:1: error: 'pipelines/short.yml' is not read\n    \
         fix: files of pipelines are pipelines/NAME.yaml, in no deeper folder\n\
         pipelines/sub.yaml:1:1: error: 'pipelines/sub.yaml' is not a plain file\n    \
         fix: put the file itself here: links and submodules are not followed\n\
         teams.yaml:1:1: error: the file is not UTF-8 text\n    \
         fix: save it as UTF-8\n\
         users.yaml:1:1: error: 'users.yaml' is not a plain file\n    \
         fix: put the file itself here: links and submodules are not followed\n"
    );
}

#[test]
fn more_files_than_the_limit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(dir.path()).unwrap();
    let blob = repository.blob(b"# nothing\n").unwrap();
    let names: Vec<_> = (0..=MAX_FILES).map(|n| format!("pipelines/{n:04}.yaml")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), blob, 0o100_644)).collect();
    let files = from_commit(&repository, commit(&repository, &entries)).unwrap();
    assert!(refused(files).starts_with("pipelines/0256.yaml:1:1: error: the config repo is too large"));
}

#[test]
fn a_folder_is_read_by_the_same_rules() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
    std::fs::create_dir(dir.path().join("pipelines")).unwrap();
    write("config.yaml", CONFIG);
    write("users.yaml", USERS);
    write("teams.yaml", TEAMS);
    assert!(check(from_dir(dir.path()).unwrap()).is_ok());
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("pipelines/x.yaml")).unwrap();
    assert!(
        refused(from_dir(dir.path()).unwrap())
            .starts_with("pipelines/x.yaml:1:1: error: 'pipelines/x.yaml' is not a plain file")
    );
    let missing = from_dir(Path::new("/nonexistent/config")).unwrap_err();
    assert_eq!(missing.to_string(), "/nonexistent/config cannot be read");
}

/// The file is one hole of a gigabyte: reading it would show.
#[test]
fn a_file_of_a_gigabyte_is_refused_by_its_size() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create(dir.path().join("config.yaml")).unwrap().set_len(1 << 30).unwrap();
    let said = refused(from_dir(dir.path()).unwrap());
    assert!(said.starts_with("config.yaml:1:1: error: the file has 1073741824 bytes"), "{said}");
}
