//! Caches from a danubefile to the command line: who finds what, who may write it, and how it is told.
use crate::support::repo::{commit, git};
use crate::support::server::{Danube, Setup, danubefile};

const LINES: &str = "  triggers: [{on: push}, {on: manual}]\n  protected_branches: [main]\n";

fn building(lines: &[&str]) -> Danube {
    let file = danubefile(lines).replace("import annotate", "import Cache, annotate");
    Danube::with(&Setup { files: &[("danubefile.py", &file)], pipeline: LINES, global: "" })
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_second_job_finds_what_the_first_one_left_and_another_branch_only_reads_it() {
    let server = building(&[
        "tool = Cache('tool', ['~/.cache/tool', 'vendor'])",
        "step.run('ls ~/.cache/tool vendor; date +%N > ~/.cache/tool/by-$DANUBE_BRANCH; mkdir -p vendor; touch vendor/a', \
         name='make', image='host', caches=[tool], network=False)",
        "step.run('ls ~/.cache/tool', name='again', image='host', caches=[tool], network=False)",
    ]);
    let first = server.succeeds(&server.trigger());
    let used = &first["caches"];
    assert_eq!((used[0]["found"].as_str(), used[0]["saved"].as_str()), (Some("miss"), Some("stored")), "{used:#}");
    assert_eq!((used[1]["found"].as_str(), used[1]["saved"].as_str()), (Some("here"), Some("unchanged")), "{used:#}");
    let id = first["id"].as_str().unwrap();
    assert!(server.raw_log(id, 1).starts_with("danube: cache tool: nothing is stored\n"), "{}", server.raw_log(id, 1));
    assert!(server.raw_log(id, 2).ends_with("by-main\n"));

    let second = server.succeeds(&server.trigger());
    let id = second["id"].as_str().unwrap();
    let log = server.raw_log(id, 1);
    assert!(
        log.starts_with("danube: cache tool: restored ") && log.contains(" of app#1, protected branches in "),
        "{log}"
    );
    assert!(log.contains("by-main") && log.contains("\na\n"), "{log}");

    git(&server.app(), &["checkout", "-q", "-b", "feature"]);
    commit(&server.app(), &[("x", "1")], "On a branch");
    let output = server.danube(&["trigger", "app", "--branch", "feature", "--wait"]);
    assert!(output.status.success(), "{}", text(&output));
    let other = server.job(server.jobs()[0]["id"].as_str().unwrap());
    let used = &other["caches"][0];
    assert_eq!((used["found"].as_str(), used["saved"].as_str()), (Some("hit"), Some("no")), "{used:#}");
    assert!(used["saved_note"].as_str().unwrap().contains("protected branches"), "{used:#}");
    let third = server.succeeds(&server.trigger_on("main"));
    assert!(!server.raw_log(third["id"].as_str().unwrap(), 1).contains("by-feature"));

    let said = text(&server.danube(&["job", "show", "app#2"]));
    assert!(said.contains("cache") && said.contains("tool") && said.contains("app#1"), "{said}");
    let said = text(&server.danube(&["cache", "list", "app"]));
    assert!(said.contains("tool") && said.contains("protected branches"), "{said}");
    assert_eq!(text(&server.danube(&["cache", "delete", "app", "--name", "other"])), "0 deleted\n");
    assert_eq!(text(&server.danube(&["cache", "delete", "app", "--name", "tool"])), "1 deleted\n");
    assert_eq!(text(&server.danube(&["cache", "list", "app"])), "app has no caches\n");
}
