use super::*;
use crate::artifacts::list;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_committed_artifact_is_stored_under_its_digest() {
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("job");
    let mut writer = begin(&dir, 100).unwrap();
    writer.write(b"hello ").unwrap();
    writer.copy_from(&mut &b"world"[..]).unwrap();
    let stored = writer.commit(name("greeting"), Kind::File).unwrap();
    assert_eq!(
        stored,
        Stored { name: name("greeting"), sha256: Digest::of(b"hello world"), size: 11, kind: Kind::File }
    );
    assert_eq!(fs::read(dir.join(stored.sha256.to_string())).unwrap(), b"hello world");
    assert_eq!(entries(&dir), 1);
}

#[test]
fn files_and_directories_are_closed_to_others() {
    use std::os::unix::fs::PermissionsExt as _;
    let data = tempfile::tempdir().unwrap();
    let dir = data.path().join("job");
    let stored = begin(&dir, 1).unwrap().commit(name("empty"), Kind::Tar).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(stored.sha256.to_string())), 0o600);
}

#[test]
fn no_other_place_is_begun_where_the_directory_of_all_artifacts_is_gone() {
    let data = tempfile::tempdir().unwrap();
    assert!(begin(&data.path().join("artifacts/job"), 1).is_err());
    assert_eq!(entries(data.path()), 0);
}

#[test]
fn nothing_can_be_seen_before_the_commit_or_after_a_drop() {
    let data = tempfile::tempdir().unwrap();
    let mut writer = begin(data.path(), 100).unwrap();
    writer.write(b"half").unwrap();
    assert_eq!(list(data.path()).unwrap(), []);
    drop(writer);
    assert_eq!(entries(data.path()), 0);
}

#[test]
fn one_byte_over_the_limit_stores_nothing() {
    let data = tempfile::tempdir().unwrap();
    let mut writer = begin(data.path(), 4).unwrap();
    writer.write(b"1234").unwrap();
    assert!(matches!(writer.write(b"5"), Err(Error::TooLarge { limit: 4 })));
    assert!(matches!(writer.write(b""), Err(Error::Incomplete)));
    assert!(matches!(writer.commit(name("a"), Kind::File), Err(Error::Incomplete)));
    assert_eq!(entries(data.path()), 0);
}

#[test]
fn a_sender_that_breaks_off_leaves_no_artifact() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let data = tempfile::tempdir().unwrap();
    let mut writer = begin(data.path(), 100).unwrap();
    assert!(matches!(writer.copy_from(&mut (&b"half"[..]).chain(Broken)), Err(Error::Io { .. })));
    assert!(matches!(writer.commit(name("a"), Kind::File), Err(Error::Incomplete)));
    assert_eq!(entries(data.path()), 0);
}

#[test]
fn the_same_bytes_under_two_names_are_one_file() {
    let data = tempfile::tempdir().unwrap();
    for each in ["a", "b"] {
        let mut writer = begin(data.path(), 100).unwrap();
        writer.write(b"same").unwrap();
        writer.commit(name(each), Kind::File).unwrap();
    }
    assert_eq!(entries(data.path()), 1);
}

#[test]
fn two_writers_at_once_do_not_meet() {
    let data = tempfile::tempdir().unwrap();
    let mut a = begin(data.path(), 100).unwrap();
    let mut b = begin(data.path(), 100).unwrap();
    a.write(b"a").unwrap();
    b.write(b"b").unwrap();
    let a = a.commit(name("x"), Kind::File).unwrap();
    let b = b.commit(name("y"), Kind::File).unwrap();
    assert_eq!((a.sha256, b.sha256), (Digest::of(b"a"), Digest::of(b"b")));
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    const DISK: &str = "DANUBE_TEST_SMALL_DISK";
    let Some(disk) = std::env::var_os(DISK) else {
        // A file system of 64 KiB that only this test's child can see.
        let dir = tempfile::tempdir().unwrap();
        let myself = std::env::current_exe().unwrap();
        let output = std::process::Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
            .arg(r#"mount -t tmpfs -o size=64k tmpfs "$1" && exec "$2" --exact --nocapture artifacts::writer::tests::a_full_disk_is_named_and_leaves_nothing"#)
            .args(["sh".as_ref(), dir.path(), &myself])
            .env(DISK, dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    };
    let dir = Path::new(&disk).join("job");
    let mut writer = begin(&dir, u64::MAX).unwrap();
    let error = writer.copy_from(&mut io::repeat(7).take(1 << 20)).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
    assert!(matches!(writer.commit(name("a"), Kind::File), Err(Error::Incomplete)));
    assert_eq!(entries(&dir), 0);
}
