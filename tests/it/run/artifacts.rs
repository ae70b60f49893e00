//! Paths and names of artifacts that are wrong, and files that are no files.
use std::fs;

use crate::support::run::Run;

#[test]
fn what_is_no_file_of_the_workspace_is_refused_by_name() {
    let cases = [
        ("missing", "n", "missing: no such file in the workspace"),
        ("link", "n", "link: a symbolic link is not followed; name its target"),
        ("dirlink/passwd", "n", "dirlink/passwd: a symbolic link is on the way, which is not followed"),
        ("tree", "n", "tree/out: the symbolic link to /etc/passwd leaves the directory"),
        ("../a", "n", "../a: a path with '..' may leave the workspace"),
        ("/etc/passwd", "n", "/etc/passwd: not in the workspace; use a path below /workspace"),
        ("fifo", "n", "fifo: a named pipe cannot be taken out"),
        ("a", "../evil", "the artifact name \"../evil\" is refused: it contains '/'"),
        ("a", "/abs", "the artifact name \"/abs\" is refused: it contains '/'"),
        ("a", "..", "the artifact name \"..\" is refused"),
        ("a", "", "the artifact's name is empty"),
        ("b", "same", "the job has stored another artifact 'same' already, with other content"),
    ];
    let mut body = "step.run(\"\"\"echo a > a; echo b > b; ln -s /etc/passwd link; ln -s /etc dirlink; mkfifo fifo
mkdir tree; ln -s /etc/passwd tree/out\"\"\", name=\"make\")
artifacts.upload(\"a\", name=\"same\")
artifacts.upload(\"a\", name=\"same\")
def refused(n, path, name):
    try: artifacts.upload(path, name=name); print(n, \"taken\", flush=True)
    except DanubeError as e: print(n, e, flush=True)
"
    .to_owned();
    for (n, (path, name, _)) in cases.iter().enumerate() {
        body.push_str(&format!("refused({n}, {path:?}, {name:?})\n"));
    }
    let run = Run::body(&body);
    let end = run.end();
    end.succeeded();
    assert_eq!(end.artifacts(), ["same"]);
    let log = run.log(0, 1);
    for (n, (_, _, why)) in cases.iter().enumerate() {
        assert!(log.contains(&format!("{n} {why}")), "{n} {why}: {log}");
    }
    let job = fs::read_dir(run.data().join("artifacts")).unwrap().flatten().next().unwrap();
    assert_eq!(fs::read_dir(job.path()).unwrap().count(), 1, "a refused upload leaves no file");
}

#[test]
fn an_artifact_over_the_limit_is_refused_and_leaves_no_file() {
    let body = "step.run(\"head -c 3000000 /dev/zero > big\", name=\"make\")\nartifacts.upload(\"big\", name=\"big\")";
    let run = Run::body(body).env("DANUBE_EXECUTOR__LIMITS__MAX_ARTIFACT_BYTES", "1MiB");
    let end = run.end();
    assert_eq!((end.code, end.status()), (1, "failure"), "{end:?}");
    let why = "big: the artifact is larger than the limit of 1048576 bytes; ";
    assert!(end.reason().starts_with(why) && end.reason().ends_with("(danubefile.py:5)"), "{}", end.reason());
    let files = fs::read_dir(run.data().join("artifacts")).unwrap().flatten();
    assert_eq!(files.flat_map(|job| fs::read_dir(job.path()).unwrap()).count(), 0);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused_or_whole() {
    let body = r#"
def upload():
    step.run("until test -s grows; do sleep 0.01; done", name="wait")
    for n in range(5):
        try: print("took", artifacts.upload("grows", name=f"grows-{n}").size)
        except DanubeError as e: print("refused", e)
    step.run("touch stop", name="stop")
step.parallel(upload, lambda: step.run("until test -e stop; do head -c 65536 /dev/zero >> grows; done", name="grow"))
"#;
    let run = Run::body(body);
    let end = run.end();
    end.succeeded();
    let log = run.log(0, 1);
    assert_eq!(log.lines().filter(|l| l.starts_with("took ") || l.starts_with("refused ")).count(), 5, "{log}");
    for line in log.lines().filter(|line| line.starts_with("refused ")) {
        assert!(line.contains("grows: ") && line.contains("changed"), "{line}");
    }
}
