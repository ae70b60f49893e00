//! A red job explains itself: the failing line, the exit code, the commits since it was green.
use crate::support::repo::commit;
use crate::support::server::{Danube, Setup, TRIGGERS, danubefile};

const STEP: &str = "step.run('. ./check.sh', name='unit', image='host', network=False)";

#[test]
fn a_red_job_names_the_failing_line_the_exit_code_and_the_commits_since_it_was_green() {
    let server = Danube::with(&Setup {
        files: &[("danubefile.py", &danubefile(&[STEP])), ("check.sh", "echo all is well\n")],
        pipeline: TRIGGERS,
        global: "",
    });
    let green = server.trigger();
    server.succeeds(&green);
    commit(&server.app(), &[("README", "words")], "Add words");
    let broken = "echo one\necho 'src/a.c:3: error: expected ;' >&2\necho rest\nexit 3\n";
    let sha = commit(&server.app(), &[("check.sh", broken)], "Break the build\n\nOn purpose.");
    let red = server.trigger();
    let job = server.ended(&red);
    assert_eq!(job["status"], "failure", "{job:#}");

    let summary = server.get(&format!("/api/v1/jobs/{red}/summary")).with(200);
    let why = &summary["why"];
    assert_eq!(
        (&why["kind"], &why["step"], &why["exit_code"]),
        (&"exit".into(), &"unit".into(), &3.into()),
        "{summary:#}"
    );
    assert!(why["sentence"].as_str().unwrap().starts_with("Step \"unit\" exited with code 3 after "), "{summary:#}");
    assert_eq!(why["lines"][0]["text"], "src/a.c:3: error: expected ;", "{summary:#}");
    let line = why["lines"][0]["number"].as_u64().unwrap();
    let log = server.get(&format!("/api/v1/jobs/{red}/steps/1/log")).text();
    let nth = usize::try_from(line - 1).unwrap();
    assert_eq!(log.lines().nth(nth), Some("src/a.c:3: error: expected ;"), "{log}");
    assert_eq!(why["log"]["line"], line);

    let changed = &summary["changed"];
    assert_eq!(changed["since"]["job"], "app#1", "{summary:#}");
    assert_eq!((&changed["total"], &changed["files"], &changed["danubefile"]), (&2.into(), &2.into(), &false.into()));
    assert_eq!((&changed["commits"][0]["sha"], &changed["commits"][0]["author"]), (&sha.into(), &"Ada".into()));
    assert_eq!(changed["commits"][1]["subject"], "Add words", "{summary:#}");
    assert!(server.get(&format!("/api/v1/jobs/{green}/summary")).with(200)["why"].is_null());
}
